//! The store after its process was killed, and on a full disk.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Tar, docker_archive, gzip};
use hull_store::records::{Change, Records, Table};
use hull_store::{Kind, Store};

const TABLE: Table = Table::new("test");
const ROOT: &str = "HULL_STORE_TEST_ROOT";
const ROLE: &str = "HULL_STORE_TEST_ROLE";

/// This test program again, to be killed.
#[expect(clippy::disallowed_methods, reason = "a test that starts itself needs no clean spawn")]
fn child(role: &str, root: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_the_child_does", "--nocapture"])
        .env(ROLE, role)
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test by itself: what a killed child was at.
#[test]
#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn what_the_child_does() {
    let (Ok(role), Ok(root)) = (std::env::var(ROLE), std::env::var(ROOT)) else { return };
    if role == "records" {
        let records = Records::open(Path::new(&root)).unwrap();
        let last = records.get(TABLE, "last").unwrap().unwrap_or_default();
        let mut n: u64 = String::from_utf8(last).unwrap().parse().unwrap_or(0);
        loop {
            n += 1;
            records.batch(&batch(n, 600)).unwrap();
            println!("\nacknowledged {n}");
        }
    }
    let store = Store::open(Path::new(&root)).unwrap();
    for n in 0.. {
        store.images.load(archive(n % 3).as_slice(), None).unwrap();
        println!("\nacknowledged {n}");
        let removed = format!("app:{}", (n + 1) % 3);
        if store.images.resolve(&removed).is_ok() {
            store.images.remove(&removed, hull_store::image::Force::No, &|_| Vec::new()).unwrap();
        }
    }
}

/// Two rows that must always be the same.
fn batch(n: u64, size: usize) -> Vec<Change> {
    let value = [n.to_string().into_bytes(), vec![b' '; size]].concat();
    let row = |side: &str| Change::Put(TABLE, format!("{side}{}", n % 100), value.clone());
    vec![row("a"), row("b"), Change::Put(TABLE, "last".into(), n.to_string().into_bytes())]
}

fn torn(records: &Records) -> usize {
    let same = |n: &usize| {
        let row = |side: &str| records.get(TABLE, &format!("{side}{n}")).unwrap();
        row("a") == row("b")
    };
    (0..100).filter(|n| !same(n)).count()
}

fn archive(n: u32) -> Vec<u8> {
    let mut own = Tar::new();
    for file in 0..50 {
        own = own.file(&format!("dir{file}/f"), &format!("{n} {}", "x".repeat(5_000)));
    }
    let base = Tar::new().file("base", "b").end();
    gzip(&docker_archive(&[base, own.end()], &[&format!("app:{n}")], "x"))
}

/// Kills the child after `delay`; returns the last number it acknowledged.
fn kill_after(mut child: Child, delay: Duration) -> Option<u64> {
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let acknowledged = |line: String| line.strip_prefix("acknowledged ")?.parse().ok();
        out.lines().map_while(Result::ok).filter_map(acknowledged).last()
    });
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn a_commit_survives_the_death_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hull.db");
    let mut commits = 0;
    for round in 0..25 {
        let delay = Duration::from_micros(8_000 + round * 7_919 % 30_000);
        let acknowledged = kill_after(child("records", &path), delay);
        let records = Records::open(&path).unwrap();
        let last = records.get(TABLE, "last").unwrap().unwrap_or_default();
        let last = String::from_utf8(last).unwrap().parse().unwrap_or(0);
        assert!(acknowledged.is_none_or(|number| number <= last), "{acknowledged:?} {last}");
        assert_eq!(torn(&records), 0);
        commits = last;
    }
    assert!(commits > 0, "no child lived long enough to commit");
}

#[test]
fn a_store_whose_process_was_killed_opens_clean() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let mut loaded = 0;
    for round in 0..30 {
        // Longer where nothing was loaded in time, as on a busy machine.
        let patience = if loaded == 0 { 1 + round / 5 } else { 1 };
        let delay = Duration::from_micros((5_000 + round * 7_919 % 120_000) * patience);
        loaded += usize::from(kill_after(child("load", &root), delay).is_some());
        let store = Store::open(&root).unwrap();
        store.trash.wait();
        let images = store.images.list();
        let blobs: usize = images.len() * 3 + usize::from(!images.is_empty());
        let count = |path: &str| fs::read_dir(root.join(path)).unwrap().count();
        assert_eq!(count("content/blobs/sha256"), blobs, "round {round}");
        let layers = images.len() + usize::from(!images.is_empty());
        assert_eq!((count("layers"), store.layers.list().len()), (layers + 1, layers));
        assert_eq!(["content/ingest", "layers/staging", "trash"].map(count), [0, 0, 0]);
        for named in images {
            let top = &named.image.layer_dirs[0];
            assert_eq!(fs::read_dir(top).unwrap().count(), 50);
            assert!(
                (0..50).all(|n| fs::read(top.join(format!("dir{n}/f"))).unwrap().len() == 5_002)
            );
        }
    }
    assert!(loaded > 0, "no child lived long enough to load an image");
}

/// A small file system of its own, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(size: &std::ffi::CStr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", dir.path(), "tmpfs", flags, size).unwrap();
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let flags = rustix::mount::UnmountFlags::DETACH;
        rustix::mount::unmount(self.0.path(), flags).unwrap();
    }
}

#[test]
fn records_on_a_full_disk_refuse_and_go_on_when_there_is_room() {
    let disk = SmallDisk::new(c"size=2m");
    let path = disk.0.path();
    let ballast = path.join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let records = Records::open(&path.join("hull.db")).unwrap();
    let full = (1..500).find_map(|n| records.batch(&batch(n, 8_000)).err().map(|e| (n, e)));
    let (failed, error) = full.unwrap();
    assert_eq!(hull_store::Error::from(error).kind(), Kind::Full);
    let last = records.get(TABLE, "last").unwrap().unwrap();
    assert_eq!(String::from_utf8(last).unwrap(), (failed - 1).to_string());
    assert_eq!(torn(&records), 0);
    fs::remove_file(ballast).unwrap();
    records.batch(&batch(failed, 8_000)).unwrap();
    drop(records);
    assert_eq!(torn(&Records::open(&path.join("hull.db")).unwrap()), 0);
}

#[test]
fn files_are_refused_before_inodes_run_out() {
    let disk = SmallDisk::new(c"size=64m,nr_inodes=300");
    let store = Store::open(&disk.0.path().join("root")).unwrap();
    let many = (0..400).fold(Tar::new(), |tar, n| tar.file(&format!("f{n}"), ""));
    let error = store.layers.stage(many.end().as_slice(), Default::default()).err().unwrap();
    assert_eq!(error.kind(), Kind::Full, "{error:?}");
    let deep = Tar::new().pax(&[("path", &"d/".repeat(250))]).dir("d", 0o755);
    let deep = (0..2).fold(deep, |tar, n| {
        tar.pax(&[("path", &format!("{n}/{}", "d/".repeat(250)))]).dir("d", 0o755)
    });
    let error = store.layers.stage(deep.end().as_slice(), Default::default()).err().unwrap();
    assert_eq!(error.kind(), Kind::Full, "{error:?}");
    assert_eq!(fs::read_dir(store.root().join("layers/staging")).unwrap().count(), 0);
}

#[test]
fn an_image_that_does_not_fit_leaves_nothing() {
    let disk = SmallDisk::new(c"size=4m");
    let path = disk.0.path();
    let store = Store::open(&path.join("root")).unwrap();
    store.images.load(archive(0).as_slice(), None).unwrap();
    let blobs = fs::read_dir(path.join("root/content/blobs/sha256")).unwrap().count();
    // One that does not fit as a blob, and one that fits there and not unpacked.
    let noise: Vec<u8> =
        (0..6_u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    for data in [noise, vec![7; 6 << 20]] {
        let layer = gzip(&Tar::new().bytes("big", &data).end());
        let plain = Tar::new().bytes("big", &data).end();
        let config = common::config(&[common::digest(&plain)], "x");
        let manifest = r#"[{"Config":"c","RepoTags":["big:1"],"Layers":["l"]}]"#;
        let tar = Tar::new().bytes("c", &config).bytes("l", &layer).file("manifest.json", manifest);
        let error = store.images.load(tar.end().as_slice(), None).unwrap_err();
        assert_eq!(error.kind(), Kind::Full, "{error:?}");
        assert!(format!("{error:?}").contains("not enough space"), "{error:?}");
        // Refused before the disk was full for others too.
        let now = rustix::fs::statvfs(path).unwrap();
        assert!(now.f_bavail * now.f_frsize >= 4 << 20 >> 5, "{}", now.f_bavail);
        store.trash.wait();
        let count = |at: &str| fs::read_dir(path.join("root").join(at)).unwrap().count();
        assert_eq!(
            ["content/blobs/sha256", "content/ingest", "layers/staging", "trash"].map(count),
            [blobs, 0, 0, 0]
        );
        assert_eq!(store.images.list().len(), 1);
    }
    drop(store);
    let store = Store::open(&path.join("root")).unwrap();
    assert!(store.images.resolve("app:0").is_ok());
}
