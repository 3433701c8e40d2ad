//! Archives that ask for more than they may have: memory, time, names or disk.

mod common;

use common::{Tar, zstd};
use hull_store::layer::Expected;
use hull_store::tarball::{Limits, Reader, TarError};
use hull_store::{Kind, Store};

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

#[test]
fn names_in_an_image_archive_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("root")).unwrap();
    let long = "n/".repeat(2_000);
    let mut tar = Tar::new();
    for n in 0..2_200 {
        let (path, link) = (format!("{long}{n}"), format!("{long}{n}x"));
        tar = tar.pax(&[("path", &path), ("linkpath", &link)]).symlink("s", "t");
    }
    let error = store.images.load(tar.end().as_slice(), None).unwrap_err();
    assert!(error.to_string().contains("bytes of names"), "{error}");
}

#[test]
fn what_is_skipped_counts_too() {
    let zeros = vec![0; 4 << 20];
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let global = Tar::new().lying(b'g', "pax", zeros.len() as u64, &zeros).end();
    assert!(first_error(&global, limits).to_string().contains("more than 1048576 bytes"));
    let data = Tar::new().bytes("f", &zeros).end();
    assert!(first_error(&data, limits).to_string().contains("more than 1048576 bytes"));
}

#[test]
fn data_after_the_end_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("root")).unwrap();
    let mut tar = Tar::new().file("f", "x").end();
    // GNU tar fills its last record, of any length one asks for.
    tar.resize(tar.len() + (8 << 20), 0);
    store.layers.stage(tar.as_slice(), Expected::default()).unwrap();
    tar.resize(tar.len() + (64 << 20), 0);
    for tar in [zstd(&tar), tar] {
        let error = store.layers.stage(tar.as_slice(), Expected::default()).err().unwrap();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("bytes after its end"), "{error}");
        let error = store.images.load(tar.as_slice(), None).unwrap_err();
        assert!(error.to_string().contains("bytes after its end"), "{error}");
    }
}
