//! Where a guest's output goes.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// How a guest's standard output and error are kept.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum LogConfig {
    /// Docker's `json-file`: one JSON object a line, rotated.
    JsonFile(Rotation),
    /// Not kept; only attached clients see it.
    Discard,
}

/// When a log file is put aside, and how many are kept.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rotation {
    /// A file that reaches this size is put aside; `None` never.
    pub size_max: Option<Bytes>,
    /// Files kept, the current one included. At least 1.
    pub files: u32,
}

impl Default for Rotation {
    /// 10 MB × 3: unlike Docker's unlimited default it cannot fill the disk.
    fn default() -> Self {
        Self { size_max: Some(Bytes::new(10_000_000)), files: 3 }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self::JsonFile(Rotation::default())
    }
}
