//! hull-container.
