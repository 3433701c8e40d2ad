//! hull-daemon.
