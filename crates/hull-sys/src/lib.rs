//! hull-sys.
