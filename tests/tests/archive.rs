//! Files copied from and to containers, listed, exported and made images of: with the real clients, and
//! with guests and archives that mean harm.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use hull_tests::images::{file, link};
use hull_tests::{Daemon, daemon};

const RUN: &str = "run -d --network none --stop-timeout 0";

/// A tar archive with what `fill` puts in.
fn archive(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    fill(&mut builder);
    builder.into_inner().unwrap()
}

fn put(d: &Daemon, container: &str, query: &str, bytes: &[u8]) -> (u16, String) {
    let mut connection = d.connect();
    let line = format!("PUT /containers/{container}/archive?{query}");
    connection.request(&line, "Content-Type: application/x-tar\r\n", bytes);
    let answer = connection.answer();
    let message = if answer.status == 200 { String::new() } else { answer.message() };
    (answer.status, message)
}

/// `cp` both ways between the host and a container, and compares.
fn there_and_back(d: &Daemon, container: &str, directory: &str) {
    let flat = directory.replace('/', "-");
    let dir = d.files().join(format!("tree-{container}{flat}"));
    fs::create_dir_all(dir.join("sub/empty")).unwrap();
    fs::write(dir.join("file"), "some text\n").unwrap();
    fs::write(dir.join("sub/program"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(dir.join("sub/program"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(dir.join("file"), dir.join("sub/second")).unwrap();
    symlink("../file", dir.join("sub/link")).unwrap();
    symlink("/no/such", dir.join("dangling")).unwrap();
    std::os::unix::fs::chown(dir.join("file"), Some(33), Some(50)).unwrap();
    d.docker("cp").arg(&dir).arg(format!("{container}:{directory}/copy")).ok();
    let back = d.files().join(format!("back-{container}{flat}"));
    fs::create_dir_all(&back).unwrap();
    // Docker's own extraction gives everything to whoever copies; the archive tells the owners.
    let script = format!("docker cp {container}:{directory}/copy/. - | tar xpf -");
    let tool = hull_tests::Tool::new("sh", "-c").arg(script).directory(&back);
    tool.env("DOCKER_HOST", d.host()).ok();
    let list = |at: &Path| {
        let script =
            "find . -printf '%P %y %m %U:%G %l %n\n' | grep -v '^ ' | sort; cat file sub/second";
        hull_tests::Tool::new("sh", "-c").arg(script).directory(at).ok()
    };
    assert_eq!(list(&back), list(&dir), "{container}:{directory}");
}

#[test]
fn trees_are_copied_there_and_back_with_their_owners() {
    let d = daemon!();
    let mounts = "-v vol:/vol --tmpfs /mem busybox sleep 1000";
    d.docker(&format!("{RUN} --name running {mounts}")).ok();
    d.docker(&format!("create --name stopped --network none {mounts}")).ok();
    d.docker(&format!("{RUN} --name host --userns host {mounts}")).ok();
    d.docker(&format!("{RUN} --name frozen {mounts}")).ok();
    d.docker("pause frozen").ok();
    for (container, directory) in [
        ("running", "/tmp"),
        ("running", "/vol"),
        ("running", "/mem"),
        ("stopped", "/tmp"),
        ("host", "/srv"),
        ("frozen", "/tmp"),
    ] {
        if directory == "/srv" {
            d.docker("exec host mkdir -p /srv").ok();
        }
        there_and_back(&d, container, directory);
    }
    d.docker("unpause frozen").ok();
    // As the guest sees them, and as they are on disk.
    let seen = d.docker("exec running stat -c %u:%g:%a /tmp/copy/file /tmp/copy/sub/program").ok();
    assert_eq!(seen, "33:50:644\n0:0:4755");
    d.docker("stop -t 0 running").ok();
    d.docker("start running").ok();
    assert_eq!(d.docker("exec running cat /tmp/copy/file").ok(), "some text");
    // What a container that does not run had in a volume is in the volume.
    let dir = d.files().join("one");
    fs::write(&dir, "in a volume").unwrap();
    d.docker("cp").arg(&dir).arg("stopped:/vol/one").ok();
    assert_eq!(d.docker("exec running cat /vol/one").ok(), "in a volume");
    d.docker("start stopped").ok();
    assert_eq!(d.docker("exec stopped cat /tmp/copy/file").ok(), "some text");
}

#[test]
fn paths_mean_what_they_mean_to_docker() {
    let d = daemon!();
    let script = "mkdir -p /d/sub && echo f > /d/f && ln -s /d /link && ln -s nowhere /dangling \
                  && ln -s /etc/passwd /abs && exec sleep 1000";
    d.docker(&format!("{RUN} --name box busybox sh -c")).arg(script).ok();
    hull_tests::eventually("the links are there", || {
        (d.docker("exec box readlink /abs").run().status == 0).then_some(())
    });
    let names = |path: &str| {
        let list = format!("docker cp {path} - | tar tf - | sort");
        hull_tests::Tool::new("sh", "-c").arg(list).env("DOCKER_HOST", d.host()).ok()
    };
    assert_eq!(names("box:/d"), "d/\nd/f\nd/sub/");
    assert_eq!(names("box:/d/"), "d/\nd/f\nd/sub/");
    assert_eq!(names("box:/d/."), "./\n./f\n./sub/");
    assert_eq!(names("box:d/f"), "f");
    assert_eq!(names("box:/link"), "link");
    assert_eq!(names("box:/link/"), "link/\nlink/f\nlink/sub/");
    assert_eq!(names("-L box:/link"), "d/\nd/f\nd/sub/");
    assert_eq!(names("box:/dangling"), "dangling");
    let head = |path: &str| {
        let mut connection = d.connect();
        connection.request(&format!("HEAD /containers/box/archive?path={path}"), "", b"");
        connection.head()
    };
    assert_eq!(head("/none").status, 404);
    let stat = head("/abs");
    assert_eq!(stat.status, 200);
    let out = d.files().join("out");
    d.docker("cp box:/d").arg(&out).ok();
    assert!(out.join("sub").is_dir() && out.join("f").is_file());
    d.docker("cp box:/d").arg(&out).ok();
    assert!(out.join("d/sub").is_dir());
    d.docker("cp box:/d/.").arg(&out).ok();
    d.docker("cp box:/d/f").arg(out.join("renamed")).ok();
    assert_eq!(fs::read_to_string(out.join("renamed")).unwrap(), "f\n");
    let why = d.docker("cp box:/none").arg(&out).fails(1);
    assert!(why.contains("Could not find the file /none in container box"), "{why}");
    let why = d.docker("cp none:/etc").arg(&out).fails(1);
    assert!(why.contains("No such container: none"), "{why}");
    let why = d.docker("cp").arg(&out).arg("box:/no/such/dir").fails(1);
    assert!(why.contains("Could not find the file"), "{why}");
    let why = d.docker("cp").arg(out.join("f")).arg("box:/d/sub").ok();
    assert_eq!(why, "");
    let why = d.docker("cp").arg(&out).arg("box:/d/f").fails(1);
    assert!(why.contains("cannot copy directory"), "{why}");
    assert_eq!(put(&d, "box", "path=/d/f", b"").1, "extraction point is not a directory");
    assert_eq!(put(&d, "box", "path=", b"").0, 400);
    let one = archive(|tar| file(tar, "sub", 0o644, b"x"));
    let (status, why) = put(&d, "box", "path=/d&noOverwriteDirNonDir=true", &one);
    assert!(status == 400 && why.contains("cannot overwrite directory"), "{why}");
    assert_eq!(put(&d, "box", "path=/d", &one).0, 200);
    assert_eq!(d.docker("exec box cat /d/sub").ok(), "x");
    d.docker("rm -f box").ok();
}

#[test]
fn owners_are_those_of_the_archive_or_the_containers_user() {
    let d = daemon!();
    d.docker(&format!("{RUN} --name box --user alice busybox sleep 1000")).ok();
    let one = archive(|tar| {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_mode(0o600);
        header.set_uid(33);
        header.set_gid(50);
        tar.append_data(&mut header, "f", &b""[..]).unwrap();
    });
    for (query, owner) in [("path=/tmp", "33:50"), ("path=/tmp&copyUIDGID=1", "1000:1000")] {
        assert_eq!(put(&d, "box", query, &one), (200, String::new()));
        assert_eq!(d.docker("exec -u 0 box stat -c %u:%g /tmp/f").ok(), owner);
    }
    // No id of the host's comes in by way of one that the container has not.
    let far = archive(|tar| {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o600);
        header.set_uid(3_000_000);
        header.set_gid(0);
        tar.append_data(&mut header, "far", &b""[..]).unwrap();
    });
    let (status, why) = put(&d, "box", "path=/tmp", &far);
    assert!(status == 400 && why.contains("no user 3000000"), "{status} {why}");
}

#[test]
fn what_cannot_be_written_is_refused_in_dockers_words() {
    let d = daemon!();
    let mounts = "--read-only -v data:/data:ro -v rw:/rw --tmpfs /mem busybox sleep 1000";
    d.docker(&format!("{RUN} --name box {mounts}")).ok();
    d.docker(&format!("create --name stopped --network none {mounts}")).ok();
    let one = archive(|tar| file(tar, "f", 0o644, b"x"));
    for container in ["box", "stopped"] {
        for (path, want) in [
            ("/", "container rootfs is marked read-only"),
            ("/data", "mounted volume is marked read-only"),
            ("/rw", ""),
        ] {
            let (status, why) = put(&d, container, &format!("path={path}"), &one);
            assert_eq!(
                (status == 200, why.as_str()),
                (want.is_empty(), want),
                "{container}:{path}"
            );
        }
    }
    assert_eq!(put(&d, "box", "path=/mem", &one).0, 200);
    assert_eq!(d.docker("exec box cat /mem/f /rw/f").ok(), "xx");
    // What something is mounted on stays.
    d.docker(&format!("{RUN} --name hosts busybox sleep 1000")).ok();
    let hosts = archive(|tar| file(tar, "hosts", 0o644, b"x"));
    let (status, why) = put(&d, "hosts", "path=/etc", &hosts);
    assert!(status != 200 && why.contains("busy"), "{status} {why}");
    assert!(d.docker("exec hosts cat /etc/hosts").ok().contains("localhost"));
}

#[test]
fn the_kernels_files_are_not_there() {
    let d = daemon!();
    d.docker(&format!("{RUN} --name box busybox sleep 1000")).ok();
    for path in ["/proc/1/environ", "/proc/kmsg", "/sys/kernel/notes", "/proc/self/root/etc/passwd"]
    {
        let answer = d.get(&format!("/containers/box/archive?path={path}"));
        assert!(matches!(answer.status, 400 | 404), "{path}: {} {}", answer.status, answer.text());
    }
    let list = "docker cp box:/ - | tar tf - | grep -E '^/?(proc|sys)/' | sort";
    let seen = hull_tests::Tool::new("sh", "-c").arg(list).env("DOCKER_HOST", d.host()).ok();
    assert_eq!(seen, "/proc/\n/sys/");
    let one = archive(|tar| file(tar, "sys/kernel/core_pattern", 0o644, b"|/evil"));
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert_ne!(put(&d, "box", "path=/proc", &one).0, 200);
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), before);
    // A pipe, a device and a socket take no time.
    let make = "mkfifo /tmp/pipe; mknod /tmp/null c 1 3 2>/dev/null; true";
    d.docker("exec box sh -c").arg(make).ok();
    let list = "docker cp box:/tmp - | tar tvf - | cut -c1";
    let seen = hull_tests::Tool::new("sh", "-c").arg(list).env("DOCKER_HOST", d.host()).ok();
    assert!(seen.contains('p'), "{seen}");
}

#[test]
fn hostile_archives_stay_inside() {
    let d = daemon!();
    let victim = d.files().join("victim");
    fs::write(&victim, "safe").unwrap();
    let before = fs::metadata(&victim).unwrap();
    let out = d.files().to_str().unwrap().to_owned();
    d.docker(&format!("{RUN} --name box busybox sleep 1000")).ok();
    let name = victim.to_str().unwrap();
    for (what, bytes) in [
        ("up", archive(|tar| file_named(tar, &format!("../../../../..{name}"), b"evil"))),
        (
            "link",
            archive(|tar| {
                link(tar, tar::EntryType::Symlink, "out", &out);
                file(tar, "out/victim", 0o777, b"evil");
            }),
        ),
        (
            "hard",
            archive(|tar| {
                link(tar, tar::EntryType::Link, "hard", name);
                file(tar, "hard", 0o777, b"evil");
            }),
        ),
        (
            "over",
            archive(|tar| {
                link(tar, tar::EntryType::Symlink, "over", name);
                file(tar, "over", 0o777, b"evil");
            }),
        ),
        ("cut", archive(|tar| file(tar, "f", 0o644, &[1; 5_000]))[..2_000].to_vec()),
        ("noise", vec![7; 3_000]),
    ] {
        let (status, why) = put(&d, "box", "path=/tmp", &bytes);
        assert!(matches!(status, 200 | 400), "{what}: {status} {why}");
        let now = fs::metadata(&victim).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "safe", "{what}");
        assert_eq!((now.mode(), now.uid()), (before.mode(), before.uid()), "{what}");
    }
    assert_eq!(d.docker("exec box cat /tmp/over").ok(), "evil");
}

/// A member whose name the `tar` crate would refuse.
fn file_named(tar: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len().min(100)]
        .copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
}

#[test]
fn a_guest_that_swaps_links_while_files_are_copied_reaches_nothing_outside() {
    let d = daemon!();
    let outside = d.files().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret of the host").unwrap();
    let outside = outside.to_str().unwrap().to_owned();
    // `d` is now a directory, now a link to a place of the host's.
    // What is copied in may come between two renames: then it begins anew.
    let script = format!(
        "anew() {{ rm -rf d l x; mkdir d; echo inside > d/secret; ln -s {outside} l; }}; \
         mkdir /w; cd /w; anew; echo ready; \
         while :; do mv d x; mv l d; mv d l; mv x d; [ -L l ] || anew; \
         read -r t < d/secret; [ \"$t\" != evil ] || {{ echo copied; echo inside > d/secret; }}; \
         done"
    );
    let start = |name: &str| {
        d.docker(&format!("{RUN} --name {name} busybox sh -c")).arg(&script).ok();
        hull_tests::eventually("it swaps", || {
            d.docker(&format!("logs {name}")).ok().contains("ready").then_some(())
        });
    };
    start("read");
    let (mut copied, mut tries) = (0, 0);
    // On a machine with much to do the guest stands still for long.
    while tries < 200 || (copied == 0 && tries < 20_000) {
        tries += 1;
        let answer = d.get("/containers/read/archive?path=/w/d/secret");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("secret of the host"), "read from outside");
        copied += u32::from(text.contains("inside"));
    }
    assert!(copied > 0, "never copied anything");
    start("write");
    let (mut written, mut tries) = (0, 0);
    while tries < 120 || (written == 0 && tries < 20_000) {
        tries += 1;
        // Few members each: an archive that meets the link is refused as a whole.
        let nodes = archive(|tar| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Fifo);
            header.set_mode(0o777);
            header.set_size(0);
            tar.append_data(&mut header, format!("d/pipe{}", tries % 8), &b""[..]).unwrap();
            file(tar, "d/secret", 0o777, b"evil");
        });
        let (status, why) = put(&d, "write", "path=/w", &nodes);
        assert!(matches!(status, 200 | 400), "{status} {why}");
        written += u32::from(status == 200);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "written outside");
    }
    assert!(written > 0, "never wrote anything");
    hull_tests::eventually("the guest has what was copied", || {
        d.docker("logs write").ok().contains("copied").then_some(())
    });
    let secret = Path::new(&outside).join("secret");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret of the host");
    assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o777, 0o644);
}

/// A file capability as an archive has it: `CAP_CHOWN`, effective (`VFS_CAP_REVISION_2`).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn file_capabilities_count_in_the_guest_and_come_back_as_they_were() {
    let d = daemon!();
    let key = "SCHILY.xattr.security.capability";
    let busybox = fs::read(hull_tests::need::find("busybox").unwrap()).unwrap();
    let program = archive(|tar| {
        tar.append_pax_extensions([(key, &CAPABILITY[..])]).unwrap();
        file(tar, "busybox", 0o755, &busybox);
    });
    d.docker(&format!("{RUN} --name mapped busybox sleep 1000")).ok();
    d.docker(&format!("{RUN} --name host --userns host busybox sleep 1000")).ok();
    d.docker("create --name stopped --network none --stop-timeout 0 busybox sleep 1000").ok();
    for container in ["mapped", "host", "stopped"] {
        assert_eq!(put(&d, container, "path=/tmp", &program), (200, String::new()), "{container}");
        if container == "stopped" {
            d.docker("start stopped").ok();
        }
        let exec = format!("exec -u 1000 {container} /tmp/busybox grep CapEff /proc/self/status");
        assert_eq!(d.docker(&exec).ok(), "CapEff:\t0000000000000001", "{container}");
        let answer = d.get(&format!("/containers/{container}/archive?path=/tmp/busybox"));
        let mut back = tar::Archive::new(&answer.body[..]);
        let mut entry = back.entries().unwrap().next().unwrap().unwrap();
        let attributes = entry.pax_extensions().unwrap().expect("it has attributes");
        let attributes: Vec<_> = attributes.map(Result::unwrap).collect();
        let found = attributes.iter().find(|one| one.key() == Ok(key)).expect(container);
        assert_eq!(found.value_bytes(), CAPABILITY, "{container}");
    }
    d.docker("commit mapped made").ok();
    let run = "run --rm --network none -u 1000 made /tmp/busybox grep CapEff /proc/self/status";
    assert_eq!(d.docker(run).ok(), "CapEff:\t0000000000000001");
}

#[test]
fn a_client_that_takes_nothing_keeps_nobody_from_starting_and_removing() {
    let d = daemon!();
    let script = "dd if=/dev/zero of=/big bs=1M count=50 2>/dev/null";
    // Also of one that was never started, whose places for mounts are missing.
    d.docker("create --name fresh --network none -v vol:/new/place busybox true").ok();
    d.docker("run --name box --network none busybox sh -c").arg(script).ok();
    let mut stalled = Vec::new();
    for path in ["box/archive?path=/big", "box/export", "fresh/archive?path=/bin"] {
        let mut connection = d.connect();
        connection.request(&format!("GET /containers/{path}"), "", b"");
        assert_eq!(connection.head().status, 200, "{path}");
        stalled.push(connection);
    }
    for container in ["box", "fresh"] {
        d.docker(&format!("start -a {container}")).ok();
        d.docker(&format!("rm -f {container}")).ok();
    }
    assert_eq!(d.docker("ps -aq").ok(), "");
}

#[test]
fn a_full_file_system_is_an_error_and_the_guest_goes_on() {
    let d = daemon!();
    d.docker(&format!("{RUN} --name box --tmpfs /mem:size=1m busybox sleep 1000")).ok();
    let large = archive(|tar| file(tar, "large", 0o644, &vec![1; 4 << 20]));
    let (status, why) = put(&d, "box", "path=/mem", &large);
    assert!(status >= 400 && why.contains("large") && why.contains("space"), "{status} {why}");
    d.docker("exec box rm -f /mem/large").ok();
    let small = archive(|tar| file(tar, "small", 0o644, b"x"));
    assert_eq!(put(&d, "box", "path=/mem", &small), (200, String::new()));
    assert_eq!(d.docker("exec box cat /mem/small").ok(), "x");
}

#[test]
fn a_guest_that_goes_on_is_committed_and_exported_whole() {
    let d = daemon!();
    let script = "echo kept > /kept; echo ready; \
                  while :; do mkdir -p /w/d/e; echo x > /w/d/e/f; mv /w/d /w/x; rm -r /w/x; done";
    d.docker(&format!("{RUN} --name box busybox sh -c")).arg(script).ok();
    hull_tests::eventually("it works", || {
        d.docker("logs box").ok().contains("ready").then_some(())
    });
    for _ in 0..10 {
        d.docker("commit --pause=false box made").ok();
        assert_eq!(d.inspect("box")["State"]["Status"], "running");
        let list = "docker export box | tar tf -";
        let list = hull_tests::Tool::new("sh", "-c").arg(list).env("DOCKER_HOST", d.host()).ok();
        assert!(list.contains("kept") && list.contains("bin/busybox"), "{list}");
        d.docker("diff box").ok();
    }
    assert_eq!(d.docker("run --rm --network none made cat /kept").ok(), "kept");
}

#[test]
fn compressed_archives_are_unpacked() {
    let d = daemon!();
    d.docker(&format!("{RUN} --name box busybox sleep 1000")).ok();
    let plain = archive(|tar| file(tar, "f", 0o644, b"text"));
    fs::write(d.files().join("a.tar"), &plain).unwrap();
    for program in ["cat", "gzip -c", "bzip2 -c", "xz -c", "zstd -q -c"] {
        let name = program.split(' ').next().unwrap();
        if name != "cat" && hull_tests::need::find(name).is_none() {
            eprintln!("skipped: there is no {name} here");
            continue;
        }
        let packed = d.files().join("packed");
        let script = format!("{program} < a.tar > packed");
        hull_tests::Tool::new("sh", "-c").arg(script).directory(d.files()).ok();
        let answer = put(&d, "box", "path=/tmp", &fs::read(packed).unwrap());
        assert_eq!(answer, (200, String::new()), "{program}");
        assert_eq!(d.docker("exec box cat /tmp/f").ok(), "text");
        d.docker("exec box rm /tmp/f").ok();
    }
}

#[test]
fn diff_shows_what_docker_shows() {
    let d = daemon!();
    d.docker(&format!("{RUN} --name box -v data:/data busybox sleep 1000")).ok();
    let changed = |name: &str| {
        let all = d.docker(&format!("diff {name}")).ok();
        all.lines().filter(|line| !line.ends_with("/data")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(changed("box"), Vec::<String>::new());
    let script = "echo x > /new; rm /etc/group; echo y >> /etc/passwd; mkdir -p /a/b; \
                  rm -r /var/www; mkdir /var/www; echo v > /data/v; chmod 711 /root";
    d.docker("exec box sh -c").arg(script).ok();
    let want = [
        "A /a",
        "A /a/b",
        "A /new",
        "C /etc",
        "C /etc/passwd",
        "C /root",
        "C /var",
        "C /var/www",
        "D /etc/group",
        "D /var/www/index.html",
    ];
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!(sorted(changed("box")), want);
    d.docker("stop box").ok();
    assert_eq!(sorted(changed("box")), want);
    assert_eq!(d.get("/containers/none/changes").status, 404);
}

#[test]
fn commits_make_images_that_run_with_the_right_owners() {
    let d = daemon!();
    d.docker(&format!("{RUN} --name box -e A=1 -v data:/data busybox sleep 1000")).ok();
    let script = "echo kept > /kept; chown alice /kept; rm /etc/group; echo v > /data/v; \
                  mkdir /full; echo 1 > /full/1";
    d.docker("exec box sh -c").arg(script).ok();
    let change = ["-c", "CMD [\"cat\", \"/kept\"]", "-c", "ENV B=2", "-a", "me", "-m", "why"];
    let mut commit = d.docker("commit");
    for word in change {
        commit = commit.arg(word);
    }
    let id = commit.arg("box").arg("made:v1").ok();
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    assert_eq!(d.docker("run --rm --network none made:v1").ok(), "kept");
    let run = "run --rm --network none made:v1 sh -c";
    let script = "stat -c %u:%a /kept /etc /full; echo $A$B; ls /etc/group /data/v; cat /etc/hosts";
    let seen = d.docker(run).arg(script).run().stdout;
    assert!(seen.starts_with("1000:644\n0:755\n0:755\n12\n"), "{seen}");
    assert!(!seen.contains("/etc/group") && !seen.contains("/data/v"), "{seen}");
    let history = d.docker("history --no-trunc --format {{.Comment}}|{{.CreatedBy}} made:v1").ok();
    assert_eq!(history.lines().next(), Some("why|sleep 1000"));
    let image = d.get("/images/made:v1/json").json();
    assert_eq!(image["Author"], "me");
    assert_eq!(image["Id"].as_str(), Some(id.as_str()));
    // The guest is not left frozen, and its image has one layer less.
    assert_eq!(d.inspect("box")["State"]["Status"], "running");
    let base = d.get("/images/busybox/json").json();
    let layers = |image: &serde_json::Value| image["RootFS"]["Layers"].as_array().unwrap().len();
    assert_eq!(layers(&image), layers(&base) + 1);
    // Of one that does not run, and of one that changed nothing.
    d.docker("create --name fresh --network none busybox sh").ok();
    let id = d.docker("commit fresh").ok();
    let image = d.get(&format!("/images/{id}/json")).json();
    assert_eq!(layers(&image), layers(&base));
    // Onto a commit again, and what was there is gone.
    d.docker("run --name again --network none made:v1 rm -r /full").ok();
    d.docker("commit again made:v2").ok();
    d.docker("run --rm --network none made:v2 ls /full").fails(1);
    let why = d.docker("commit -c").arg("FROM x").arg("box").fails(1);
    assert!(why.contains("FROM x"), "{why}");
    assert!(d.docker("commit none").fails(1).contains("No such container"));
}

#[test]
fn hello_is_committed_and_runs_again() {
    let d = daemon!();
    d.docker("run --name hey --network none hello").ok();
    assert_eq!(d.docker("diff hey").ok(), "");
    d.docker("commit hey hello2").ok();
    assert!(!d.docker("run --rm --network none hello2").ok().is_empty());
}

#[test]
fn exports_are_the_whole_root_without_what_is_mounted() {
    let d = daemon!();
    d.docker(&format!("{RUN} --name box -v data:/data busybox sleep 1000")).ok();
    let script = "echo x > /new; chown alice /new; rm /etc/group; echo v > /data/v";
    d.docker("exec box sh -c").arg(script).ok();
    let out = d.files().join("out.tar");
    for name in ["running", "stopped"] {
        if name == "stopped" {
            d.docker("stop box").ok();
        }
        d.docker("export box -o").arg(&out).ok();
        let list = hull_tests::Tool::new("tar", "--numeric-owner -tvf").arg(&out).ok();
        let has = |name: &str| list.lines().any(|line| line.ends_with(name));
        assert!(has("./new") || has(" new"), "{list}");
        assert!(list.lines().any(|line| line.ends_with("new") && line.contains("1000/")), "{list}");
        assert!(!has("etc/group") && !has("data/v") && has("bin/busybox"), "{list}");
    }
    d.docker("import").arg(&out).arg("flat").ok();
    assert_eq!(d.docker("run --rm --network none flat cat /new").ok(), "x");
}

#[test]
fn a_container_that_ends_or_goes_while_it_is_copied_hangs_nobody() {
    let d = daemon!();
    let script = "dd if=/dev/zero of=/big bs=1M count=200 2>/dev/null; echo ready; exec sleep 1000";
    for end in ["kill box", "rm -f box"] {
        d.docker(&format!("{RUN} --name box busybox sh -c")).arg(script).ok();
        hull_tests::eventually("the file is there", || {
            d.docker("logs box").ok().contains("ready").then_some(())
        });
        let script = "docker cp box:/ - > /dev/null";
        let copy = hull_tests::Tool::new("sh", "-c").arg(script).env("DOCKER_HOST", d.host());
        let copy = copy.spawn();
        d.docker(end).ok();
        // It comes to an end, whole or broken off.
        copy.finish();
        d.docker("rm -f box").run();
    }
    // One who sends nothing does not keep it either.
    d.docker(&format!("{RUN} --name box busybox sleep 1000")).ok();
    let mut connection = d.connect();
    let head =
        "PUT /containers/box/archive?path=/tmp HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n";
    connection.send(head.as_bytes()).unwrap();
    d.docker("rm -f box").ok();
    drop(connection);
    assert_eq!(d.docker("ps -aq").ok(), "");
}

#[test]
fn large_sparse_files_are_streamed() {
    let d = daemon!();
    d.docker(&format!("{RUN} --name box busybox sleep 1000")).ok();
    d.docker("exec box sh -c").arg("truncate -s 300M /sparse; echo end >> /sparse").ok();
    let script = "docker cp box:/sparse - | wc -c";
    let bytes = hull_tests::Tool::new("sh", "-c").arg(script).env("DOCKER_HOST", d.host()).ok();
    assert!(bytes.trim().parse::<u64>().unwrap() > 300 << 20, "{bytes}");
    let status = fs::read_to_string(format!("/proc/{}/status", d.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").trim().parse().unwrap();
    assert!(peak < 200 << 10, "the daemon took {peak} KiB");
}

#[test]
fn hulls_own_commands_do_the_same() {
    let d = daemon!();
    d.hull(&format!("{RUN} --name box busybox sleep 1000")).ok();
    let tree = d.files().join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("f"), "text").unwrap();
    std::os::unix::fs::chown(tree.join("f"), Some(33), Some(50)).unwrap();
    symlink("tree", d.files().join("link")).unwrap();
    let owner = |path: &str| d.hull(&format!("exec box stat -c %u:%g {path}")).ok();
    // As the documentation of docker cp says: root's, or as they were with -a.
    d.hull("cp").arg(&tree).arg("box:/plain").ok();
    d.hull("cp -a").arg(&tree).arg("box:/kept").ok();
    assert_eq!((owner("/plain/f").as_str(), owner("/kept/f").as_str()), ("0:0", "33:50"));
    d.hull("cp").arg(&tree).arg("box:/plain").ok();
    d.hull("cp").arg(tree.join("f")).arg("box:/plain/renamed").ok();
    d.hull("cp").arg(tree.join(".")).arg("box:/plain").ok();
    d.hull("cp").arg(d.files().join("link")).arg("box:/link").ok();
    d.hull("cp -L").arg(d.files().join("link")).arg("box:/followed").ok();
    let script = "cat /plain/tree/f /plain/renamed /followed/f; readlink /link";
    assert_eq!(d.hull("exec box sh -c").arg(script).ok(), "texttexttexttree");
    for (flags, owner) in [("", 0), ("-a", 33)] {
        let back = d.files().join(format!("back{flags}"));
        d.hull(&format!("cp {flags} box:/kept")).arg(&back).ok();
        assert_eq!(fs::metadata(back.join("f")).unwrap().uid(), owner);
        d.hull(&format!("cp {flags} box:/kept")).arg(&back).ok();
        assert!(back.join("kept/sub").is_dir());
    }
    d.hull("cp box:/kept/f").arg(d.files().join("single")).ok();
    assert_eq!(fs::read_to_string(d.files().join("single")).unwrap(), "text");
    let script =
        format!("{0} cp box:/kept - | {0} cp - box:/tmp", hull_tests::program::hull().display());
    hull_tests::Tool::new("sh", "-c").arg(script).env("DOCKER_HOST", d.host()).ok();
    assert_eq!(owner("/tmp/kept/f"), "33:50");
    for (arguments, why) in [
        ("cp box:/none /tmp", "Could not find the file /none in container box"),
        ("cp box:/etc box:/tmp", "copying between containers is not supported"),
        ("cp /a /b", "must specify at least one container source"),
        ("cp /no/such box:/tmp", "lstat /no/such: no such file or directory"),
        ("cp box:/etc /no/such/dir/x", "does not exist"),
        ("cp - box:/etc/passwd", "must be a directory"),
        ("cp none:/a /tmp", "No such container: none"),
    ] {
        let said = d.hull(arguments).fails(1);
        assert!(said.contains(why), "{arguments}: {said}");
    }
    let changes = d.hull("diff box").ok();
    assert_eq!(changes, d.docker("diff box").ok());
    assert!(changes.contains("A /plain/renamed"), "{changes}");
    let id = d.hull("commit -m why box made").ok();
    assert_eq!(d.hull("images -q --no-trunc made").ok(), id);
    d.hull("export box -o").arg(d.files().join("out.tar")).ok();
    let list = hull_tests::Tool::new("tar", "tf").arg(d.files().join("out.tar")).ok();
    assert!(list.contains("plain/renamed"), "{list}");
}

const PYTHON: &str = r#"
import docker, io, tarfile
c = docker.from_env(timeout=60)
g = c.containers.run('busybox', 'sleep 1000', detach=True, network_mode='none', name='py')
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode='w') as tar:
    info = tarfile.TarInfo('d/f'); info.size = 4; info.uid = 33; info.mode = 0o640
    tar.addfile(info, io.BytesIO(b'text'))
assert g.put_archive('/tmp', buffer.getvalue())
assert g.exec_run('stat -c %u:%a /tmp/d/f').output == b'33:640\n'
bits, stat = g.get_archive('/tmp/d')
assert stat['name'] == 'd' and stat['linkTarget'] == '', stat
with tarfile.open(fileobj=io.BytesIO(b''.join(bits))) as tar:
    assert sorted(tar.getnames()) == ['d', 'd/f'], tar.getnames()
    assert tar.extractfile('d/f').read() == b'text' and tar.getmember('d/f').uid == 33
assert {'Path': '/tmp/d/f', 'Kind': 1} in g.diff(), g.diff()
with tarfile.open(fileobj=io.BytesIO(b''.join(g.export()))) as tar:
    assert 'tmp/d/f' in [n.removeprefix('./') for n in tar.getnames()]
i = g.commit(repository='made', tag='v1', author='me', message='why', changes='CMD ["cat", "/tmp/d/f"]')
assert i.attrs['Author'] == 'me' and i.tags == ['made:v1'], i.attrs
assert c.containers.run('made:v1', remove=True, network_mode='none') == b'text'
try:
    g.get_archive('/none')
    raise SystemExit('found nothing')
except docker.errors.NotFound:
    pass
g.remove(force=True)
print('all of it')
"#;

#[test]
fn docker_py_copies_and_commits() {
    let d = daemon!();
    hull_tests::need!("python3");
    let Some(python) = hull_tests::python::with_docker() else {
        return hull_tests::need::skip("docker-py cannot be installed: pip install docker failed");
    };
    let done = hull_tests::Tool::new(python, "-c").arg(PYTHON).env("DOCKER_HOST", d.host()).ok();
    assert_eq!(done, "all of it");
}
