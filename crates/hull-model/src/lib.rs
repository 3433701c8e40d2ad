//! hull-model.
