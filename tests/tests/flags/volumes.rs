//! `--volumes-from`.

use hull_tests::daemon;

#[test]
fn another_containers_mounts_are_mounted_at_the_same_places() {
    let d = daemon!();
    let dir = d.files().join("dir");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("f"), "bound").unwrap();
    let bind = format!("-v {}:/bound:ro", dir.display());
    d.docker(&format!(
        "create --name source {bind} -v named:/named -v /own --tmpfs /memory \
         --mount type=tmpfs,dst=/long busybox"
    ))
    .ok();
    let sh = |words: &str, script: &str| {
        d.docker(&format!("run --rm --network none {words} busybox sh -c")).arg(script).run()
    };
    let done = sh(
        "--volumes-from source",
        "cat /bound/f; echo 1 > /named/f; echo 2 > /own/f; test -d /memory",
    );
    assert_eq!((done.status, done.stdout.as_str()), (1, "bound"), "{done:?}");
    let done =
        sh("--volumes-from source:ro", "cat /named/f /own/f; touch /own/g || touch /named/g");
    assert_eq!((done.status, done.stdout.as_str()), (1, "1\n2\n"), "{done:?}");
    assert!(done.stderr.contains("Read-only file system"), "{done:?}");
    // A read-only mount stays one, a mount of one's own goes first, and of two the later.
    let done = sh("--volumes-from source", "touch /bound/g");
    assert!(done.stderr.contains("Read-only file system"), "{done:?}");
    d.docker(
        "run --name second --network none -v other:/named busybox sh -c 'echo other > /named/f'",
    )
    .ok();
    let done =
        sh("--volumes-from source --volumes-from second -v mine:/own", "cat /named/f; ls /own");
    assert_eq!(done.stdout, "other\n");
    // A guest lends what it has borrowed.
    d.docker("create --name third --volumes-from source busybox").ok();
    let own = d.inspect("third");
    assert_eq!(own["HostConfig"]["VolumesFrom"][0], "source");
    assert_eq!(own["Mounts"].as_array().unwrap().len(), 4);
    assert_eq!(
        d.hull("run --rm --network none --volumes-from third:ro busybox cat /own/f").ok(),
        "2"
    );
    // The volume goes with its last user.
    d.docker("rm -v source").ok();
    assert_eq!(sh("--volumes-from third", "cat /own/f").stdout, "2\n");
    let volume =
        own["Mounts"].as_array().unwrap().iter().find(|m| m["Destination"] == "/own").unwrap();
    let volume = volume["Name"].as_str().unwrap();
    assert!(d.docker("volume ls -q").ok().contains(volume));
    d.docker("rm -v third").ok();
    assert!(!d.docker("volume ls -q").ok().contains(volume));
}

#[test]
fn what_cannot_be_borrowed_is_refused_and_nothing_is_lost() {
    let d = daemon!();
    d.docker("run --name source --network none -v /own busybox sh -c 'echo 1 > /own/f'").ok();
    for (words, why) in [
        ("--volumes-from nobody", "No such container: nobody"),
        ("--volumes-from source:x", "invalid mode: x"),
        ("--volumes-from ''", "volumes-from specification cannot be an empty string"),
    ] {
        let said = d.docker(&format!("run {words} busybox")).fails(125);
        assert!(said.contains(why), "{said}");
    }
    // A creation that fails half-way takes back what is its own and nothing else.
    let missing = d.files().join("missing");
    let mount = format!("--mount type=bind,src={},dst=/x", missing.display());
    d.docker(&format!("create --volumes-from source {mount} busybox")).fails(1);
    let kept = d.docker("run --rm --network none --volumes-from source busybox cat /own/f").ok();
    assert_eq!(kept, "1");
}
