//! A layer of any bytes: it is unpacked inside its directory or refused, and leaves nothing then.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use hull_store::Store;
use hull_store::layer::Expected;
use libfuzzer_sys::fuzz_target;

static STORE: LazyLock<(tempfile::TempDir, Store)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory for the store");
    fs::write(dir.path().join("victim"), "untouched").expect("a file to attack");
    let store = Store::open(&dir.path().join("root")).expect("an empty store");
    (dir, store)
});

fuzz_target!(|bytes: &[u8]| {
    let (dir, store) = &*STORE;
    let mut bytes = bytes.to_vec();
    bytes.chunks_exact_mut(512).for_each(seal);
    if let Ok(staged) = store.layers.stage(bytes.as_slice(), Expected::default()) {
        // Not kept: the next input begins with an empty store too.
        drop(staged);
    }
    let victim = fs::read(dir.path().join("victim")).expect("the file to attack");
    assert_eq!(victim, b"untouched");
    assert_eq!(fs::read_dir(dir.path()).expect("the directory").count(), 2);
    let staging = store.root().join("layers/staging");
    assert_eq!(fs::read_dir(staging).expect("the staging directory").count(), 0);
});

/// Makes the checksum right where a header may be: chance alone would never pass it.
fn seal(block: &mut [u8]) {
    if &block[257..262] == b"ustar" {
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}
