//! Attacks by what a process may do: system calls, capabilities, devices, keys, groups.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hull_container::weakened::Defence;

use super::weak::{self, without};
use crate::Test;
use crate::fixture::Guest;

pub(crate) const TESTS: &[Test] = &[
    ("attack_system_calls", system_calls),
    ("attack_release_agent", release_agent),
    ("attack_devices", devices),
    ("attack_setuid_and_file_capabilities", setuid_and_file_capabilities),
    ("attack_keyring_of_the_host", keyring_of_the_host),
    ("attack_groups_of_the_host", groups_of_the_host),
];

/// bpf, io_uring, userfaultfd, new user namespaces by three calls, personality, AF_VSOCK, keys, and
/// the same by the 32-bit calls and numbers of x32.
fn system_calls() {
    let mut guest = Guest::new().armed();
    guest.command(&["attack", "calls"]);
    let filtered = guest.run().unwrap().output;
    for line in filtered.lines() {
        let (call, said) = line.rsplit_once(' ').unwrap();
        // Programs try clone3 first, and clone only if it is not there.
        let expected = if call == "clone3" { "ENOSYS" } else { "EPERM" };
        // No kernel without x32 asks the filter first.
        let is_absent = call == "x32" && said == "ENOSYS";
        assert!(said == expected || is_absent, "{line}");
    }
    let open = guest.changed(weak::mighty);
    assert_eq!(filtered.lines().count(), open.lines().count());
    for (filtered, open) in filtered.lines().zip(open.lines()) {
        if open.ends_with("ENOSYS") {
            println!("not shown, the kernel lacks it: {open}");
        } else {
            assert_ne!(filtered, open, "the call comes through without a filter");
        }
    }
}

/// The file of a v1 hierarchy that names a program for the host to run (CVE-2022-0492).
fn release_agent() {
    let mut guest = Guest::of_host_users().armed();
    if guest.host.cgroup_version() != "1" {
        println!("not shown: this host has no cgroup v1");
        return;
    }
    let script = "mkdir -p /tmp/c; mount -t cgroup -o memory none /tmp/c 2>/dev/null; \
                  for f in /tmp/c/release_agent /sys/fs/cgroup/memory/release_agent; do \
                  attack open write $f; done; echo 1 2>/dev/null > /sys/fs/cgroup/memory/notify_on_release || echo ro";
    assert_eq!(guest.shell(script).run().unwrap().output, "ENOENT\nENOENT\nro\n");
    // Even with all power over the host's users: in a cgroup namespace of its own there is none.
    assert_eq!(guest.changed(weak::mighty), "ENOENT\nENOENT\nro\n");
    assert!(guest.changed(weak::mighty_among_all_cgroups).starts_with("ok\n"));
    let mut guest = Guest::new().armed();
    assert_eq!(guest.shell(script).changed(weak::mighty), "ENOENT\nENOENT\nro\n");
}

/// A device of the host, by a node made inside and by one that came with the image.
fn devices() {
    let Some(device) = ["/dev/vda", "/dev/sda", "/dev/loop0", "/dev/fuse", "/dev/kmsg"]
        .into_iter()
        .find(|device| fs::File::open(device).is_ok())
    else {
        println!("not shown: this host's own root may open none of the usual devices");
        return;
    };
    let found = rustix::fs::stat(device).unwrap();
    let kind = rustix::fs::FileType::from_raw_mode(found.st_mode);
    let letter = if kind == rustix::fs::FileType::BlockDevice { "b" } else { "c" };
    let (major, minor) = (rustix::fs::major(found.st_rdev), rustix::fs::minor(found.st_rdev));
    let script = format!(
        "mknod /tmp/$1 {letter} {major} {minor} 2>/dev/null || echo refused; \
         attack open read /tmp/$1; attack open read /image"
    );
    let with_node = |guest: Guest| {
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        let path = guest.lower("image");
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, found.st_rdev).unwrap();
        guest.armed()
    };
    let mut guest = with_node(Guest::new());
    guest.command(&["sh", "-c", &script, "-", "one"]);
    assert_eq!(guest.run().unwrap().output, "refused\nENOENT\nEPERM\n");
    let mut guest = with_node(Guest::of_host_users());
    guest.command(&["sh", "-c", &script, "-", "one"]);
    assert_eq!(guest.run().unwrap().output, "EPERM\nEPERM\n");
    guest.command(&["sh", "-c", &script, "-", "two"]);
    assert_eq!(guest.changed(weak::all_devices), "ok\nok\n");
}

fn setuid_and_file_capabilities() {
    let mut guest = Guest::new().armed();
    for name in ["suid", "capable"] {
        fs::copy(guest.lower("bin/attack"), guest.lower("bin").join(name)).unwrap();
    }
    fs::set_permissions(guest.lower("bin/suid"), fs::Permissions::from_mode(0o4755)).unwrap();
    // `struct vfs_cap_data` of linux/capability.h: revision 2, effective, CAP_CHOWN permitted.
    let capabilities = [0x0200_0001_u32, 1, 0, 0, 0].map(u32::to_le_bytes).concat();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(guest.lower("bin/capable"), "security.capability", &capabilities, flags)
        .unwrap();
    guest.spec.process.user = "33".to_owned();
    guest.spec.security.no_new_privileges = Some(true);
    guest.shell("suid who; capable who");
    let none = "0000000000000000";
    assert_eq!(guest.run().unwrap().output, format!("33 {none}\n33 {none}\n"));
    let gained = guest.changed(|plan| plan.process.no_new_privileges = false);
    assert_eq!(gained, "0 00000000a80425fb\n33 0000000000000001\n");
    // Never more than the bounding set, whatever the file says.
    let bounded = guest.changed(|plan| {
        plan.process.no_new_privileges = false;
        plan.process.capabilities.bounding = 2;
    });
    assert_eq!(bounded.lines().next(), Some("0 0000000000000002"));
}

/// Whoever starts the daemon may have keys in his session keyring (of a file system, of Kerberos).
fn keyring_of_the_host() {
    hull_sys::keyring::join_session(c"hull-container-test").unwrap();
    let mut add = hull_sys::spawn::command(hull_attack::program());
    let added = add.args(["add-key", "hull-test-secret"]).output().unwrap();
    assert_eq!(added.stdout, b"ok\n", "{added:?}");
    let mut guest = Guest::of_host_users().armed();
    guest.command(&["attack", "find-key", "hull-test-secret"]);
    assert_eq!(guest.run().unwrap().output, "EPERM\n");
    assert_eq!(guest.changed(weak::unfiltered), "ENOKEY\n");
    if let Some(out) = without(&[Defence::Keyring], || guest.changed(weak::unfiltered)) {
        assert_eq!(out, "ok\n");
    }
}

fn groups_of_the_host() {
    let ours = rustix::process::getgroups().unwrap();
    let secret = rustix::process::Gid::from_raw(42_424);
    rustix::thread::set_thread_groups(&[secret]).unwrap();
    let mut guest = Guest::of_host_users();
    let look = ["grep", "Groups", "/proc/self/status"];
    let first = guest.command(&look).run().unwrap().output;
    let weak = without(&[Defence::Groups], || guest.run().unwrap().output);
    let mut guest = Guest::new();
    let live = guest.shell("sleep 60").start().unwrap();
    let added = live.exec(&look).unwrap().output;
    rustix::thread::set_thread_groups(&ours).unwrap();
    assert!(!first.contains("42424") && !added.contains("42424"), "{first}{added}");
    assert!(weak.is_none_or(|groups| groups.contains("42424")));
}
