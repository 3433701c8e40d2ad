//! hull.
