//! The supervisor of one guest: the protocol it speaks, and the parts that need no kernel.
//!
//! The daemon uses [`plan`], [`protocol`], [`frame`], [`client`] and [`exit`]; the program
//! `hull-shim` in this package does the rest. The program is the parent of the guest's processes:
//! it holds their pipes or terminal, writes the log and the exit status, and outlives the daemon.
//!
//! # A guest's run directory
//!
//! | file | written by | meaning |
//! |---|---|---|
//! | `plan` | daemon | a [`plan::ShimPlan`]: what to launch and where its log goes |
//! | `shim.sock` | shim | where it listens; exists as long as the shim does |

pub mod client;
pub mod exit;
pub mod frame;
pub mod log;
pub mod plan;
pub mod protocol;
