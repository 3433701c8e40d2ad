//! Every way of mounting something, and every way of being tricked while doing so.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use hull_container::plan::{
    Attributes, Device, IdMap, LaunchPlan, Links, Mount, NodeKind, Owners, Propagation, Reach,
    Refusal, Rootfs, Source,
};
use hull_sys::mount::attribute::{NO_ATIME, NO_EXEC, NO_SUID, READ_ONLY};

use crate::Test;
use crate::fixture::Guest;

pub(crate) const TESTS: &[Test] = &[
    ("attributes_are_set_and_cleared_here_and_below", attributes),
    ("owners_follow_a_mounts_own_maps", own_maps),
    ("owners_that_cannot_be_mapped_are_told_or_refused", unmappable),
    ("a_tmpfs_can_begin_with_what_it_covers", copy_up),
    ("what_is_mounted_can_be_changed", remounts),
    ("a_link_can_be_covered_itself", covered_link),
    ("propagation_goes_where_it_is_told", propagation),
    ("nodes_can_be_anywhere", nodes),
    ("a_guest_without_our_dev_is_masked_all_the_same", no_dev),
    ("links_are_made_where_nothing_is", links),
    ("a_plain_directory_is_a_root", plain_root),
    ("shared_memory_of_another_guest_is_the_same", shared_memory),
    ("nodes_cannot_be_sent_into_proc", hostile_nodes),
    ("settings_reach_the_kernel_whatever_is_at_proc", fake_proc),
];

/// A bind mount with nothing set.
fn bind(path: &Path, target: &str) -> Mount {
    Mount {
        target: target.to_owned(),
        source: Source::Bind { path: path.to_owned(), recursive: true },
        propagation: vec![(Propagation::Private, Reach::Tree)],
        owners: Owners::Guest { reach: Reach::Tree, refusal: Refusal::Warn },
        ..Mount::default()
    }
}

/// A directory of the host with a tmpfs on `below` in it. Unmounted when dropped.
struct Nested(tempfile::TempDir);

impl Nested {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("none", dir.path().join("below"), "tmpfs", flags, None).unwrap();
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        let flags = rustix::mount::UnmountFlags::DETACH;
        rustix::mount::unmount(self.path().join("below"), flags).unwrap_or_default();
    }
}

/// A shared mount on a directory of the host. Unmounted when dropped.
struct Shared(tempfile::TempDir);

impl Shared {
    fn new() -> Self {
        use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
        let dir = tempfile::tempdir().unwrap();
        mount("none", dir.path(), "tmpfs", MountFlags::empty(), None).unwrap();
        mount_change(dir.path(), MountPropagationFlags::PRIVATE).unwrap();
        mount_change(dir.path(), MountPropagationFlags::SHARED).unwrap();
        for name in ["host", "guest"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self(dir)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let flags = rustix::mount::UnmountFlags::DETACH;
        rustix::mount::unmount(self.0.path(), flags).unwrap_or_default();
    }
}

fn options_of<'a>(mountinfo: &'a str, target: &str) -> &'a str {
    let line = mountinfo.lines().find(|line| line.split(' ').nth(4) == Some(target));
    let line = line.unwrap_or_else(|| panic!("{target} in {mountinfo}"));
    let options = line.split(' ').nth(5).unwrap();
    options.strip_suffix(",idmapped").unwrap_or(options)
}

fn attributes() {
    let nested = Nested::new();
    for mut guest in [Guest::new(), Guest::of_host_users()] {
        guest.shell("cat /proc/self/mountinfo; touch /top/below/x && echo wrote");
        let out = guest.output_with(|plan| {
            plan.mounts.extend([
                Mount { attributes: Attributes::set(READ_ONLY), ..bind(nested.path(), "/top") },
                Mount {
                    recursive: Attributes::set(READ_ONLY | NO_SUID),
                    attributes: Attributes { set: NO_ATIME, clear: NO_SUID },
                    ..bind(nested.path(), "/all")
                },
                Mount {
                    target: "/new".to_owned(),
                    attributes: Attributes::set(NO_EXEC),
                    ..Mount::default()
                },
            ]);
        });
        assert_eq!(options_of(&out, "/top"), "ro,relatime", "{out}");
        assert_eq!(options_of(&out, "/top/below"), "rw,relatime", "{out}");
        assert_eq!(options_of(&out, "/all"), "ro,noatime", "{out}");
        assert_eq!(options_of(&out, "/all/below"), "ro,nosuid,relatime", "{out}");
        assert_eq!(options_of(&out, "/new"), "rw,noexec,relatime", "{out}");
        assert!(out.ends_with("wrote\n"), "{out}");
    }
}

fn own_maps() {
    let nested = Nested::new();
    for name in ["file", "below/file"] {
        fs::write(nested.path().join(name), "").unwrap();
        std::os::unix::fs::chown(nested.path().join(name), Some(5), Some(6)).unwrap();
    }
    let mut guest = Guest::new();
    let base = guest.ids.unwrap().base;
    guest.shell("stat -c %u:%g /one/file /one/below/file /all/file /all/below/file /raw/file");
    let mapped = |reach, uid, gid| Owners::Mapped {
        uids: vec![IdMap { inside: 5, outside: base + uid, count: 1 }],
        gids: vec![IdMap { inside: 6, outside: base + gid, count: 1 }],
        reach,
    };
    let out = guest.output_with(|plan| {
        plan.mounts.extend([
            Mount { owners: mapped(Reach::One, 1_000, 1_001), ..bind(nested.path(), "/one") },
            Mount { owners: mapped(Reach::Tree, 7, 8), ..bind(nested.path(), "/all") },
            Mount { owners: Owners::Disk, ..bind(nested.path(), "/raw") },
        ]);
    });
    assert_eq!(out, "1000:1001\n65534:65534\n7:8\n7:8\n65534:65534\n");
}

fn unmappable() {
    let mut guest = Guest::new();
    guest.shell("stat -c %u /host-proc/version");
    let proc = |refusal| Mount {
        owners: Owners::Guest { reach: Reach::One, refusal },
        source: Source::Bind { path: "/proc".into(), recursive: false },
        ..bind(Path::new("/proc"), "/host-proc")
    };
    let live = guest.start_with(|plan| plan.mounts.push(proc(Refusal::Warn))).unwrap();
    let warnings = live.warnings.clone();
    assert_eq!(live.wait().output, "65534\n");
    assert_eq!(warnings, ["/proc: its file system cannot map owners; its files belong to nobody"]);
    let failure = guest.start_with(|plan| plan.mounts.push(proc(Refusal::Fail))).err().unwrap();
    assert!(failure.message.starts_with("map the owners of /proc: "), "{failure}");
    assert!(guest.cgroups_left().is_empty());
}

fn copy_up() {
    let mut guest = Guest::new();
    fs::create_dir_all(guest.lower("data/dir")).unwrap();
    fs::write(guest.lower("data/dir/file"), "content\n").unwrap();
    fs::set_permissions(guest.lower("data/dir/file"), fs::Permissions::from_mode(0o4711)).unwrap();
    std::os::unix::fs::chown(guest.lower("data/dir"), Some(33), Some(4)).unwrap();
    symlink("/etc/shadow", guest.lower("data/link")).unwrap();
    guest.shell(
        "cat /data/dir/file; stat -c %u:%g /data/dir; stat -c %a /data/dir/file; readlink /data/link; \
         touch /data/new || echo ro; grep ' /data ' /proc/self/mountinfo",
    );
    let out = guest.output_with(|plan| {
        plan.mounts.push(Mount {
            target: "/data".to_owned(),
            attributes: Attributes::set(READ_ONLY),
            copy_up: true,
            ..Mount::default()
        });
    });
    assert!(out.starts_with("content\n33:4\n4711\n/etc/shadow\n"), "{out}");
    assert!(out.contains("\nro\n") && out.contains("- tmpfs "), "{out}");
    assert!(!guest.upper("data/new").exists());
    // What does not fit is an error, not half a directory.
    fs::write(guest.lower("data/big"), vec![1; 1 << 20]).unwrap();
    let failure = guest.start_with(|plan| {
        let options = vec![("size".to_owned(), "64k".to_owned())];
        let source = Source::New { filesystem: "tmpfs".to_owned(), options };
        let target = "/data".to_owned();
        plan.mounts.push(Mount { target, source, copy_up: true, ..Mount::default() });
    });
    let failure = failure.err().unwrap();
    assert!(failure.message.starts_with("copy /data up into its tmpfs: no space"), "{failure}");
}

fn remounts() {
    let mut guest = Guest::new();
    guest.shell("cat /proc/self/mountinfo; touch /t/x 2>/dev/null || echo ro");
    let again = |target: &str, attributes, options: &[(&str, &str)]| Mount {
        target: target.to_owned(),
        source: Source::Mounted {
            options: options.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
        },
        attributes,
        ..Mount::default()
    };
    let out = guest.output_with(|plan| {
        plan.mounts.push(Mount { target: "/t".to_owned(), ..Mount::default() });
        let attributes = Attributes { set: READ_ONLY | NO_EXEC, clear: 0 };
        plan.mounts.push(again("/t", attributes, &[("size", "128k")]));
    });
    assert_eq!(options_of(&out, "/t"), "ro,noexec,relatime", "{out}");
    assert!(out.contains("size=128k") && out.ends_with("ro\n"), "{out}");
    let failure = |target: &str| {
        let mount = again(target, Attributes::set(READ_ONLY), &[]);
        guest.start_with(|plan| plan.mounts.push(mount)).err().unwrap().message
    };
    assert!(failure("/etc").ends_with("hint: is it a mount point?"), "{}", failure("/etc"));
    assert_eq!(failure("/nowhere"), "remount /nowhere: there is no such place");
}

fn covered_link() {
    let source = tempfile::tempdir().unwrap();
    let file = source.path().join("file");
    fs::write(&file, "covered\n").unwrap();
    let mut guest = Guest::new();
    fs::write(guest.lower("etc/real"), "real\n").unwrap();
    symlink("real", guest.lower("etc/link")).unwrap();
    guest.shell("cat /etc/link /etc/real");
    let mount = Mount { links: Links::LastCovered, ..bind(&file, "/etc/link") };
    let out = guest.output_with(|plan| plan.mounts.push(mount));
    assert_eq!(out, "covered\nreal\n");
    let out = guest.output_with(|plan| plan.mounts.push(bind(&file, "/etc/link")));
    assert_eq!(out, "covered\ncovered\n");
}

fn propagation() {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    // Mounting inside takes power; the host's users keep the id maps out of the way.
    let script = "mount -t tmpfs none /data/guest && touch /data/guest/from-guest; \
                  touch /data/ready; while [ ! -e /data/done ]; do sleep 0.02; done; \
                  ls /data/host; grep ' /data ' /proc/self/mountinfo";
    let rows = [
        (vec![(Propagation::Private, Reach::Tree)], false, false, ""),
        (vec![(Propagation::Slave, Reach::Tree)], true, false, "master:"),
        (vec![], true, false, "master:"),
        (vec![(Propagation::Shared, Reach::Tree)], true, true, "shared:"),
        (vec![(Propagation::Unbindable, Reach::One)], false, false, "unbindable"),
    ];
    for (wanted, from_host, to_host, tag) in rows {
        let shared = Shared::new();
        let mut guest = Guest::of_host_users();
        guest.spec.security.privileged = true;
        guest.shell(script);
        let live = guest
            .start_with(|plan| {
                let mount = Mount { propagation: wanted.clone(), ..bind(shared.0.path(), "/data") };
                plan.mounts.push(mount);
            })
            .unwrap();
        let at = |name: &str| shared.0.path().join(name);
        crate::fixture::eventually("the guest has mounted", || at("ready").exists());
        mount("none", at("host"), "tmpfs", MountFlags::empty(), None).unwrap();
        fs::write(at("host/from-host"), "").unwrap();
        fs::write(at("done"), "").unwrap();
        let out = live.wait().output;
        assert_eq!(out.contains("from-host"), from_host, "{wanted:?}: {out}");
        assert_eq!(at("guest/from-guest").exists(), to_host, "{wanted:?}: {out}");
        assert!(out.contains(tag), "{wanted:?}: {out}");
        for name in ["host", "guest"] {
            unmount(at(name), UnmountFlags::DETACH).unwrap_or_default();
        }
    }
}

fn node(path: &str, kind: NodeKind, minor: u32) -> Device {
    let path = path.to_owned();
    Device { path, kind, major: 1, minor, mode: 0o640, uid: 0, gid: 4 }
}

fn nodes() {
    for mut guest in [Guest::new(), Guest::of_host_users()] {
        guest.shell(
            "head -c 3 /srv/deep/zero | wc -c; stat -c '%A %u:%g' /srv/deep/zero /run/pipe /dev/pipe; \
             (echo through > /run/pipe &); cat /run/pipe",
        );
        let out = guest.output_with(|plan| {
            plan.devices.extend([
                node("/srv/deep/zero", NodeKind::Character, 5),
                node("/run/pipe", NodeKind::Fifo, 0),
                node("/dev/pipe", NodeKind::Fifo, 0),
            ]);
        });
        let expected = "3\ncrw-r----- 0:4\nprw-r----- 0:4\nprw-r----- 0:4\nthrough\n";
        assert_eq!(out, expected);
        // A named pipe is no character device on the host.
        assert!(!fs::symlink_metadata(guest.upper("run/pipe")).unwrap().file_type().is_fifo());
    }
}

fn without_dev(plan: &mut LaunchPlan) {
    plan.mounts.retain(|mount| !mount.target.starts_with("/dev"));
}

fn no_dev() {
    let mut guest = Guest::new();
    // The image's own /dev is hostile: its null would unmask, and writing to it would go elsewhere.
    fs::create_dir(guest.lower("dev")).unwrap();
    symlink("/proc/version", guest.lower("dev/null")).unwrap();
    guest.shell("wc -c < /proc/keys; wc -c < /proc/timer_list; ls /sys/firmware | wc -l");
    let failure = guest.start_with(without_dev).err().unwrap();
    assert!(failure.message.contains("inside /proc"), "{failure}");
    let without_null = |plan: &mut LaunchPlan| {
        without_dev(plan);
        plan.devices.retain(|device| device.path != "/dev/null");
    };
    assert_eq!(guest.output_with(without_null), "0\n0\n0\n");
    guest.shell("ls /dev; head -c 2 /dev/zero | wc -c");
    let out = guest.output_with(without_null);
    assert!(out.contains("zero\n") && out.ends_with("2\n"), "{out}");
}

fn links() {
    let mut guest = Guest::new();
    fs::write(guest.lower("etc/there"), "kept\n").unwrap();
    guest.shell("cat /etc/there; readlink /made/link");
    let links = [("/etc/there", "/x"), ("/made/link", "somewhere")];
    let out = guest.output_with(|plan| {
        plan.links = links.map(|(path, target)| (path.to_owned(), target.to_owned())).into();
    });
    assert_eq!(out, "kept\nsomewhere\n");
}

fn plain_root() {
    for owners in [Owners::default(), Owners::Disk] {
        let mut guest = Guest::new();
        let (base, disk) = (guest.ids.unwrap().base, owners == Owners::Disk);
        let root = guest.dir.path().join("lower");
        for name in ["proc", "sys", "dev", "new"] {
            fs::create_dir(root.join(name)).unwrap();
            if disk {
                std::os::unix::fs::chown(root.join(name), Some(base), Some(base)).unwrap();
            }
        }
        guest.shell("touch /new/file && stat -c %u /new/file; grep ' / ' /proc/self/mountinfo");
        let out = guest.output_with(|plan| {
            plan.root.files = Rootfs::Path(root.clone());
            plan.root.owners = owners;
            plan.root.propagation = vec![(Propagation::Shared, Reach::One)];
            plan.process.make_cwd = false;
        });
        assert!(out.starts_with("0\n") && out.contains("shared:"), "{out}");
        let uid = fs::metadata(root.join("new/file")).unwrap().uid();
        assert_eq!(uid, if disk { base } else { 0 });
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(root.to_str().unwrap()), "{mounts}");
    }
}

fn shared_memory() {
    use hull_container::plan::{Namespace, User};
    let mut holder = Guest::new();
    holder.shell("echo hello > /dev/shm/word; touch /dev/shm/ready; sleep 60");
    let live = holder.start().unwrap();
    let pid = live.running.pid.as_raw_nonzero();
    let of = |name: &str| Path::new("/proc").join(pid.to_string()).join("ns").join(name);
    let foreign = |path: &str| Mount {
        target: "/dev/shm".to_owned(),
        source: Source::Foreign { namespace: of("mnt"), path: path.to_owned() },
        propagation: vec![(Propagation::Private, Reach::One)],
        owners: Owners::Disk,
        ..Mount::default()
    };
    let start = |guest: &Guest, path: &str| {
        guest
            .start_with(|plan| {
                plan.namespaces.user = User::Join(of("user"));
                plan.namespaces.ipc = Namespace::Join(of("ipc"));
                plan.mounts.retain(|mount| mount.target != "/dev/shm");
                plan.mounts.push(foreign(path));
            })
            .map(|live| live.wait().output)
    };
    let mut guest = Guest::new();
    guest.shell("while [ ! -e /dev/shm/ready ]; do sleep 0.02; done; cat /dev/shm/word; echo back > /dev/shm/reply");
    assert_eq!(start(&guest, "/dev/shm").unwrap(), "hello\n");
    assert_eq!(live.exec(&["cat", "/dev/shm/reply"]).unwrap().output, "back\n");
    // As `--ipc container:X` has it.
    let mut planned = Guest::new();
    planned.spec.namespaces.ipc = hull_model::namespace::Ipc::Guest("other".to_owned());
    planned.partners.ipc =
        Some(hull_model::namespace::Partner { id: holder.id, pid: pid.get().unsigned_abs() });
    let out = planned.shell("cat /dev/shm/word; grep ' /dev/shm ' /proc/self/mountinfo").run();
    let out = out.unwrap().output;
    assert!(out.starts_with("hello\n") && out.contains("rw,nosuid,nodev,noexec"), "{out}");
    // Neither the root of another guest nor what its links name can be had that way.
    assert_eq!(live.exec(&["sh", "-c", "ln -s /dev/shm /tmp/sly"]).unwrap().status, 0);
    for (path, why) in [("/", "no tmpfs"), ("/tmp/sly", "symbolic link"), ("/none", "No such")] {
        let failure = start(&guest, path).unwrap_err();
        assert!(failure.message.contains(why), "{path}: {failure}");
    }
}

fn hostile_nodes() {
    let mut guest = Guest::new();
    symlink("/proc/sys/kernel", guest.lower("sly")).unwrap();
    guest.command(&["true"]);
    let failure = guest.start_with(|plan| {
        plan.devices.push(node("/sly/hostname", NodeKind::Character, 3));
    });
    let failure = failure.err().unwrap();
    assert!(failure.message.contains("inside /proc"), "{failure}");
    let failure = guest.start_with(|plan| {
        without_dev(plan);
        plan.links.push(("/sly/x".to_owned(), "y".to_owned()));
    });
    assert!(failure.err().unwrap().message.contains("inside /proc"));
}

/// CVE-2019-16884, CVE-2025-52881: something else than a procfs where the kernel's settings are.
fn fake_proc() {
    let fake = tempfile::tempdir().unwrap();
    fs::create_dir_all(fake.path().join("sys/kernel")).unwrap();
    fs::write(fake.path().join("sys/kernel/shmmni"), "").unwrap();
    let mut guest = Guest::new();
    guest.spec.security.sysctls = [("kernel.shmmni".to_owned(), "78".to_owned())].into();
    guest.shell("cat /proc/sys/kernel/shmmni; mkdir /p; sleep 0");
    let out = guest.output_with(|plan| {
        plan.mounts.retain(|mount| mount.target != "/proc");
        plan.mounts.insert(0, bind(fake.path(), "/proc"));
    });
    assert_eq!(out, "");
    assert_eq!(fs::read_to_string(fake.path().join("sys/kernel/shmmni")).unwrap(), "");
    guest.shell("cat /proc/sys/kernel/shmmni");
    assert_eq!(guest.output_with(|_| {}), "78\n");
    // A name that climbs out of /proc/sys again reaches no other file of /proc, with all the powers of
    // the host's root.
    let mut guest = Guest::of_host_users();
    guest.command(&["true"]);
    let comm = format!("/proc/{}/comm", std::process::id());
    let before = fs::read_to_string(&comm).unwrap();
    for name in [format!("..{}", &comm[5..]), format!("net/../..{}", &comm[5..]), comm.clone()] {
        guest.spec.security.sysctls = [(name.clone(), "changed".to_owned())].into();
        assert!(guest.fail().message.starts_with(&format!("set sysctl {name}: ")));
        assert_eq!(fs::read_to_string(&comm).unwrap(), before);
    }
}
