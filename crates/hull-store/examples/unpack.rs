//! Measures unpacking: `unpack DIRECTORY ARCHIVE…` prints the seconds that each archive took, with
//! and without waiting for the disk.

#![expect(clippy::print_stdout, reason = "it is what this program is for")]

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use hull_store::layer::Expected;
use hull_store::{Result, Store};

fn main() -> Result<()> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let root = paths.next().unwrap_or_else(|| "unpack.tmp".into());
    let store = Store::open(&root.join("store"))?;
    for path in paths {
        let began = Instant::now();
        let archive = File::open(&path).map_err(hull_store::Error::stream)?;
        let staged = store.layers.stage(archive, Expected::default())?;
        let unpacked = began.elapsed();
        rustix::fs::sync();
        println!(
            "{}: {:.3} s, {:.3} s with sync",
            path.display(),
            unpacked.as_secs_f64(),
            began.elapsed().as_secs_f64()
        );
        drop(staged);
    }
    Ok(())
}
