//! Attacks by what is at a path: links, nodes and mounts where hull expects something else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use hull_container::weakened::Defence;

use super::weak::{self, without};
use crate::Test;
use crate::fixture::Guest;
use crate::isolation::bound;

pub(crate) const TESTS: &[Test] = &[
    ("attack_hidden_files_of_the_kernel", hidden_files),
    ("attack_core_pattern_and_sysrq", core_pattern_and_sysrq),
    ("attack_null_device_replaced", null_device_replaced),
    ("attack_console_replaced", console_replaced),
    ("attack_sysctl_sent_elsewhere", sysctl_sent_elsewhere),
    ("attack_kernel_mounts_behind_links", kernel_mounts_behind_links),
    ("attack_mount_over_proc", mount_over_proc),
    ("attack_mount_target_behind_a_link", mount_target_behind_a_link),
    ("attack_mount_target_exchanged_meanwhile", mount_target_exchanged_meanwhile),
    ("attack_working_directory_of_the_host", working_directory_of_the_host),
    ("attack_leaked_descriptors", leaked_descriptors),
    ("attack_init_program", init_program),
];

fn hidden_files() {
    let mut guest = Guest::new();
    guest.shell("cat /proc/interrupts /proc/keys | wc -c; ls /sys/firmware | wc -l");
    assert_eq!(guest.run().unwrap().output, "0\n0\n");
    let seen = guest.changed(weak::uncovered);
    assert!(seen.lines().all(|count| count != "0"), "{seen}");
}

/// Two defences, each enough: the user namespace and the read-only paths.
fn core_pattern_and_sysrq() {
    for path in ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"] {
        if !Path::new(path).exists() {
            println!("not shown: this kernel has no {path}");
            continue;
        }
        let mut guest = Guest::new().armed();
        guest.command(&["attack", "open", "write", path]);
        assert_ne!(guest.run().unwrap().output, "ok\n");
        assert_eq!(guest.changed(weak::uncovered), "EACCES\n");
        let mut guest = Guest::of_host_users().armed();
        guest.command(&["attack", "open", "write", path]);
        assert_eq!(guest.run().unwrap().output, "EROFS\n");
        assert_eq!(guest.changed(weak::uncovered), "ok\n");
    }
}

/// CVE-2025-31133: what covers a hidden file is looked up by name, where the guest has put a link.
fn null_device_replaced() {
    let volume = tempfile::tempdir().unwrap();
    symlink("/etc/passwd", volume.path().join("null")).unwrap();
    let mut guest = Guest::of_host_users();
    guest.spec.mounts = vec![bound(volume.path(), "/dev", false)];
    guest.shell("cat /proc/interrupts");
    assert_eq!(guest.run().unwrap().output, "");
    if let Some(out) = without(&[Defence::Null], || guest.run()) {
        assert!(out.unwrap().output.contains("root:x:0"));
    }
}

/// CVE-2025-52565: the terminal is shown as `/dev/console` by its name, which is a link.
fn console_replaced() {
    let volume = tempfile::tempdir().unwrap();
    symlink("/etc/passwd", volume.path().join("0")).unwrap();
    let mut guest = Guest::of_host_users();
    guest.spec.mounts = vec![bound(volume.path(), "/dev/pts", false)];
    guest.spec.streams.tty = true;
    guest.shell("test -c /dev/console && echo terminal || cat /dev/console");
    assert_eq!(guest.run().unwrap().output, "terminal\r\n");
    if let Some(out) = without(&[Defence::Console], || guest.run()) {
        assert!(out.unwrap().output.contains("root:x:0"));
    }
}

/// CVE-2025-52881: a write meant for `/proc/sys` is led to another file of `/proc`. Here to the name
/// of the process itself, which harms nobody.
fn sysctl_sent_elsewhere() {
    let mut guest = Guest::of_host_users();
    guest.command(&["true"]);
    for name in ["net/../../self/comm", "net/../../self/attr/exec", "../sysrq-trigger"] {
        guest.spec.security.sysctls = [(name.to_owned(), "1".to_owned())].into();
        assert!(guest.fail().message.contains(name));
    }
    guest.spec.security.sysctls = [("net/../../self/comm".to_owned(), "1".to_owned())].into();
    if let Some(out) = without(&[Defence::Sysctls], || guest.run()) {
        assert_eq!(out.unwrap().status, 0);
    }
}

/// CVE-2019-19921, CVE-2023-27561: `/proc` of the image is a link to a place of its choice.
fn kernel_mounts_behind_links() {
    for name in ["proc", "sys", "dev"] {
        let mut guest = Guest::new();
        symlink("/tmp/fake", guest.lower(name)).unwrap();
        guest.shell(&format!("test -L /{name} && ls /tmp/fake | head -n 1 | wc -l"));
        let said = guest.fail().message;
        assert_eq!(said, format!("mount at /{name}: the image has a symbolic link there"));
        if let Some(out) = without(&[Defence::KernelLinks], || guest.run()) {
            assert_eq!(out.unwrap().output, "1\n", "{name}");
        }
    }
    // What is no file system of the kernel's may be behind links, which end inside.
    let outside = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("hosts"), "mine\n").unwrap();
    let mut guest = Guest::new();
    fs::rename(guest.lower("etc"), guest.lower("other")).unwrap();
    symlink(format!("../../..{}", outside.path().display()), guest.lower("etc")).unwrap();
    guest.spec.mounts = vec![bound(&source.path().join("hosts"), "/etc/hosts", false)];
    assert_eq!(guest.shell("cat /etc/hosts").run().unwrap().output, "mine\n");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

/// CVE-2019-16884: a mount over a file by which a process's security is set.
fn mount_over_proc() {
    let source = tempfile::tempdir().unwrap();
    let file = source.path().join("file");
    fs::write(&file, "mine\n").unwrap();
    let mut guest = Guest::new();
    symlink("/proc/sys/kernel", guest.lower("sly")).unwrap();
    guest.shell("cat /proc/sys/kernel/hostname");
    for target in ["/proc/sys/kernel/hostname", "/sly/hostname"] {
        guest.spec.mounts = vec![bound(&file, target, false)];
        assert!(guest.fail().message.contains("inside /proc"), "{target}");
        if let Some(out) = without(&[Defence::ProcMounts], || guest.run()) {
            assert_eq!(out.unwrap().output, "mine\n", "{target}");
        }
    }
}

fn mount_target_behind_a_link() {
    let outside = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    let mut guest = Guest::of_host_users();
    symlink(outside.path(), guest.lower("out")).unwrap();
    guest.spec.mounts = vec![bound(source.path(), "/out/made", false)];
    assert_eq!(guest.command(&["true"]).run().unwrap().status, 0);
    assert!(!outside.path().join("made").exists());
    if let Some(out) = without(&[Defence::InRoot], || guest.run()) {
        assert_eq!(out.unwrap().status, 0);
        assert!(outside.path().join("made").exists(), "made on the host");
    }
}

/// CVE-2021-30465: one guest exchanges a directory of a shared volume for a link, again and again,
/// while another one is started with a mount below it.
fn mount_target_exchanged_meanwhile() {
    let outside = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    let volume = tempfile::tempdir().unwrap();
    fs::create_dir(volume.path().join("a")).unwrap();
    symlink(outside.path(), volume.path().join("b")).unwrap();
    let mut accomplice = Guest::of_host_users().armed();
    accomplice.spec.mounts = vec![bound(volume.path(), "/v", false)];
    let _exchanging = accomplice.command(&["attack", "swap", "/v/a", "/v/b"]).start().unwrap();
    let mut victim = Guest::of_host_users();
    victim.command(&["true"]);
    victim.spec.mounts =
        vec![bound(volume.path(), "/v", false), bound(source.path(), "/v/a/made", false)];
    let escaped = |victim: &Guest| {
        for _ in 0..40 {
            // Found or not, by the link or not: it is inside, or the start is refused.
            drop(victim.run());
        }
        outside.path().join("made").exists()
    };
    assert!(!escaped(&victim));
    if let Some(escaped) = without(&[Defence::InRoot], || escaped(&victim)) {
        assert!(escaped);
    }
}

/// CVE-2024-21626: a descriptor of the launcher's, by which the guest starts in the host.
fn working_directory_of_the_host() {
    let (host, _leak, number) = leak();
    let mut guest = Guest::new();
    guest.shell("ls .");
    guest.spec.process.cwd = Some(format!("/proc/self/fd/{number}"));
    let refused = guest.fail().message;
    assert!(refused.contains("/proc/self/fd"), "{refused}");
    // Each defence alone is enough: links of /proc are not followed, nothing is open, and where it
    // is, the place is looked at.
    guest.change = |plan| plan.process.make_cwd = false;
    assert!(guest.fail().message.contains("no such file"));
    if let Some(failure) = without(&[Defence::Descriptors], || guest.fail()) {
        assert!(failure.message.contains("outside of the root"), "{failure}");
    }
    if let Some(out) = without(&[Defence::Descriptors, Defence::Directory], || guest.run()) {
        assert_eq!(out.unwrap().output, "mark\n");
    }
    drop(host);
}

fn leaked_descriptors() {
    let (host, _leak, number) = leak();
    let mut guest = Guest::new();
    guest.shell(&format!("ls /proc/self/fd/{number}/"));
    assert!(!guest.run().unwrap().output.contains("mark"));
    if let Some(out) = without(&[Defence::Descriptors], || guest.run()) {
        assert_eq!(out.unwrap().output, "mark\n");
    }
    let mut guest = Guest::new();
    let live = guest.shell("sleep 60").start().unwrap();
    let look = format!("/proc/self/fd/{number}/");
    assert!(!live.exec(&["ls", &look]).unwrap().output.contains("mark"));
    if let Some(out) = without(&[Defence::Descriptors], || live.exec(&["ls", &look])) {
        assert_eq!(out.unwrap().output, "mark\n");
    }
    drop(host);
}

/// A directory of the host, open in this process and kept open through exec, and its number.
fn leak() -> (tempfile::TempDir, std::os::fd::OwnedFd, i32) {
    use std::os::fd::AsRawFd;
    let host = tempfile::tempdir().unwrap();
    fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(host.path().join("mark"), "").unwrap();
    let opened = fs::File::open(host.path()).unwrap();
    let leaked = rustix::io::fcntl_dupfd_cloexec(&opened, 50).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let number = leaked.as_raw_fd();
    (host, leaked, number)
}

/// The init program is one file for all guests.
fn init_program() {
    let mut guest = Guest::of_host_users();
    let init = guest.dir.path().join("init");
    fs::write(&init, "#!/bin/sh\nshift\nexec \"$@\"\n").unwrap();
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).unwrap();
    guest.init = Some(init.clone());
    guest.shell("chmod 700 /dev/.hull-init && echo changed");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert!(guest.run().unwrap().output.contains("Read-only file system"));
    assert_eq!(mode(&init), 0o755);
    if let Some(out) = without(&[Defence::Init], || guest.run()) {
        assert_eq!(out.unwrap().output, "changed\n");
        assert_eq!(mode(&init), 0o700);
    }
}
