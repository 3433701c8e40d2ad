//! `-v`, `--mount`, `--tmpfs`, `--read-only`, `--volume-driver`, `--storage-opt`.

use hull_tests::daemon;
use serde_json::json;

use crate::{by_both, refused, seen};

/// Leaves the host's ids out of mount options: each run may get another range of them.
const OUTSIDE_IDS: &str = "sed -E 's/,[ug]id=[0-9]{6,}//g'";

#[test]
fn v_takes_every_option_word_of_docker() {
    let d = daemon!();
    let dir = d.files().join("dir");
    std::fs::create_dir(&dir).unwrap();
    let dir = dir.display();
    for words in ["", ":rw", ":z", ":Z,rw", ":cached", ":rprivate", ":rslave", ":delegated,rw"] {
        seen(&d, &format!("-v {dir}:/d{words}"), "echo 1 > /d/file");
    }
    for done in by_both(&d, &format!("-v {dir}:/d:ro"), "echo 1 > /d/file") {
        assert!(done.stderr.contains("Read-only file system"), "{done:?}");
    }
    seen(&d, "-v named:/d -v /anonymous", "touch /d/file /anonymous/file");
    assert_eq!(seen(&d, "--volume named:/d:ro,nocopy", "ls /d"), "file");
    for (flags, why) in [
        (format!("-v {dir}:/d:what"), "invalid mode: what"),
        (format!("-v {dir}:/d:ro,rw"), "invalid mode: ro,rw"),
        (format!("-v {dir}:/"), "destination can't be '/'"),
        ("-v a/b:/d".to_owned(), "includes invalid characters for a local volume name"),
        (format!("-v {dir}:/d --tmpfs /d"), "Duplicate mount point: /d"),
    ] {
        refused(&d, &flags, why);
    }
}

#[test]
fn mount_takes_every_type_there_is_or_says_what_is_missing() {
    let d = daemon!();
    let dir = d.files().join("dir");
    std::fs::create_dir(&dir).unwrap();
    let source = dir.display();
    let options = |path: &str, flags: &str| {
        seen(&d, flags, &format!("grep ' {path} ' /proc/mounts | cut -d ' ' -f 4 | {OUTSIDE_IDS}"))
    };
    seen(&d, &format!("--mount type=bind,src={source},dst=/d"), "echo 1 > /d/file");
    for read_only in ["readonly", "ro", "readonly=true"] {
        let mount = format!("--mount type=bind,source={source},target=/d,{read_only}");
        assert!(options("/d", &mount).starts_with("ro"), "{mount}");
    }
    for more in ["bind-propagation=rslave", "bind-nonrecursive=true", "bind-recursive=disabled"] {
        seen(&d, &format!("--mount type=bind,src={source},dst=/d,{more}"), "cat /d/file");
    }
    let rro = "bind-recursive=readonly,bind-propagation=rprivate,readonly";
    seen(&d, &format!("--mount type=bind,src={source},dst=/d,{rro}"), "cat /d/file");
    seen(&d, "--mount type=volume,src=vol,dst=/v", "echo 1 > /v/file");
    seen(&d, "--mount src=vol,dst=/v,volume-nocopy,volume-driver=local,readonly", "cat /v/file");
    let flags = "--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700";
    assert!(options("/t", flags).contains("size=1024k"));
    assert_eq!(seen(&d, flags, "stat -c %a /t"), "700");
    let new = d.files().join("made");
    let body = json!({"Image": "busybox", "HostConfig": {"Mounts": [{
        "Type": "bind", "Source": new, "Target": "/d", "BindOptions": {"CreateMountpoint": true}}]}});
    assert_eq!(d.post("/containers/create", &body).status, 201);
    assert!(new.is_dir());
    for (mount, why) in [
        ("type=bind,src=/no/such/path,dst=/d", "bind source path does not exist: /no/such/path"),
        ("type=what,dst=/d", "what"),
        ("type=bind,src=/tmp", "target"),
        ("type=tmpfs,src=/a,dst=/d", "Source must not be specified"),
        ("type=volume,src=v,dst=/d,bind-propagation=shared", "cannot mix"),
        ("type=volume,src=v,dst=/d,volume-subpath=../x", "Subpath"),
        ("type=image,src=busybox,dst=/d", "image"),
        ("type=volume,dst=/d,volume-opt=type=nfs,volume-opt=device=:/x", "Options"),
    ] {
        refused(&d, &format!("--mount {mount}"), why);
    }
}

#[test]
fn tmpfs_options_and_read_only_roots() {
    let d = daemon!();
    let look = format!("grep ' /t ' /proc/mounts | cut -d ' ' -f 4 | {OUTSIDE_IDS}");
    let options = |flags: &str| seen(&d, flags, &look);
    let default = options("--tmpfs /t");
    assert!(
        ["rw", "nosuid", "nodev", "noexec"].iter().all(|word| default.contains(word)),
        "{default}"
    );
    let other = options("--tmpfs /t:exec,size=2m,mode=700,uid=5");
    assert!(other.contains("size=2048k") && !other.contains("noexec"), "{other}");
    assert!(options("--tmpfs /t:ro").starts_with("ro"));
    refused(&d, "--tmpfs /t:what", "what");
    refused(&d, "--tmpfs t", "mount path must be absolute");
    for done in by_both(&d, "--read-only --tmpfs /t", "touch /t/file; touch /file") {
        assert!(done.stderr.contains("/file: Read-only file system"), "{done:?}");
        assert!(!done.stderr.contains("/t/file"), "{done:?}");
    }
}

#[test]
fn other_drivers_and_quotas_are_refused_in_dockers_words() {
    let d = daemon!();
    seen(&d, "--volume-driver local -v named:/d", "touch /d/file");
    refused(&d, "--volume-driver other -v named:/d", "VolumeDriver=other");
    refused(
        &d,
        "--storage-opt size=1G",
        "--storage-opt is supported only for overlay over xfs with 'pquota'",
    );
    refused(&d, "--storage-opt what=1", "what");
}
