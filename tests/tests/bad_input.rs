//! Bad input: Docker's status, a message that names the mistake, nothing left behind, daemon alive.

use hull_tests::images::{Image, file, link};
use hull_tests::{Daemon, Settings, Tool, daemon};
use serde_json::{Value, json};

/// Nothing was made, and the daemon goes on.
fn unharmed(d: &Daemon) {
    assert_eq!(d.get("/_ping").status, 200);
    assert_eq!(d.get("/containers/json?all=1").json(), json!([]));
}

#[test]
fn images_that_are_not_there_and_references_that_cannot_be() {
    let d = daemon!();
    for (reference, status, named) in [
        ("no-such-image", 404, "no-such-image"),
        ("busybox:other", 404, "busybox:other"),
        ("UPPER", 400, "UPPER"),
        ("a..b//c", 400, "a..b//c"),
        ("", 400, ""),
        ("x:y:z", 400, "x:y:z"),
        ("../../etc/passwd", 400, "../../etc/passwd"),
        ("busybox@sha256:123", 400, "busybox@sha256:123"),
    ] {
        let answer = d.post("/containers/create", &json!({"Image": reference}));
        assert_eq!(answer.status, status, "{reference}: {}", answer.text());
        let message = answer.message();
        let says = message.contains(named) || message.contains("invalid reference format");
        assert!(says, "{reference}: {message}");
    }
    let why = d.docker("run --rm --pull never nothing-here true").fails(125);
    assert!(why.contains("nothing-here"), "{why}");
    unharmed(&d);
}

#[test]
fn names_that_cannot_be() {
    let d = daemon!();
    for name in ["-x", "a/b", "../x", "x%20y", "%C3%A4", "a", ".hidden", "a%00b"] {
        let answer =
            d.post(&format!("/containers/create?name={name}"), &json!({"Image": "busybox"}));
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        assert!(answer.message().contains("name"), "{}", answer.message());
    }
    let long = "x".repeat(100_000);
    let answer = d.post(&format!("/containers/create?name={long}"), &json!({"Image": "busybox"}));
    assert!([400, 414, 431].contains(&answer.status), "{}", answer.status);
    unharmed(&d);
}

#[test]
fn a_wrong_type_in_each_field_is_400_and_named() {
    let d = daemon!();
    let good = json!({"Image": "busybox", "Cmd": ["a"], "Env": ["A=1"], "User": "u",
        "WorkingDir": "/", "Labels": {"a": "b"}, "Tty": true, "Entrypoint": ["x"],
        "StopSignal": "TERM", "StopTimeout": 1, "Hostname": "h", "ExposedPorts": {},
        "Volumes": {}, "OpenStdin": true,
        "HostConfig": {"Memory": 1, "NanoCpus": 1, "Binds": ["/a:/b"], "NetworkMode": "none",
            "RestartPolicy": {"Name": "no"}, "AutoRemove": true, "Privileged": false,
            "CapAdd": ["CHOWN"], "Tmpfs": {"/t": ""}, "Mounts": [], "Ulimits": [],
            "PidsLimit": 1, "ReadonlyRootfs": true, "Init": true, "ShmSize": 1, "Dns": [],
            "SecurityOpt": [], "LogConfig": {"Type": "json-file"}}});
    let wrong = |value: &Value| match value {
        Value::String(_) => json!(7),
        Value::Number(_) | Value::Bool(_) => json!("text"),
        Value::Array(_) => json!({"a": 1}),
        Value::Object(_) | Value::Null => json!("text"),
    };
    let mut bodies = Vec::new();
    for (key, value) in good.as_object().unwrap() {
        let mut body = good.clone();
        body[key] = wrong(value);
        bodies.push((key.clone(), body));
    }
    for (key, value) in good["HostConfig"].as_object().unwrap() {
        let mut body = good.clone();
        body["HostConfig"][key] = wrong(value);
        bodies.push((key.clone(), body));
    }
    for (key, body) in bodies {
        // Docker takes a command in one word, and so must we.
        if ["Cmd", "Entrypoint"].contains(&&*key) {
            continue;
        }
        let answer = d.post("/containers/create", &body);
        assert_eq!(answer.status, 400, "{key}: {}", answer.text());
        assert!(answer.message().contains(&key), "{key}: {}", answer.message());
    }
    unharmed(&d);
}

#[test]
fn values_out_of_range_are_400() {
    let d = daemon!();
    for host in [
        json!({"Memory": 1024}),
        json!({"Memory": -5}),
        json!({"NanoCpus": -1}),
        json!({"CpuQuota": 10}),
        json!({"Binds": ["relative/path:/x:bad"]}),
        json!({"Binds": ["/a:relative"]}),
        json!({"Tmpfs": {"relative": ""}}),
        json!({"RestartPolicy": {"Name": "sometimes"}}),
        json!({"CapAdd": ["NO_SUCH"]}),
        json!({"SecurityOpt": ["seccomp={broken"]}),
        json!({"Sysctls": {"kernel.shm_rmid_forced/../../x": "1"}}),
        json!({"LogConfig": {"Type": "no-such-driver"}}),
        json!({"AutoRemove": true, "RestartPolicy": {"Name": "always"}}),
        json!({"NetworkMode": "no-such-network"}),
    ] {
        let answer = d.post("/containers/create", &json!({"Image": "busybox", "HostConfig": host}));
        let status = answer.status;
        if status == 201 {
            // Some of it Docker finds out at the start only; then it must fail there.
            let id = answer.json()["Id"].as_str().unwrap().to_owned();
            let start = d.call(&format!("POST /containers/{id}/start"));
            assert!((400..600).contains(&start.status), "{host}: {}", start.text());
            d.call(&format!("DELETE /containers/{id}"));
        } else {
            assert!([400, 404].contains(&status), "{host}: {}", answer.text());
        }
    }
    unharmed(&d);
}

#[test]
fn json_that_is_none_too_deep_too_long_or_of_another_kind() {
    let d = daemon!();
    let send = |headers: &str, body: &[u8]| {
        let mut connection = d.connect();
        let headers = format!("{headers}Connection: close\r\n");
        connection.request("POST /containers/create", &headers, body);
        connection.answer()
    };
    let kind = "Content-Type: application/json\r\n";
    assert_eq!(send(kind, b"").status, 400);
    assert_eq!(send(kind, b"{").status, 400);
    assert_eq!(send(kind, b"[]").status, 400);
    assert_eq!(send(kind, b"\xff\xfe").status, 400);
    assert_eq!(send(kind, br#"{"Image":"busybox"}{"Image":"x"}"#).status, 400);
    assert_eq!(send(kind, "[".repeat(200_000).as_bytes()).status, 400);
    assert_eq!(send("Content-Type: text/plain\r\n", br#"{"Image":"busybox"}"#).status, 400);
    unharmed(&d);
}

#[test]
fn a_hundred_megabytes_of_json_are_refused_without_being_kept() {
    let d = daemon!();
    let before = memory(d.pid());
    let mut connection = d.connect();
    let length = 100 << 20;
    let head = format!(
        "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{{\"Image\":\""
    );
    connection.send(head.as_bytes()).unwrap();
    let chunk = vec![b'a'; 1 << 20];
    for _ in 0..100 {
        if connection.send(&chunk).is_err() {
            break;
        }
    }
    let grown = memory(d.pid()).saturating_sub(before);
    assert!(grown < 40 << 10, "the daemon grew by {grown} KiB");
    unharmed(&d);
}

/// Resident memory in KiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn archives_that_lie_are_refused_and_leave_nothing() {
    let d = daemon!(Settings { is_empty: true, ..Settings::default() });
    let files = || Tool::new("find", &format!("{} -type f", d.data_root().display())).ok();
    let images = || d.docker("images -q --no-trunc").ok();
    let (before, known) = (files(), images());
    let image = Image::tiny("evil:1", &[("a", "text")]);
    let archive = image.docker_archive();
    let mut wrong_layer = image.clone();
    wrong_layer.layers[0] = Image::tiny("", &[("b", "other")]).layers.remove(0);
    let mut lie = image.docker_archive();
    let at = lie.windows(4).position(|part| part == b"text").unwrap();
    lie[at] = b'T';
    let empty = tar::Builder::new(Vec::new()).into_inner().unwrap();
    for (what, bytes) in [
        ("cut short", archive[..archive.len() / 2].to_vec()),
        ("cut in a header", archive[..700].to_vec()),
        ("no tar at all", b"hello".repeat(1000)),
        ("empty", Vec::new()),
        ("an empty tar", empty),
        ("a layer that is another", lie),
        ("a gzip cut short", hull_tests::images::gzip(&archive)[..200].to_vec()),
        (
            "a manifest naming what is not there",
            manifest_only(&json!([{"Config": "none.json",
            "RepoTags": ["x:1"], "Layers": ["none.tar"]}])),
        ),
        ("a manifest of another type", manifest_only(&json!({"a": 1}))),
        (
            "a manifest naming the host's files",
            manifest_only(&json!([{"Config": "/etc/passwd",
            "RepoTags": ["x:1"], "Layers": ["../../../etc/passwd"]}])),
        ),
    ] {
        let answer = d.load(&bytes);
        let refused = answer.status >= 400 || answer.text().contains("errorDetail");
        assert!(refused, "{what}: {} {}", answer.status, answer.text());
        assert_eq!(images(), known, "{what}");
        assert_eq!(files(), before, "{what}");
    }
    unharmed(&d);
}

fn manifest_only(manifest: &Value) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    file(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes());
    archive.into_inner().unwrap()
}

/// Puts hostile entries into a layer; the text is a directory of the host to aim at.
type Fill = fn(&mut tar::Builder<Vec<u8>>, &str);

#[test]
fn layers_cannot_write_outside_of_themselves() {
    let d = daemon!(Settings { is_empty: true, ..Settings::default() });
    let mark = d.files().join("mark");
    std::fs::create_dir(&mark).unwrap();
    let target = mark.display().to_string();
    let entries: [(&str, Fill); 5] = [
        ("through a link", |layer, target| {
            link(layer, tar::EntryType::Symlink, "out", target);
            file(layer, "out/hacked", 0o644, b"x");
        }),
        ("through a link twice", |layer, target| {
            link(layer, tar::EntryType::Symlink, "a", "b");
            link(layer, tar::EntryType::Symlink, "b", target);
            file(layer, "a/hacked", 0o644, b"x");
        }),
        ("a hard link to the host", |layer, _| {
            link(layer, tar::EntryType::Link, "shadow", "/etc/shadow");
        }),
        ("a hard link by dots", |layer, _| {
            link(layer, tar::EntryType::Link, "shadow", "../../../../../../../etc/shadow");
        }),
        ("a path by dots", |layer, _| {
            link(layer, tar::EntryType::Symlink, "../../../../../../../tmp/hull-hacked", "x");
        }),
    ];
    for (what, fill) in entries {
        let mut layer = tar::Builder::new(Vec::new());
        fill(&mut layer, &target);
        let mut image = Image::tiny("evil:1", &[]);
        image.layers = vec![layer.into_inner().unwrap()];
        d.load(&image.docker_archive());
        assert_eq!(std::fs::read_dir(&mark).unwrap().count(), 0, "{what}");
        assert!(!std::path::Path::new("/tmp/hull-hacked").exists(), "{what}");
        let find = format!("{} -samefile /etc/shadow", d.data_root().display());
        assert_eq!(Tool::new("find", &find).ok(), "", "{what}");
        d.call("DELETE /images/evil:1?force=1");
    }
    unharmed(&d);
}

#[test]
fn a_load_whose_client_vanishes_leaves_nothing() {
    let d = daemon!(Settings { is_empty: true, ..Settings::default() });
    let archive = std::fs::read(hull_tests::images::busybox()).unwrap();
    let files = || Tool::new("find", &format!("{} -type f", d.data_root().display())).ok();
    let before = files();
    for part in [10, 1000, archive.len() / 2, archive.len() - 1] {
        let mut client = d.connect();
        let head = format!(
            "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
            archive.len()
        );
        client.send(head.as_bytes()).unwrap();
        client.send(&archive[..part]).unwrap();
        drop(client);
    }
    hull_tests::eventually("all of it is taken back", || (files() == before).then_some(()));
    unharmed(&d);
}

#[test]
fn broken_http_is_answered_or_dropped() {
    let d = daemon!();
    for bytes in [
        &b"\0\0\0\0"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /containers/%ff%00/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /v9999999999999999999.1/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ] {
        let mut client = d.connect();
        client.send(bytes).unwrap();
        client.close_writing();
        let answer = client.rest();
        let text = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || text.starts_with("HTTP/1.1 4"), "{bytes:?}: {text}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20));
    let mut client = d.connect();
    client.send(long.as_bytes()).unwrap_or_default();
    unharmed(&d);
}

#[test]
fn no_free_ids_is_said_and_freed_ids_are_used_again() {
    // Of this process alone: ranges are the host's, not the daemon's.
    let base = 1_000_000_000 + std::process::id() % 10_000 * 65_536;
    let arguments = format!("--userns-pool {base}:1");
    let d = daemon!(Settings { arguments, ..Settings::default() });
    let only = d.run_detached("busybox sleep 1000");
    let why = d.docker("run --rm --network none busybox true").fails(125);
    assert!(why.contains("ids") || why.contains("user namespace"), "{why}");
    d.docker("rm -f").arg(&only).ok();
    d.docker("run --rm --network none busybox true").ok();
    // Without a range of its own it runs even now.
    d.run_detached("busybox sleep 1000");
    d.docker("run --rm --network none --userns host busybox true").ok();
}

#[test]
fn a_full_disk_is_an_error_and_no_more() {
    hull_tests::need!("docker", "busybox", "ip", "nft", "mount");
    let disk = tempfile::Builder::new().prefix("hd").tempdir_in("/tmp").unwrap();
    let point = disk.path().display().to_string();
    Tool::new("mount", &format!("-t tmpfs -o size=12m,mode=700 tmpfs {point}")).ok();
    let data_root = Some(disk.path().join("data"));
    let outcome = std::panic::catch_unwind(|| {
        let d = Daemon::start(Settings { data_root, ..Settings::default() });
        let id = d.run_detached("--name first busybox sleep 1000");
        let filler = disk.path().join("filler");
        let fill = format!("if=/dev/zero of={} bs=4k", filler.display());
        Tool::new("dd", &fill).run();
        let create = d.docker("create --network none busybox true").run();
        let load = d.load(&std::fs::read(hull_tests::images::busybox()).unwrap());
        // Whatever fails says why, and what runs goes on.
        if create.status != 0 {
            assert!(
                create.stderr.contains("space") || create.stderr.contains("full"),
                "{create:?}"
            );
        }
        assert!(load.status < 600);
        assert_eq!(d.docker(&format!("exec {id} echo alive")).ok(), "alive");
        assert_eq!(d.get("/containers/json").status, 200);
        std::fs::remove_file(filler).unwrap();
        d.docker("rm -f first").ok();
        d.docker("run --rm --network none busybox true").ok();
    });
    Tool::new("umount", "--lazy").arg(disk.path()).ok();
    outcome.unwrap();
}

#[test]
fn many_clients_that_say_nothing_keep_nobody_out() {
    let d = daemon!();
    let silent: Vec<_> = (0..300).map(|_| d.connect()).collect();
    assert_eq!(d.get("/_ping").status, 200);
    assert_eq!(d.docker("run --rm --network none busybox echo hi").ok(), "hi");
    drop(silent);
}
