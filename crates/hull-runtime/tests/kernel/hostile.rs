//! Bundles and containers that mean harm.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use crate::Test;
use crate::bundle::{Bundle, eventually};

pub(crate) const TESTS: &[Test] = &[
    ("links_in_the_root_lead_nowhere_else", links),
    ("a_config_that_is_no_file_hangs_nothing", no_file),
    ("the_runtime_cannot_be_overwritten_from_inside", overwrite),
    ("the_working_directory_cannot_be_a_leaked_descriptor", leaked_directory),
    ("a_waiting_process_cannot_be_looked_into", waiting),
    ("a_root_that_is_a_link_is_only_the_root", linked_root),
];

fn links() {
    let mut bundle = Bundle::new();
    let outside = bundle.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink(&outside, bundle.path("rootfs/link")).unwrap();
    symlink("../../../../../../../..", bundle.path("rootfs/up")).unwrap();
    let tree = bundle.path("outside");
    let target = format!("/up{}", tree.display());
    let mounts = bundle.config["mounts"].as_array_mut().unwrap();
    mounts.push(json!({"destination": "/link/made", "type": "tmpfs", "source": "tmpfs"}));
    mounts.push(json!({"destination": target, "type": "tmpfs", "source": "tmpfs"}));
    bundle.process()["cwd"] = json!("/link/cwd");
    bundle.shell("cat /link/secret; pwd").run();
    let left: Vec<_> = fs::read_dir(&outside).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["secret"]);
    // The kernel's own file systems are not mounted through links at all.
    let bundle = Bundle::new();
    symlink("/tmp", bundle.path("rootfs/proc")).unwrap();
    bundle.run().fails(1, "the image has a symbolic link there");
    bundle.assert_nothing_left();
}

fn no_file() {
    let bundle = Bundle::new();
    fs::remove_file(bundle.path("config.json")).unwrap();
    let fifo = bundle.path("config.json");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    bundle.call(&["create", "c"]).fails(1, "not a regular file");
    fs::remove_file(&fifo).unwrap();
    fs::create_dir(&fifo).unwrap();
    bundle.call(&["create", "c"]).fails(1, "not a regular file");
    fs::remove_dir(&fifo).unwrap();
    fs::File::create(&fifo).unwrap().set_len(1 << 30).unwrap();
    bundle.call(&["create", "c"]).fails(1, "larger than 16 MiB");
    let deep = "[".repeat(100_000);
    fs::write(&fifo, format!(r#"{{"ociVersion":"1.0.0","x":{deep}"#)).unwrap();
    bundle.call(&["create", "c"]).fails(1, "EOF while parsing a list");
    bundle.assert_nothing_left();
}

/// CVE-2019-5736: the container's root is the host's, its program is a link to whoever executes it.
fn overwrite() {
    let exe = std::env::current_exe().unwrap();
    let before = fs::metadata(&exe).unwrap();
    let mut bundle = Bundle::new();
    let all = json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_FOWNER"]);
    for set in ["bounding", "effective", "permitted"] {
        bundle.process()["capabilities"][set] = all.clone();
    }
    // The container waits for execs, and for each opens its program to write to it later.
    bundle.shell(
        "echo ready; while :; do for p in /proc/[0-9]*; do \
           test \"$p\" = /proc/1 || { exec 9>>$p/exe && echo WRITTEN; } 2>/dev/null; done; done",
    );
    bundle.start();
    eventually("the attacker", || bundle.output().contains("ready"));
    fs::write(bundle.path("rootfs/bin/evil"), "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(bundle.path("rootfs/bin/evil"), fs::Permissions::from_mode(0o755)).unwrap();
    for _ in 0..20 {
        bundle.call(&["exec", "c", "evil"]);
        bundle.call(&["exec", "c", "true"]);
    }
    assert!(!bundle.output().contains("WRITTEN"), "{}", bundle.output());
    let after = fs::metadata(&exe).unwrap();
    assert_eq!(before.len(), after.len());
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
}

/// CVE-2024-21626.
fn leaked_directory() {
    for number in 3..12 {
        let mut bundle = Bundle::new();
        bundle.process()["cwd"] = json!(format!("/proc/self/fd/{number}"));
        let done = bundle.shell("cd ../../../..; ls; cat etc/hostname").run();
        assert_ne!(done.status, 0, "{done:?}");
        bundle.assert_nothing_left();
    }
}

fn waiting() {
    let mut bundle = Bundle::new();
    bundle.shell("sleep 600");
    bundle.create(&[]).ok();
    let pid = bundle.state()["pid"].to_string();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    // Its files belong to root and not to its user: it is not dumpable.
    assert!(status.contains("Name:"), "{status}");
    let open: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|target| target.starts_with("/") && !target.starts_with("/dev"))
        .collect();
    let inside = |path: &std::path::PathBuf| path.ends_with("output") || path.ends_with("errors");
    assert!(open.iter().all(inside), "{open:?}");
}

fn linked_root() {
    let mut bundle = Bundle::new();
    symlink("rootfs", bundle.path("other")).unwrap();
    bundle.config["root"]["path"] = json!("other");
    assert_eq!(bundle.shell("ls /root; cat /etc/passwd | head -n 1").run().ok().lines().count(), 1);
    let meta = fs::symlink_metadata(bundle.path("other")).unwrap();
    assert!(meta.file_type().is_symlink());
    bundle.assert_nothing_left();
}
