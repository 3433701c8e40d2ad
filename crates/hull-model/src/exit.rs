//! How a process ended.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What a guest's or an exec's first process left behind.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Exit {
    /// 0–255, or 128 + signal number as shells count it.
    pub code: u8,
    /// Whether the kernel killed inside the guest for want of memory.
    pub oom_killed: bool,
    /// When.
    pub at: Timestamp,
}

impl Exit {
    /// The code of a guest whose end nobody saw: the host or the shim died with it.
    ///
    /// Docker reports the same number for containers it lost.
    pub const UNSEEN: u8 = 255;
}
