//! hull's own routes below `/hull`, where Docker's API has none. Read and written here alone: the CLI
//! uses the same types.

pub mod stats;
