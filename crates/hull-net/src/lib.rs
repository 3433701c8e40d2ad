//! hull-net.
