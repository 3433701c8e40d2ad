//! Archives that ask for more than they may have: memory, time, names or disk.

mod common;

use common::Tar;
use hull_store::Store;
use hull_store::layer::Expected;
use hull_store::tarball::{Limits, Reader, TarError};

fn first_error(tar: &[u8], limits: Limits) -> TarError {
    let mut reader = Reader::new(tar, limits);
    loop {
        match reader.next_member() {
            Ok(Some(_member)) => {}
            Ok(None) => panic!("nothing was refused"),
            Err(e) => return e,
        }
    }
}

#[test]
fn lengths_of_extensions_do_not_wrap() {
    for kind in [b'x', b'L', b'K'] {
        for size in [u64::MAX, u64::MAX - 511, u64::MAX - 9, 1 << 63] {
            let alone = Tar::new().lying(kind, "pax", size, b"10 path=a\n").end();
            // The sum of both is small once it has wrapped.
            let second = Tar::new().pax(&[("path", "a")]).lying(kind, "pax", size, b"").end();
            for tar in [alone, second] {
                let error = first_error(&tar, Limits::default());
                assert!(error.to_string().contains("extension records"), "{size}: {error:?}");
            }
        }
    }
}

#[test]
fn one_name_does_not_make_two_thousand_directories() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("root")).unwrap();
    let deep = Tar::new().pax(&[("path", &("a/".repeat(2_040) + "f"))]).file("f", "").end();
    let error = store.layers.stage(deep.as_slice(), Expected::default()).err().unwrap();
    assert!(error.to_string().contains("more than 256 parts"), "{error}");
}
