//! Files of the host and of volumes inside: binds, tmpfs, read-only roots, copy-up.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use hull_tests::daemon;

#[test]
fn a_bind_mount_shows_the_hosts_files_with_their_owners() {
    let d = daemon!();
    let dir = d.files().join("shared");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("from-host"), "hi").unwrap();
    std::os::unix::fs::chown(dir.join("from-host"), Some(33), Some(50)).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    let script = "stat -c %u:%g /s/from-host; cat /s/from-host; echo back > /s/from-guest; \
                  su alice -c 'echo a > /s/from-alice'";
    let run = format!("run --rm --network none -v {}:/s busybox sh -c", dir.display());
    assert_eq!(d.docker(&run).arg(script).ok(), "33:50\nhi");
    assert_eq!(fs::read_to_string(dir.join("from-guest")).unwrap(), "back\n");
    // Owners on disk are as seen inside, although the guest's root is nobody on the host.
    assert_eq!(fs::metadata(dir.join("from-guest")).unwrap().uid(), 0);
    assert_eq!(fs::metadata(dir.join("from-alice")).unwrap().uid(), 1000);
}

#[test]
fn a_read_only_bind_and_a_single_file() {
    let d = daemon!();
    let file = d.files().join("single");
    fs::write(&file, "text").unwrap();
    let run = format!("run --rm --network none -v {}:/etc/single:ro busybox", file.display());
    assert_eq!(d.docker(&format!("{run} cat /etc/single")).ok(), "text");
    let why = d.docker(&format!("{run} sh -c 'echo x > /etc/single'")).fails(1);
    assert!(why.contains("Read-only file system"), "{why}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "text");
}

#[test]
fn a_missing_source_is_made_by_v_and_refused_by_mount() {
    let d = daemon!();
    let dir = d.files().join("new/dir");
    d.docker(&format!("run --rm --network none -v {}:/s busybox true", dir.display())).ok();
    assert!(dir.is_dir());
    let other = d.files().join("other");
    let mount = format!("--mount type=bind,source={},target=/s", other.display());
    let why = d.docker(&format!("run --rm --network none {mount} busybox true")).fails(125);
    assert!(why.contains("bind source path does not exist"), "{why}");
    assert!(!other.exists());
    assert_eq!(d.docker("ps -aq").ok(), "");
}

#[test]
fn tmpfs_is_empty_sized_and_gone_afterwards() {
    let d = daemon!();
    let script = "ls -A /t | wc -l; df -k /t | tail -1; stat -c %a /t; echo x > /t/x";
    let tmpfs = "--tmpfs /t:size=4m,mode=1770";
    let seen = d.docker(&format!("run --rm --network none {tmpfs} busybox sh -c")).arg(script).ok();
    assert!(seen.starts_with("0\n") && seen.contains(" 4096 ") && seen.ends_with("1770"), "{seen}");
}

#[test]
fn a_read_only_root_still_has_what_is_mounted() {
    let d = daemon!();
    let run = "run --rm --network none --read-only --tmpfs /tmp -v data:/data busybox sh -c";
    let why = d.docker(run).arg("echo x > /tmp/x && echo x > /data/x && echo x > /x").fails(1);
    assert!(why.contains("/x: Read-only file system") && !why.contains("/tmp"), "{why}");
    d.docker(run).arg("cat /data/x").ok();
}

#[test]
fn a_new_volume_takes_what_the_image_has_there() {
    let d = daemon!();
    let run = "run --rm --network none -v www:/var/www busybox sh -c";
    let seen = d.docker(run).arg("cat /var/www/index.html; stat -c %u:%a /var/www").ok();
    assert_eq!(seen, "hello from www\n33:755");
    d.docker(run).arg("echo changed > /var/www/index.html").ok();
    assert_eq!(d.docker(run).arg("cat /var/www/index.html").ok(), "changed");
    // Not where it is unwanted, nor over something that is there.
    let bare = d.docker("run --rm --network none -v bare:/var/www:nocopy busybox ls -A /var/www");
    assert_eq!(bare.ok(), "");
    assert_eq!(d.docker("volume ls -q").ok(), "bare\nwww");
    let point = d.docker("volume inspect --format {{.Mountpoint}} www").ok();
    assert_eq!(fs::read_to_string(format!("{point}/index.html")).unwrap(), "changed\n");
}

#[test]
fn anonymous_volumes_go_with_their_container_named_ones_stay() {
    let d = daemon!();
    d.docker("run --rm --network none -v /anonymous -v named:/named busybox true").ok();
    assert_eq!(d.docker("volume ls -q").ok(), "named");
    d.docker("create --name xx -v /anonymous busybox").ok();
    let why = d.docker("create --name yy -v named:/n busybox").run();
    assert_eq!(why.status, 0);
    let why = d.docker("volume rm named").fails(1);
    assert!(why.contains("in use"), "{why}");
    d.docker("rm -v xx yy").ok();
    d.docker("volume rm named").ok();
    assert_eq!(d.docker("volume ls -q").ok(), "");
}

#[test]
fn writes_stay_in_the_container_and_never_reach_the_image() {
    let d = daemon!();
    d.docker("run --name ww --network none busybox sh -c 'echo x > /x; rm -f /etc/group'").ok();
    let seen = d.docker("start -a ww").ok();
    assert_eq!(seen, "");
    assert_eq!(
        d.docker("run --rm --network none busybox ls /etc").ok(),
        "group\nhostname\nhosts\npasswd\nresolv.conf"
    );
}

#[test]
fn paths_of_the_host_cannot_be_reached_through_links_in_the_image() {
    let d = daemon!();
    // The guest swaps a directory for a link to the host's root, then mounts below it.
    let id = d.docker("create --name evil --network none -v /tmp/hull-evil:/link/etc busybox true");
    id.ok();
    d.docker("rm evil").ok();
    let name = "hull-tests-escape";
    let target = std::path::Path::new("/etc").join(name);
    d.docker("run --name ll --network none busybox sh -c 'ln -s ../../../../../.. /link'").ok();
    let out = d.docker("start -a ll").run();
    assert_ne!(out.status, 127);
    let run = format!("run --rm --network none --volumes-from ll -w /link/etc/{name} busybox pwd");
    d.docker(&run).run();
    assert!(!target.exists());
    fs::remove_dir_all("/tmp/hull-evil").unwrap_or_default();
}
