//! `--device` and `--gpus`: nodes of the host, and devices by their vendors' names.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hull_tests::{Daemon, Settings, daemon};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;

use crate::{by_both, refused, seen};

#[test]
fn a_device_is_inside_with_the_access_that_was_given() {
    let d = daemon!();
    assert_eq!(seen(&d, "--device /dev/zero:/dev/mine", "head -c 3 /dev/mine | wc -c"), "3");
    assert_eq!(
        seen(&d, "--device /dev/full:/dev/deep/er/mine:r", "head -c 3 /dev/deep/er/mine | wc -c"),
        "3"
    );
    assert_eq!(seen(&d, "--device /dev/zero:/opt/mine", "head -c 3 /opt/mine | wc -c"), "3");
    // The node belongs to the guest's root, and what was not granted is not allowed.
    assert_eq!(seen(&d, "--device /dev/zero:/dev/mine", "stat -c %u:%t:%T /dev/mine"), "0:1:5");
    for done in by_both(&d, "", "mknod /dev/mine c 1 1 && head -c 1 /dev/mine") {
        assert_ne!(done.status, 0, "{done:?}");
    }
    // A directory stands for the nodes below it.
    let dir = d.files().join("many");
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    for (name, minor) in [("zero", 5), ("sub/full", 7)] {
        let kind = FileType::CharacterDevice;
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, dir.join(name), kind, mode, makedev(1, minor)).unwrap();
    }
    std::fs::write(dir.join("file"), "no device").unwrap();
    let flags = format!("--device {}:/dev/many", dir.display());
    assert_eq!(seen(&d, &flags, "cd /dev/many; find . -type c | sort"), "./sub/full\n./zero");
    for (flags, why) in [
        ("--device /dev/no-such-device", "error gathering device information"),
        ("--device /etc/passwd", "not a device node"),
        ("--device dev/null", "not an absolute path"),
        ("--device /dev/null:/dev/x:rwx", "bad mode specified: rwx"),
    ] {
        refused(&d, flags, why);
    }
}

fn with_specs(specs: &[(&str, &str)]) -> (tempfile::TempDir, Settings) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in specs {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let arguments = format!("--cdi-spec-dir {}", dir.path().display());
    (dir, Settings { arguments, ..Settings::default() })
}

const YAML: &str = "\
cdiVersion: 0.7.0
kind: vendor.com/thing
containerEdits:
  env: [ALL=1]
devices:
- name: one
  containerEdits:
    env: [ONE=1, PATH=/usr/bin:/bin]
    additionalGids: [4321]
    deviceNodes:
    - {path: /dev/vendor/zero, hostPath: /dev/zero, permissions: r}
    mounts:
    - {hostPath: MOUNTED, containerPath: /vendor/lib, options: [ro, nosuid, rbind]}
";

#[test]
fn cdi_devices_bring_what_their_files_say() {
    let mounted = tempfile::tempdir().unwrap();
    std::fs::write(mounted.path().join("so"), "library").unwrap();
    let yaml = YAML.replace("MOUNTED", &mounted.path().display().to_string());
    let two = json!({
        "cdiVersion": "0.3.0", "kind": "vendor.com/other",
        "devices": [{"name": "two", "containerEdits": {"env": ["TWO=2"]}}],
    });
    let (_dir, settings) = with_specs(&[("a.yaml", &yaml), ("b.json", &two.to_string())]);
    let d = daemon!(settings);
    let flags = "--device vendor.com/thing=one --device vendor.com/other=two";
    let script =
        "echo $ALL$ONE$TWO; cat /vendor/lib/so; echo; id -G; head -c 2 /dev/vendor/zero | wc -c";
    assert_eq!(seen(&d, flags, script), "112\nlibrary\n0 4321\n2");
    for done in by_both(&d, flags, "touch /vendor/lib/new") {
        assert!(done.stderr.contains("Read-only file system"), "{done:?}");
    }
    // Also for root in the guest the node only reads.
    let id = d.run_detached(&format!("{flags} --name kept busybox sleep 1000"));
    let requests = d.inspect(&id)["HostConfig"]["DeviceRequests"].clone();
    assert_eq!(requests[0]["Driver"], "cdi");
    let info = d.get("/info").json();
    let found: Vec<_> =
        info["DiscoveredDevices"].as_array().unwrap().iter().map(|one| one["ID"].clone()).collect();
    assert_eq!(found, ["vendor.com/other=two", "vendor.com/thing=one"]);
    assert_eq!(info["CDISpecDirs"].as_array().unwrap().len(), 1);
    refused(
        &d,
        "--device vendor.com/thing=none",
        "CDI device injection failed: unresolvable CDI devices vendor.com/thing=none",
    );
}

#[test]
fn hooks_of_a_device_run_in_the_guests_namespaces() {
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let written = place.path().join("written");
    let script = format!("readlink /proc/self/ns/user > {0}; cat >> {0}", written.display());
    let hook =
        json!({"hookName": "createContainer", "path": "/bin/sh", "args": ["sh", "-c", script]});
    let spec = json!({
        "cdiVersion": "0.5.0", "kind": "vendor.com/hooked",
        "devices": [{"name": "dev", "containerEdits": {"hooks": [hook]}}],
    });
    let (_dir, settings) = with_specs(&[("hooked.json", &spec.to_string())]);
    let d = daemon!(settings);
    let id = d.run_detached("--device vendor.com/hooked=dev busybox sleep 1000");
    let inner = d.docker(&format!("exec {id} readlink /proc/self/ns/user")).ok();
    let written = std::fs::read_to_string(written).unwrap();
    let (namespace, state) = written.split_once('\n').unwrap();
    assert_eq!(namespace, inner);
    assert!(state.contains(&id), "{state}");
}

#[test]
fn files_that_are_wrong_are_not_used_and_named() {
    let odd = json!({
        "cdiVersion": "0.5.0", "kind": "vendor.com/odd",
        "devices": [
            {"name": "hook", "containerEdits": {"hooks": [{"hookName": "poststart", "path": "/bin/true"}]}},
            {"name": "gone", "containerEdits": {"deviceNodes": [{"path": "/dev/no-such"}]}},
            {"name": "type", "containerEdits": {"mounts": [{"hostPath": "/", "containerPath": "/x", "options": ["remount"]}]}},
        ],
    });
    let (dir, settings) = with_specs(&[("odd.json", &odd.to_string()), ("broken.json", "{")]);
    let d = daemon!(settings);
    for (name, why) in [
        ("hook", "hull runs createContainer and startContainer hooks only"),
        ("gone", "/dev/no-such"),
        ("type", "unknown option \"remount\""),
        ("nope", "broken.json"),
    ] {
        refused(&d, &format!("--device vendor.com/odd={name}"), why);
    }
    let warnings = d.get("/info").json()["Warnings"].to_string();
    assert!(warnings.contains("broken.json"), "{warnings}");
    // Files come and go without a restart.
    std::fs::write(
        dir.path().join("new.yaml"),
        "cdiVersion: 0.3.0\nkind: vendor.com/new\ndevices: [{name: aa, containerEdits: {env: [A=new]}}]\n",
    )
    .unwrap();
    assert_eq!(seen(&d, "--device vendor.com/new=aa", "echo $A"), "new");
}

#[test]
fn gpus_are_cdi_devices_of_the_class_gpu() {
    let d = daemon!(Settings {
        arguments: "--cdi-spec-dir /no/such/dir".to_owned(),
        ..Settings::default()
    });
    for flags in ["--gpus all", "--gpus 2"] {
        refused(&d, flags, "could not select device driver \"\" with capabilities: [[gpu]]");
    }
    drop(d);
    let names = ["0", "1", "all"];
    let devices: Vec<_> = names
        .map(|name| json!({"name": name, "containerEdits": {"env": [format!("GPU_{name}=1")]}}))
        .into();
    let spec = json!({"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices});
    let (_dir, settings) = with_specs(&[("nvidia.json", &spec.to_string())]);
    let d = daemon!(settings);
    let gpus = |d: &Daemon, flags: &str| seen(d, flags, "env | grep GPU_ | sort | tr '\\n' ' '");
    assert_eq!(gpus(&d, "--gpus all"), "GPU_all=1");
    assert_eq!(gpus(&d, "--gpus 2"), "GPU_0=1 GPU_1=1");
    assert_eq!(gpus(&d, "--gpus device=1"), "GPU_1=1");
    refused(&d, "--gpus device=7", "unresolvable CDI devices nvidia.com/gpu=7");
    assert!(Path::new("/dev/null").exists());
}
