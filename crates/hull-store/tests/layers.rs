//! Layers of any archive, honest or not, on a real file system.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use common::{Tar, digest, gzip, zstd};
use hull_store::layer::{Expected, Layer};
use hull_store::{Error, Kind, Store};

struct Fixture {
    store: Store,
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // What an attack would reach if it got out.
        fs::write(dir.path().join("victim"), "untouched").unwrap();
        Self { store: Store::open(&dir.path().join("root")).unwrap(), dir }
    }

    fn put(&self, tar: &[u8], parent: Option<&Layer>) -> Result<Layer, Error> {
        let staged = self.store.layers.stage(tar, Expected::default())?;
        let parent = parent.map(|layer| &layer.chain);
        Ok((*self.store.layers.commit(staged, parent)?).clone())
    }

    fn base(&self, tar: Tar) -> PathBuf {
        self.put(&tar.end(), None).unwrap().path
    }

    /// The archive must be refused, and leave nothing.
    fn refuse(&self, tar: &[u8]) -> String {
        let error = self.put(tar, None).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error:?}");
        self.is_clean();
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    fn is_clean(&self) {
        let staging = self.store.root().join("layers/staging");
        assert_eq!(fs::read_dir(staging).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(self.dir.path().join("victim")).unwrap(), "untouched");
    }
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0_u8; 256];
    rustix::fs::lgetxattr(path, name, &mut value[..]).ok().map(|n| value[..n].to_vec())
}

#[test]
fn everything_a_file_can_be_is_kept() {
    let store = Fixture::new();
    let long = "n".repeat(200);
    let capability = "\u{1}\0\0\u{2}\0\u{4}\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let fs = store.base(
        Tar::new()
            .dir("./", 0o751)
            .dir("d/", 0o1777)
            .file("d/f", "text")
            .member(b'0', "suid", "", b"x", 0o4755)
            .member(b'0', "mine", "", b"x", 0o600)
            .hardlink("d/hard", "d/f")
            .symlink("link", "/etc/passwd")
            .member(b'6', "fifo", "", b"", 0o640)
            .pax(&[("path", &long), ("mtime", "12.5"), ("uid", "70000")])
            .file("short", "x")
            .pax(&[
                ("SCHILY.xattr.security.capability", capability),
                ("SCHILY.xattr.user.note", "hi"),
                ("SCHILY.xattr.trusted.overlay.redirect", "/etc"),
                ("SCHILY.xattr.user.overlay.opaque", "y"),
                ("SCHILY.xattr.trusted.overlay.opaque", "y"),
            ])
            .file("attributes", "x"),
    );
    let stat = |name: &str| fs.join(name).symlink_metadata().unwrap();
    assert_eq!(fs.metadata().unwrap().mode() & 0o7777, 0o751);
    assert_eq!(stat("d").mode() & 0o7777, 0o1777);
    assert_eq!(stat("d").mtime(), 1_000_000_000);
    assert_eq!(stat("suid").mode() & 0o7777, 0o4755);
    assert_eq!(stat("mine").uid(), 1_000);
    assert_eq!((stat("d/f").ino(), stat("d/f").nlink()), (stat("d/hard").ino(), 2));
    assert_eq!(fs::read_link(fs.join("link")).unwrap(), Path::new("/etc/passwd"));
    assert!(stat("fifo").file_type().is_fifo() && stat("fifo").mode() & 0o777 == 0o640);
    let long = stat(&long);
    assert_eq!((long.mtime(), long.mtime_nsec(), long.uid()), (12, 500_000_000, 70_000));
    let file = fs.join("attributes");
    assert_eq!(xattr(&file, "security.capability").unwrap(), capability.as_bytes());
    assert_eq!(xattr(&file, "user.note").unwrap(), b"hi");
    for forbidden in ["trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.opaque"] {
        assert_eq!(xattr(&file, forbidden), None, "{forbidden}");
    }
}

#[test]
fn names_that_are_not_utf_8_and_files_with_holes_are_kept() {
    use std::os::unix::ffi::OsStrExt;
    let store = Fixture::new();
    let mut raw = Tar::new().file("x__y", "odd").unmarked();
    raw[1..3].copy_from_slice(&[0xff, 0xfe]);
    let mut header = tar::Header::from_byte_slice(&raw[..512]).clone();
    header.set_cksum();
    raw[..512].copy_from_slice(header.as_bytes());
    // PAX sparse 1.0: the map, padded, then the data.
    let mut data = b"2\n0\n3\n1000000\n4\n".to_vec();
    data.resize(512, 0);
    data.extend_from_slice(b"abcwxyz");
    let sparse = Tar::new()
        .pax(&[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "holes"),
            ("GNU.sparse.realsize", "1000004"),
        ])
        .bytes("GNUSparseFile.0/holes", &data)
        .file("after", "x")
        .end();
    raw.extend_from_slice(&sparse);
    let fs = store.put(&raw, None).unwrap().path;
    assert!(fs.join(std::ffi::OsStr::from_bytes(b"x\xff\xfey")).exists());
    let holes = fs::read(fs.join("holes")).unwrap();
    assert_eq!(
        (holes.len(), &holes[..4], &holes[1_000_000..]),
        (1_000_004, &b"abc\0"[..], &b"wxyz"[..])
    );
    assert!(fs.join("holes").metadata().unwrap().blocks() < 100 && fs.join("after").exists());
}

#[test]
fn nothing_leaves_the_layer() {
    let store = Fixture::new();
    let victim = store.dir.path().join("victim");
    let outside = store.dir.path().to_str().unwrap().to_owned();
    for tar in [
        Tar::new().file("../victim", "owned"),
        Tar::new().file("a/../../victim", "owned"),
        Tar::new().hardlink("x", "../../../../victim"),
        Tar::new().hardlink("x", victim.to_str().unwrap()),
        Tar::new().symlink("out", "../../../..").hardlink("x", "out/victim"),
        Tar::new().file(".wh...", ""),
        Tar::new().file("a/.wh..", ""),
        Tar::new().hardlink("x", "/"),
        Tar::new().file("", "owned"),
        Tar::new().symlink("dangling", "nowhere").file("dangling/f", "x"),
        Tar::new().file("file", "x").file("file/f", "x"),
        Tar::new().symlink("loop", "loop").file("loop/f", "x"),
        Tar::new().symlink("proc", "/proc/self/root").file("proc/etc/owned", "x"),
    ] {
        let staged = store.store.layers.stage(tar.end().as_slice(), Expected::default());
        let made = staged.and_then(|staged| store.store.layers.commit(staged, None));
        let error = made.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error:?}");
        store.is_clean();
    }
    // Symlinks are followed inside the layer, whatever they say.
    let fs = store.base(
        Tar::new()
            .dir("real/", 0o755)
            .symlink("absolute", "/real")
            .file("absolute/one", "1")
            .symlink("climbing", "../../../../../real")
            .file("climbing/two", "2")
            .dir(outside.trim_start_matches('/'), 0o755)
            .symlink("back", &outside)
            .file("back/victim", "owned")
            .symlink("over", victim.to_str().unwrap())
            .file("over", "owned"),
    );
    assert!(fs.join("real/one").exists() && fs.join("real/two").exists());
    assert!(fs.join("over").symlink_metadata().unwrap().is_file());
    store.is_clean();
}

#[test]
fn later_members_replace_earlier_ones() {
    let store = Fixture::new();
    let fs = store.base(
        Tar::new()
            .dir("a/", 0o755)
            .file("a/f", "1")
            .symlink("a", "b")
            .file("c", "1")
            .dir("c/", 0o700)
            .file("c/in", "x")
            .file("d", "old")
            .file("d", "new")
            .file("e", "one")
            .hardlink("e", "e")
            .hardlink("g", "./e")
            .pax(&[("mtime", "5")])
            .dir("t/", 0o755)
            .pax(&[("mtime", "7")])
            .dir("t/", 0o755),
    );
    assert_eq!(fs.join("t").metadata().unwrap().mtime(), 7);
    assert_eq!(fs::read_link(fs.join("a")).unwrap(), Path::new("b"));
    assert!(fs.join("c/in").exists());
    assert_eq!(fs::read_to_string(fs.join("d")).unwrap(), "new");
    assert_eq!(fs::read_to_string(fs.join("g")).unwrap(), "one");
}

#[test]
fn layers_show_on_overlayfs_what_the_archives_meant() {
    let store = Fixture::new();
    let lower = Tar::new()
        .dir("keep/", 0o701)
        .file("keep/old", "old")
        .file("keep/gone", "x")
        .file("file", "linked")
        .dir("opaque/", 0o755)
        .file("opaque/hidden", "x")
        .dir("again/", 0o755)
        .file("again/hidden", "x")
        .file("first/hidden", "x");
    let base = store.put(&lower.end(), None).unwrap();
    let upper = Tar::new()
        .file("keep/new", "new")
        .file("keep/.wh.gone", "")
        .hardlink("keep/second", "file")
        .hardlink("elsewhere/third", "keep/second")
        .dir("opaque/", 0o755)
        .file("opaque/.wh..wh..opq", "")
        .file(".wh.again", "")
        .dir("again/", 0o755)
        .file("again/fresh", "x")
        .dir("first/", 0o755)
        .file("first/fresh", "x")
        .hardlink(".wh.first", "keep/nothing");
    let top = store.put(&upper.end(), Some(&base)).unwrap();
    let root = hull_store::view::read_only(&store.store.layers.directories(&top.chain).unwrap());
    let root = root.unwrap();
    let merged = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root)));
    let names = |dir: &str| {
        let all = fs::read_dir(merged.join(dir)).unwrap();
        let mut all: Vec<_> =
            all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    };
    assert_eq!(names("keep"), ["new", "old", "second"]);
    assert_eq!(merged.join("keep").metadata().unwrap().mode() & 0o777, 0o701);
    assert_eq!(merged.join("keep").metadata().unwrap().mtime(), 1_000_000_000);
    let ino = |name: &str| top.path.join(name).metadata().unwrap().ino();
    assert_eq!((ino("file"), ino("file")), (ino("keep/second"), ino("elsewhere/third")));
    assert_eq!(fs::read_to_string(merged.join("elsewhere/third")).unwrap(), "linked");
    assert!(names("opaque").is_empty());
    assert_eq!(
        (names("again"), names("first")),
        (vec!["fresh".to_owned()], vec!["fresh".to_owned()])
    );

    let everything = Tar::new().file(".wh..wh..opq", "").file("only", "x").end();
    let alone = store.put(&everything, Some(&base)).unwrap();
    let root = hull_store::view::read_only(&store.store.layers.directories(&alone.chain).unwrap());
    let root = root.unwrap();
    let merged = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root));
    assert_eq!(fs::read_dir(merged).unwrap().count(), 1);
}

#[test]
fn a_second_name_of_a_socket_below_is_refused_by_name() {
    let store = Fixture::new();
    let base = store.put(&Tar::new().dir("run/", 0o755).end(), None).unwrap();
    // Not from an archive, which cannot have one.
    let socket = base.path.join("run/s");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &socket,
        rustix::fs::FileType::Socket,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let error = store.put(&Tar::new().hardlink("x", "run/s").end(), Some(&base)).unwrap_err();
    assert!(error.to_string().contains("no \"run/s\" to link to"), "{error}");
    assert_eq!(error.kind(), Kind::Invalid);
    store.is_clean();
}

#[test]
fn compression_is_told_by_content_and_digests_are_verified() {
    let store = Fixture::new();
    let plain = Tar::new().file("f", "x").end();
    for blob in [
        plain.clone(),
        gzip(&plain),
        zstd(&plain),
        [gzip(&plain[..512]), gzip(&plain[512..])].concat(),
    ] {
        let expected = Expected { blob: Some(digest(&blob)), diff_id: Some(digest(&plain)) };
        let staged = store.store.layers.stage(blob.as_slice(), expected).unwrap();
        assert_eq!((staged.diff_id, staged.blob_bytes), (digest(&plain), blob.len() as u64));
        for wrong in [
            Expected { blob: Some(digest(b"")), diff_id: None },
            Expected { blob: None, diff_id: Some(digest(b"")) },
        ] {
            let error = store.store.layers.stage(blob.as_slice(), wrong).err().unwrap();
            assert!(error.to_string().contains("as promised"), "{error}");
        }
    }
    store.is_clean();
    assert!(store.refuse(b"BZh91AY").contains("bzip2 compression is not supported"));
}

#[test]
fn what_is_cut_off_damaged_or_too_much_is_refused() {
    let store = Fixture::new();
    let plain = Tar::new().file("a", &"x".repeat(5_000)).file("b", "y");
    let whole = plain.end();
    for length in (0..whole.len() - 512).step_by(97).filter(|length| *length > 0) {
        store.refuse(&whole[..length]);
        let packed = gzip(&whole);
        store.refuse(&packed[..length.min(packed.len() - 1)]);
    }
    store.refuse(b"");
    store.refuse(b"not an archive at all");
    assert!(store.refuse(&Tar::new().member(b'V', "label", "", b"", 0).end()).contains("'V'"));
    let giant = Tar::new().pax(&[("size", "99999999999999999")]).file("a", "x").end();
    assert!(store.refuse(&giant).contains("more than"));
    let names = Tar::new().pax(&[("path", &"a/".repeat(3_000))]).file("a", "x").end();
    assert!(store.refuse(&names).contains("4095 bytes in a name"));
    let record = "x".repeat(2 << 20);
    assert!(
        store
            .refuse(&Tar::new().pax(&[("comment", &record)]).file("a", "").end())
            .contains("extension")
    );
    let long = "x".repeat(300);
    assert!(store.refuse(&Tar::new().pax(&[("path", &long)]).file("a", "").end()).contains("255"));
    let ids = Tar::new().pax(&[("uid", "4294967295")]).file("a", "x").end();
    assert!(store.refuse(&ids).contains("uid"));
}

#[test]
fn a_bomb_is_refused_before_it_fills_the_disk() {
    let store = Fixture::new();
    // 4 GiB of zeros in a hole-free member, as a zstd stream of some hundred kilobytes.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(4 << 30);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    // An unknown kind of member would be refused; a directory's data is not even read. So: a
    // global header, which is skipped and still must be decompressed.
    header.set_entry_type(tar::EntryType::XGlobalHeader);
    header.set_cksum();
    std::io::Write::write_all(&mut encoder, header.as_bytes()).unwrap();
    let zeros = vec![0; 8 << 20];
    for _ in 0..(4_usize << 30) / zeros.len() {
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(store.refuse(&bomb).contains("when decompressed"));
}
