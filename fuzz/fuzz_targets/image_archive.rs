//! The two documents of an image archive, of any text.
#![no_main]

use std::sync::LazyLock;

use hull_store::Store;
use libfuzzer_sys::fuzz_target;

static STORE: LazyLock<(tempfile::TempDir, Store)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory for the store");
    let store = Store::open(&dir.path().join("root")).expect("an empty store");
    (dir, store)
});

fuzz_target!(|documents: (String, String, String)| {
    let store = &STORE.1;
    let (manifest, index, config) = documents;
    let mut tar = Vec::new();
    for (name, text) in [("manifest.json", manifest), ("index.json", index), ("c", config)] {
        if !text.is_empty() {
            tar.extend_from_slice(&header(name, text.len()));
            tar.extend_from_slice(text.as_bytes());
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
    }
    tar.resize(tar.len() + 1_024, 0);
    if store.images.load(tar.as_slice(), None).is_err() {
        let blobs = store.root().join("content/blobs/sha256");
        assert_eq!(std::fs::read_dir(blobs).expect("the blobs").count(), 0);
    } else {
        store.images.prune(&|_| false).expect("nobody uses it");
    }
});

/// A header of a plain file, in the oldest form.
fn header(name: &str, length: usize) -> [u8; 512] {
    let mut block = [0_u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    for field in [100..108, 108..116, 116..124] {
        block[field].copy_from_slice(b"0000644\0");
    }
    block[124..136].copy_from_slice(format!("{length:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[148..156].copy_from_slice(b"        ");
    block[156] = b'0';
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}
