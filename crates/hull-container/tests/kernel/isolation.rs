//! What a guest sees, and what it cannot.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::Test;
use crate::fixture::Guest;

pub(crate) const TESTS: &[Test] = &[
    ("root_inside_is_nobody_outside", root_inside_is_nobody_outside),
    ("files_keep_their_owners_on_disk", files_keep_their_owners_on_disk),
    ("every_namespace_is_new", every_namespace_is_new),
    ("the_host_is_not_visible", the_host_is_not_visible),
    ("no_descriptors_and_no_environment_leak", no_descriptors_and_no_environment_leak),
    ("capabilities_and_filter_are_dockers", capabilities_and_filter_are_dockers),
    ("paths_are_masked_and_protected", paths_are_masked_and_protected),
    ("a_read_only_root_has_writable_mounts", a_read_only_root_has_writable_mounts),
    ("bind_mounts_keep_owners_and_can_be_read_only", bind_mounts),
    ("devices_work_and_belong_to_root", devices_work_and_belong_to_root),
    ("settings_are_applied", settings_are_applied),
    ("cgroups_are_seen_from_inside", cgroups_are_seen_from_inside),
    ("everything_works_in_the_hosts_user_namespace", host_users),
    ("privileged_is_powerful", privileged_is_powerful),
];

fn root_inside_is_nobody_outside() {
    let mut guest = Guest::new();
    let base = guest.ids.unwrap().base;
    guest.shell("id -u; cat /proc/self/uid_map; cat /proc/self/gid_map; sleep 5");
    let live = guest.start().unwrap();
    let path = format!("/proc/{}", live.running.pid.as_raw_nonzero());
    assert_eq!(fs::metadata(path).unwrap().uid(), base);
    drop(live);
    let out = guest.shell("id -u; cat /proc/self/uid_map").run().unwrap().output;
    let words: Vec<_> = out.split_whitespace().collect();
    assert_eq!(words, ["0", "0", &base.to_string(), "65536"]);
}

fn files_keep_their_owners_on_disk() {
    let mut guest = Guest::new();
    let out = guest
        .shell("touch /zero /www && chown 33:33 /www && stat -c %u /zero /www /etc/passwd")
        .run()
        .unwrap();
    assert_eq!((out.status, out.output.as_str()), (0, "0\n33\n0\n"));
    let zero = fs::metadata(guest.upper("zero")).unwrap();
    let www = fs::metadata(guest.upper("www")).unwrap();
    assert_eq!((zero.uid(), zero.gid(), www.uid(), www.gid()), (0, 0, 33, 33));
}

fn every_namespace_is_new() {
    let mut guest = Guest::new();
    guest.spec.hostname = "tester".to_owned();
    let out = guest
        .shell("for n in user mnt pid uts ipc net cgroup; do readlink /proc/self/ns/$n; done; hostname; echo $$")
        .run()
        .unwrap()
        .output;
    let lines: Vec<_> = out.lines().collect();
    for (at, name) in ["user", "mnt", "pid", "uts", "ipc", "net", "cgroup"].iter().enumerate() {
        let host = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_ne!(lines[at], host.to_str().unwrap(), "{name}");
        assert!(lines[at].starts_with(name), "{out}");
    }
    assert_eq!(&lines[7..], ["tester", "1"]);
}

fn the_host_is_not_visible() {
    let mut guest = Guest::new();
    let out = guest
        .shell("ls /; cat /proc/self/mountinfo; cat /proc/net/dev; ps; cat /proc/self/cgroup")
        .run()
        .unwrap()
        .output;
    // Neither paths of the host nor its disk, interfaces, processes or cgroup names.
    let dir = guest.dir.path().to_str().unwrap();
    for secret in [dir, "/dev/vda", "eth0", "kthreadd", "hull", "/work/"] {
        assert!(!out.contains(secret), "{secret} in {out}");
    }
    assert!(out.contains(" / / rw,relatime"), "{out}");
}

fn no_descriptors_and_no_environment_leak() {
    let mut guest = Guest::new();
    // Without close-on-exec, as a careless embedder may have it.
    let secret = fs::File::open("/etc/shadow").unwrap();
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap();
    guest.spec.process.env = vec!["A=1".to_owned()];
    let out = guest.command(&["ls", "/proc/1/fd"]).run().unwrap().output;
    // The fourth is the listing's own.
    assert_eq!(out.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    let out = guest.command(&["env"]).run().unwrap().output;
    let mut env: Vec<_> = out.lines().collect();
    env.sort_unstable();
    let host = format!("HOSTNAME={}", guest.id.short());
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(env, ["A=1", "HOME=/root", &host, path]);
}

fn capabilities_and_filter_are_dockers() {
    let mut guest = Guest::new();
    let script = "grep -E '^(Cap|NoNew|Seccomp:|Sig[BI])' /proc/self/status; \
                  unshare -U true || echo refused; mount -t tmpfs none /tmp || echo refused";
    let out = guest.shell(script).run().unwrap().output;
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
        "Seccomp:\t2",
        "SigBlk:\t0000000000000000",
        "SigIgn:\t0000000000000000",
        "refused\n",
    ] {
        assert!(out.contains(line), "{line} not in {out}");
    }
    guest.spec.security.no_new_privileges = Some(true);
    guest.spec.process.user = "www-data".to_owned();
    let out = guest.shell("id; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status").run().unwrap();
    let out = out.output;
    assert!(out.contains("uid=33(www-data) gid=33 groups=4(adm),33"), "{out}");
    assert!(out.contains("CapEff:\t0000000000000000"), "{out}");
    assert!(out.contains("NoNewPrivs:\t1") && out.contains("Seccomp:\t2"), "{out}");
}

fn paths_are_masked_and_protected() {
    let mut guest = Guest::new();
    let script = "ls /sys/firmware | wc -l; cat /proc/kcore /proc/timer_list /proc/keys | wc -c; \
                  echo x > /proc/sys/kernel/hostname || echo ro; echo b > /proc/sysrq-trigger || echo ro; \
                  touch /sys/firmware/x || echo ro; touch /sys/x || echo ro";
    let out = guest.shell(script).run().unwrap().output;
    assert_eq!(out.lines().filter(|line| *line == "0").count(), 2, "{out}");
    assert_eq!(out.lines().filter(|line| *line == "ro").count(), 4, "{out}");
}

fn a_read_only_root_has_writable_mounts() {
    use hull_model::mount::{Mount, Origin, Source, Target};
    let mut guest = Guest::new();
    guest.spec.root_read_only = true;
    guest.spec.mounts.push(Mount {
        target: Target::new("/made/below").unwrap(),
        source: Source::Tmpfs { size: None, mode: Some(0o700), options: vec!["uid=33".into()] },
        read_only: false,
        origin: Origin::Tmpfs,
    });
    let script = "touch /x || echo ro; touch /made/below/x && stat -c '%u %a' /made/below; touch /dev/shm/x && echo rw";
    let out = guest.shell(script).run().unwrap().output;
    assert!(out.contains("Read-only file system"), "{out}");
    assert!(out.ends_with("ro\n33 700\nrw\n"), "{out}");
}

fn bind_mounts() {
    let mut guest = Guest::new();
    let shared = tempfile::tempdir().unwrap();
    fs::write(shared.path().join("file"), "content\n").unwrap();
    guest.spec.mounts = vec![
        bound(shared.path(), "/data", false),
        bound(shared.path(), "/frozen", true),
        bound(&shared.path().join("file"), "/etc/one/file", false),
    ];
    let script = "cat /data/file /etc/one/file; stat -c %u /data/file; touch /data/new; \
                  touch /frozen/no || echo ro";
    let out = guest.shell(script).run().unwrap().output;
    assert!(out.starts_with("content\ncontent\n0\n") && out.ends_with("ro\n"), "{out}");
    assert_eq!(fs::metadata(shared.path().join("new")).unwrap().uid(), 0);
}

pub(crate) fn bound(
    path: &std::path::Path,
    target: &str,
    read_only: bool,
) -> hull_model::mount::Mount {
    use hull_model::mount::{Mount, Origin, Propagation, Source, Target};
    Mount {
        target: Target::new(target).unwrap(),
        source: Source::Bind {
            path: path.to_str().unwrap().to_owned(),
            create: false,
            propagation: Propagation::Rprivate,
            non_recursive: false,
        },
        read_only,
        origin: Origin::Binds,
    }
}

fn devices_work_and_belong_to_root() {
    let mut guest = Guest::new();
    let granted = hull_model::security::Device {
        host: "/dev/zero".to_owned(),
        guest: "/dev/deep/zero".to_owned(),
        access: "r".to_owned(),
    };
    guest.devices = hull_container::host::devices(&[granted]).unwrap();
    let script = "head -c 5 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; echo x > /dev/null && \
                  head -c 3 /dev/deep/zero | wc -c; stat -c %u /dev/null /dev/mqueue /dev/shm; \
                  echo out > /dev/stdout; mknod /x c 1 3 || echo refused";
    let out = guest.shell(script).run().unwrap().output;
    assert!(out.starts_with("5\n5\n3\n0\n0\n0\nout\n") && out.ends_with("refused\n"), "{out}");
    // Somebody else than root can open its streams by name too.
    guest.spec.process.user = "33".to_owned();
    assert_eq!(guest.shell("echo out > /dev/stdout").run().unwrap().output, "out\n");
}

fn settings_are_applied() {
    let mut guest = Guest::new();
    let set = [("net.ipv4.ip_forward", "1"), ("kernel.shmmni", "77")];
    guest.spec.security.sysctls =
        set.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni \
                  /proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(guest.shell(script).run().unwrap().output, "1\n77\n0\n");
    for bad in ["kernel.no.such", "../../sysrq-trigger", "net/../../sysrq-trigger"] {
        guest.spec.security.sysctls = [(bad.to_owned(), "1".to_owned())].into();
        let failure = guest.fail();
        assert!(failure.message.contains(bad), "{failure}");
    }
}

fn cgroups_are_seen_from_inside() {
    let mut guest = Guest::new();
    let out =
        guest.shell("cat /proc/self/cgroup; ls /sys/fs/cgroup; touch /sys/fs/cgroup/x || echo ro");
    let out = out.run().unwrap().output;
    let mut groups = out.lines().filter(|line| line.as_bytes()[0].is_ascii_digit());
    assert!(groups.all(|line| line.ends_with(":/")), "{out}");
    assert!(out.ends_with("ro\n"), "{out}");
    if guest.host.cgroup_version() == "1" {
        assert!(out.contains("\nmemory\n"), "{out}");
        let out = guest.shell("cat /sys/fs/cgroup/memory/cgroup.procs").run().unwrap().output;
        assert!(out.lines().any(|line| line == "1"), "{out}");
    }
}

fn host_users() {
    let mut guest = Guest::of_host_users();
    let out = guest
        .shell("id -u; cat /proc/self/uid_map; touch /x; ls /proc/1/fd | wc -l; mknod /n c 1 3 && echo made; mount -t tmpfs none /tmp || echo refused")
        .run()
        .unwrap();
    let words: Vec<_> = out.output.split_whitespace().collect();
    assert_eq!(words[..4], ["0", "0", "0", "4294967295"]);
    assert!(out.output.contains("made\n") && out.output.ends_with("refused\n"), "{out:?}");
    assert_eq!(fs::metadata(guest.upper("x")).unwrap().uid(), 0);
}

fn privileged_is_powerful() {
    let mut guest = Guest::of_host_users();
    guest.spec.security.privileged = true;
    guest.devices = hull_container::host::all_devices().unwrap();
    let script = "grep -E '^(CapEff|Seccomp:)' /proc/self/status; ls /dev | wc -l; \
                  mkdir -p /tmp/m && mount -t tmpfs none /tmp/m && echo mounted; ls /sys/firmware > /dev/null && echo seen";
    let out = guest.shell(script).run().unwrap().output;
    // All that the launcher itself may have.
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find(|line| line.starts_with("CapEff:")).unwrap();
    assert!(out.contains(&format!("{own}\nSeccomp:\t0\n")), "{out}");
    assert!(out.ends_with("mounted\nseen\n"), "{out}");
}
