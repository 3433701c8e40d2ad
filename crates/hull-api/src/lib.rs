//! hull-api.
