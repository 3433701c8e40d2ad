//! Images: list, inspect, history, and the requests that change them.

pub mod answers;
pub mod history;
pub mod inspect;
pub mod list;
pub mod progress;
pub mod prune;
pub mod requests;
pub mod view;
