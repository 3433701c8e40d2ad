//! hull-registry.
