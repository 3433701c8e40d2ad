//! hull-engine.
