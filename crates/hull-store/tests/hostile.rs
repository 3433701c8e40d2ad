//! Archives of chance: whatever they say, nothing panics and nothing leaves the layer.

mod common;

use std::fs;

use common::Tar;
use hull_store::Store;
use hull_store::layer::Expected;
use hull_store::tarball::{Limits, Reader};
use hull_store::tree::{Owners, copy_into, usage};
use proptest::prelude::*;

fn member() -> impl Strategy<Value = (u8, String, String, String)> {
    let name = "(\\.\\./|/|\\./|a/|b/|c/|l/|\\.wh\\.){0,4}(a|b|c|l|\\.\\.|\\.wh\\.a|\\.wh\\.\\.wh\\.\\.opq|)";
    let link = "(\\.\\./|/|a/|b/|l/){0,3}(a|b|c|l|outside|\\.\\.|)";
    (prop::sample::select(b"0123456".to_vec()), name, link, "[xyz]{0,9}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn members_of_chance_stay_inside(members in prop::collection::vec(member(), 1..12)) {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "untouched").unwrap();
        let store = Store::open(&dir.path().join("root")).unwrap();
        let mut tar = Tar::new();
        for (kind, path, link, data) in &members {
            let data = if *kind == b'0' { data.as_bytes() } else { b"" };
            tar = tar.member(*kind, path, link, data, 0o755);
        }
        let staged = store.layers.stage(tar.end().as_slice(), Expected::default());
        let layer = staged.and_then(|staged| store.layers.commit(staged, None));
        prop_assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
        prop_assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        prop_assert_eq!(fs::read_dir(store.root()).unwrap().filter(|e| {
            let name = e.as_ref().unwrap().file_name();
            !["hull.db", "hull.db-wal", "lock", "trash", "content", "layers", "volumes", "guests"]
                .contains(&name.to_str().unwrap())
        }).count(), 0);
        prop_assert_eq!(fs::read_dir(store.root().join("layers/staging")).unwrap().count(), 0);
        if let Ok(layer) = layer {
            // What was unpacked can be measured, copied and removed.
            usage(&layer.path).unwrap();
            let copy = dir.path().join("copy");
            fs::create_dir(&copy).unwrap();
            let root = fs::File::open(&layer.path).unwrap();
            let root = std::os::fd::AsFd::as_fd(&root);
            prop_assert!(copy_into(root, "/".as_ref(), &copy, Owners::Same).unwrap());
            prop_assert_eq!(usage(&copy).unwrap().entries, usage(&layer.path).unwrap().entries);
            hull_store::tree::remove(&copy).unwrap();
        }
    }

    #[test]
    fn bytes_of_chance_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..4_000),
        damage in prop::collection::vec((0..3_000_usize, any::<u8>()), 0..6),
    ) {
        let drain = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes, Limits::default());
            while let Ok(Some(_member)) = reader.next_member() {}
        };
        drain(&bytes);
        let mut tar = Tar::new()
            .pax(&[("path", "long"), ("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "5")])
            .file("f", "x")
            .file("g", "y")
            .end();
        for (at, byte) in damage {
            let at = at % tar.len();
            tar[at] = byte;
        }
        drain(&tar);
    }
}

#[test]
fn a_volume_begins_with_what_the_image_has_there() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("root")).unwrap();
    let tar = Tar::new()
        .dir("srv/", 0o2750)
        .member(b'0', "srv/mine", "", b"text", 0o600)
        .hardlink("srv/again", "srv/mine")
        .symlink("srv/out", "/etc/passwd")
        .dir("srv/deep/", 0o700)
        .file("srv/deep/f", "x")
        .symlink("link", "/srv")
        .symlink("escape", "../../../..")
        .end();
    let layer = store.layers.stage(tar.as_slice(), Expected::default()).unwrap();
    let layer = store.layers.commit(layer, None).unwrap();
    let root = fs::File::open(&layer.path).unwrap();
    let root = std::os::fd::AsFd::as_fd(&root);
    let name = hull_model::name::Name::new("data").unwrap();
    let (volume, _) = store.volumes.create(&name).unwrap();
    // Through a symlink that is absolute inside the image.
    assert!(copy_into(root, "/link".as_ref(), &volume, Owners::Same).unwrap());
    assert_eq!(volume.metadata().unwrap().mode() & 0o7777, 0o2750);
    let mine = volume.join("mine").metadata().unwrap();
    assert_eq!((mine.uid(), mine.mode() & 0o777, mine.mtime()), (1_000, 0o600, 1_000_000_000));
    assert_eq!(mine.ino(), volume.join("again").metadata().unwrap().ino());
    assert_eq!(volume.join("deep").metadata().unwrap().mtime(), 1_000_000_000);
    assert_eq!(fs::read_link(volume.join("out")).unwrap(), std::path::Path::new("/etc/passwd"));
    let (other, _) = store.volumes.create(&hull_model::name::Name::new("other").unwrap()).unwrap();
    assert!(!copy_into(root, "/none".as_ref(), &other, Owners::Same).unwrap());
    assert!(!copy_into(root, "/escape/etc".as_ref(), &other, Owners::Same).unwrap());
    assert!(!copy_into(root, "/srv/mine".as_ref(), &other, Owners::Same).unwrap());
    assert!(copy_into(root, "/srv/deep".as_ref(), &other, Owners::Without(5)).unwrap());
    assert_eq!(other.join("f").metadata().unwrap().uid(), 65_534);
}
