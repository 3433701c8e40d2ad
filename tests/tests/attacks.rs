//! Attacks that come through images, the API and neighbours. Those on one guest alone are tests of
//! hull-container (`tests/kernel/attacks`), where they are also seen to succeed without the defence.

use std::fs;
use std::time::{Duration, Instant};

use hull_tests::images::{Image, busybox, file, link};
use hull_tests::{Daemon, daemon, eventually};
use serde_json::{Value, json};

/// Creates and starts a container; gives its id if that was possible. Nothing hangs or fails inside.
fn tried(d: &Daemon, body: &Value) -> Option<String> {
    let created = d.post("/containers/create", body);
    if created.status != 201 {
        assert!((400..500).contains(&created.status), "{body}: {}", created.text());
        return None;
    }
    let id = created.json()["Id"].as_str().unwrap().to_owned();
    let started = d.call(&format!("POST /containers/{id}/start"));
    if started.status != 204 {
        assert!((400..=500).contains(&started.status), "{body}: {}", started.text());
        assert!(!started.message().is_empty(), "{body}");
        assert_eq!(d.call(&format!("DELETE /containers/{id}?force=1&v=1")).status, 204, "{body}");
        return None;
    }
    Some(id)
}

/// Configurations that an image or a client may bring, each with one absurd value.
fn absurd() -> Vec<Value> {
    let long = "a".repeat(200_000);
    let nul = "a\u{0}b";
    let mut all = Vec::new();
    for env in
        ["", "=x", "A", "A=\n\u{1b}[2J", "PATH=", "PATH=/proc/self/fd:..", "HOME=", nul, "A=B=C"]
    {
        all.push(json!({"Env": [env]}));
    }
    all.push(json!({"Env": [format!("A={long}")]}));
    all.push(json!({"Env": vec!["A=b"; 20_000]}));
    for user in ["..", "0:0:0", "-1", "4294967296", "root\nfoo", nul, ":", "alice:../../etc", &long]
    {
        all.push(json!({"User": user}));
    }
    for place in [
        "..",
        "relative",
        "/../../..",
        "/proc/self/fd/7",
        "/proc/1/root",
        "/etc/passwd/x",
        nul,
        &long,
    ] {
        all.push(json!({"WorkingDir": place}));
    }
    for words in [
        json!([""]),
        json!(["/"]),
        json!(["../../../bin/sh"]),
        json!([nul]),
        json!([&long]),
        json!(["/proc/self/exe"]),
    ] {
        all.push(json!({"Entrypoint": words}));
    }
    for volume in [
        "/proc",
        "/",
        "..",
        "relative",
        "/dev",
        "/sys/fs/cgroup",
        "/etc/../../x",
        "",
        "/a:b",
        "/proc/1/root",
        nul,
    ] {
        all.push(json!({"Volumes": {volume: {}}}));
    }
    all.push(json!({"StopSignal": "SIGNOPE"}));
    all.push(json!({"ExposedPorts": {"70000/tcp": {}, "x": {}, "-1/udp": {}}}));
    all.push(json!({"Labels": {"\u{1b}]0;x\u{7}": nul}}));
    all
}

#[test]
fn a_hostile_configuration_is_refused_or_harmless() {
    let d = daemon!();
    let busybox_layer = {
        let mut archive = tar::Archive::new(fs::File::open(busybox()).unwrap());
        let layers = archive.entries().unwrap().map(Result::unwrap);
        let mut layer =
            layers.into_iter().find(|entry| entry.path().unwrap().ends_with("layer.tar")).unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut layer, &mut bytes).unwrap();
        bytes
    };
    for config in absurd() {
        // From an image, and from a client. A daemon may refuse the image already.
        let mut whole = config.clone();
        whole.as_object_mut().unwrap().entry("Cmd").or_insert(json!(["sleep", "60"]));
        let image =
            Image { name: "evil:latest", layers: vec![busybox_layer.clone()], config: whole };
        let loaded = d.load(&image.docker_archive());
        assert!([200, 400, 500].contains(&loaded.status), "{config}: {}", loaded.text());
        let mut body = config.clone();
        body["Image"] = json!("busybox");
        body.as_object_mut().unwrap().entry("Cmd").or_insert(json!(["sleep", "60"]));
        body["HostConfig"] = json!({"NetworkMode": "none"});
        let from_image = json!({"Image": "evil:latest", "HostConfig": {"NetworkMode": "none"}});
        for body in [from_image, body] {
            let Some(id) = tried(&d, &body) else { continue };
            // Whatever it asked for, the kernel's own are where they belong, and it is confined.
            if d.inspect(&id)["State"]["Running"] == true {
                let look = "test -e /proc/self/status && readlink /proc/self/root && readlink /proc/1/cwd; grep -c . /proc/self/uid_map";
                let seen = d.docker("exec").arg(&id).arg("/bin/sh").arg("-c").arg(look).run();
                if seen.status == 0 && d.inspect(&id)["State"]["Running"] == true {
                    assert!(seen.stdout.starts_with("/\n/"), "{config}: {seen:?}");
                    assert!(!seen.stdout.contains("unreachable"), "{config}: {seen:?}");
                }
            }
            assert_eq!(d.call(&format!("DELETE /containers/{id}?force=1&v=1")).status, 204);
        }
    }
    assert_eq!(d.get("/containers/json?all=1").json(), json!([]));
}

#[test]
fn an_image_whose_directories_are_links_stays_inside() {
    let d = daemon!();
    let outside = d.files().join("outside");
    fs::create_dir(&outside).unwrap();
    let program = fs::read(hull_tests::need::find("busybox").unwrap()).unwrap();
    for name in ["proc", "sys", "dev", "etc", "tmp"] {
        let mut layer = tar::Builder::new(Vec::new());
        file(&mut layer, "bin/busybox", 0o755, &program);
        link(&mut layer, tar::EntryType::Symlink, "bin/sh", "busybox");
        let target = format!("../../../../..{}", outside.display());
        link(&mut layer, tar::EntryType::Symlink, name, &target);
        let config = json!({"Cmd": ["/bin/sh", "-c", "true"], "WorkingDir": "/tmp/made"});
        let image =
            Image { name: "links:latest", layers: vec![layer.into_inner().unwrap()], config };
        let loaded = d.load(&image.docker_archive());
        assert_eq!(loaded.status, 200, "{}", loaded.text());
        let ran = d.docker("run --rm --network none -v mine:/tmp/v links").run();
        let is_kernels = ["proc", "sys", "dev"].contains(&name);
        // What is not the kernel's own is found inside, or not at all.
        assert!(!is_kernels || ran.status != 0, "{name}: {ran:?}");
        assert!(!is_kernels || ran.stderr.contains("symbolic link"), "{name}: {ran:?}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn volumes_that_are_or_become_links_stay_inside() {
    let d = daemon!();
    // A new volume is filled with what the image has there: the image's, whatever it links to.
    let mut layer = tar::Builder::new(Vec::new());
    link(&mut layer, tar::EntryType::Symlink, "data", "../../../../etc");
    file(&mut layer, "etc/of-the-image", 0o644, b"x");
    let layers = vec![layer.into_inner().unwrap()];
    let image = Image { name: "sly:latest", layers, config: json!({"Cmd": ["/none"]}) };
    assert_eq!(d.load(&image.docker_archive()).status, 200);
    let body =
        json!({"Image": "sly", "HostConfig": {"NetworkMode": "none", "Binds": ["filled:/data"]}});
    let id = d.post("/containers/create", &body).json()["Id"].as_str().unwrap().to_owned();
    d.call(&format!("POST /containers/{id}/start"));
    let filled = d.docker("run --rm --network none -v filled:/v busybox ls /v").ok();
    assert!(filled.is_empty() || !filled.contains("shadow"), "{filled}");
    // A guest leaves links in a volume, and another one has mounts below them.
    let outside = d.files().join("outside");
    fs::create_dir(&outside).unwrap();
    let plant = format!(
        "ln -s {0} /v/abs; ln -s ../../../../../..{0} /v/up; ln -s /proc/self /v/proc",
        outside.display()
    );
    d.docker("run --rm --network none -v shared:/v busybox sh -c").arg(plant).ok();
    for below in ["abs/x", "up/x", "abs", "proc/attr", "proc/fd"] {
        let flags =
            format!("run --rm --network none -v shared:/v -v other:/v/{below} busybox true");
        let ran = d.docker(&flags).run();
        assert_eq!(ran.status != 0, below.starts_with("proc"), "{below}: {ran:?}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_bomb_of_processes_leaves_exec_and_stop_working() {
    let d = daemon!();
    let neighbour = d.run_detached("busybox sleep 1000");
    let script = "(i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done); exec sleep 1000";
    let full = d.docker("run -d --network none --pids-limit 20 busybox sh -c").arg(script).ok();
    let many = || d.docker("top").arg(&full).ok().lines().count() > 19;
    eventually("it has all the processes it may have", || many().then_some(()));
    assert_eq!(d.docker("exec").arg(&full).arg("echo").arg("inside").ok(), "inside");
    let bomb = "(bomb() { bomb | bomb & }; bomb); exec sleep 1000";
    let bomb = d.docker("run -d --network none --pids-limit 50 busybox sh -c").arg(bomb).ok();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(d.docker("exec").arg(&bomb).arg("echo").arg("inside").ok(), "inside");
    for id in [&full, &bomb] {
        let started = Instant::now();
        d.docker("stop -t 1").arg(id).ok();
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    }
    assert_eq!(d.docker("exec").arg(&neighbour).arg("echo").arg("fine").ok(), "fine");
}

#[test]
fn a_hog_of_memory_leaves_exec_and_stop_working() {
    let d = daemon!();
    let script = "while :; do dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null; done";
    let hog = d.docker("run -d --network none --memory 32m busybox sh -c").arg(script).ok();
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..5 {
        assert_eq!(d.docker("exec").arg(&hog).arg("echo").arg("inside").ok(), "inside");
    }
    d.docker("stop -t 1").arg(&hog).ok();
}

#[test]
fn a_flood_of_output_stays_within_the_log_and_out_of_memory() {
    let d = daemon!();
    let options = "--log-opt max-size=1m --log-opt max-file=2";
    let flood = d.run_detached(&format!("{options} busybox yes 0123456789abcdef"));
    let open = d.run_detached("busybox sh -c 'yes | head -c 8000000; sleep 1000'");
    let directory = |id: &str| d.data_root().join("guests").join(id);
    let logged = |id: &str| -> u64 {
        let files = fs::read_dir(directory(id)).unwrap().flatten();
        let logs = files.filter(|entry| entry.file_name().to_string_lossy().contains("-json.log"));
        logs.map(|entry| entry.metadata().map_or(0, |found| found.len())).sum()
    };
    // Without the option nothing holds it: that is Docker's default, too.
    eventually("eight million bytes are logged", || (logged(&open) > 8_000_000).then_some(()));
    assert!(logged(&flood) > 500_000 && logged(&flood) < 2_300_000, "{}", logged(&flood));
    // A client that does not read.
    let mut idle = d.connect();
    idle.request(&format!("GET /containers/{flood}/logs?follow=1&stdout=1"), "", b"");
    let memory = || {
        let status = fs::read_to_string(format!("/proc/{}/status", d.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = memory();
    std::thread::sleep(Duration::from_secs(1));
    assert!(memory() < before + 20_000, "{before} KiB, then {} KiB", memory());
    assert_eq!(d.docker("exec").arg(&flood).arg("echo").arg("inside").ok(), "inside");
    d.docker("stop -t 0").arg(&flood).ok();
}

#[test]
fn children_forced_on_the_shim_do_not_keep_a_container_alive() {
    let d = daemon!();
    let attack = hull_attack::program().display();
    let id = d.run_detached(&format!("-v {attack}:/attack:ro busybox sleep 1000"));
    assert_eq!(d.docker("exec").arg(&id).arg("/attack").arg("clone-parent").arg("50").ok(), "ok");
    assert_eq!(d.docker("exec").arg(&id).arg("/attack").arg("adopt-and-hide").ok(), "ok");
    let started = Instant::now();
    d.docker("rm -f").arg(&id).ok();
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn what_others_wrote_does_not_write_on_the_screen() {
    let d = daemon!();
    let evil = "x\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}y\u{9b}31m";
    let body = json!({"Image": "busybox", "Cmd": ["sleep", evil], "Labels": {"l": evil, evil: "v"},
        "HostConfig": {"NetworkMode": "none"}});
    let id = d.post("/containers/create", &body).json()["Id"].as_str().unwrap().to_owned();
    d.docker("volume create --label").arg(format!("l={evil}")).arg("labelled").ok();
    let bad = json!({"Image": "busybox", "Cmd": [evil], "HostConfig": {"NetworkMode": "none"}});
    let bad = d.post("/containers/create", &bad).json()["Id"].as_str().unwrap().to_owned();
    let mut said = String::new();
    for words in [
        "ps -a",
        "ps -a --no-trunc",
        "ps -a --format '{{.Labels}} {{.Label \"l\"}} {{.Command}}'",
        "volume ls --format '{{.Labels}} {{.Label \"l\"}}'",
        "images",
        "inspect no-such\u{1b}[2J",
        "rm no-such\u{1b}[2J",
    ] {
        let done = d.hull(words).run();
        said.push_str(&format!("{}{}", done.stdout, done.stderr));
    }
    let done = d.hull("start").arg(&bad).run();
    assert_ne!(done.status, 0);
    said.push_str(&done.stderr);
    let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(said.contains("owned"), "{said}");
    assert!(!said.chars().any(harmful), "{said:?}");
    // Data for programs is as it is, in JSON's own words.
    assert!(d.inspect(&id)["Config"]["Labels"]["l"].as_str().unwrap().contains('\u{1b}'));
}

/// `HULL_TESTS_LOOP=1000` does as many.
#[test]
fn many_containers_in_a_row_leave_nothing() {
    let count: usize = std::env::var("HULL_TESTS_LOOP").map_or(60, |text| text.parse().unwrap());
    let d = daemon!();
    let one = |at: usize| {
        let mode = if at.is_multiple_of(4) { "host" } else { "" };
        let body = json!({"Image": "busybox", "Cmd": ["true"], "Volumes": {"/data": {}},
            "HostConfig": {"NetworkMode": if at.is_multiple_of(8) { "bridge" } else { "none" }, "UsernsMode": mode}});
        let id = d.post("/containers/create", &body).json()["Id"].as_str().unwrap().to_owned();
        assert_eq!(d.call(&format!("POST /containers/{id}/start")).status, 204);
        assert_eq!(d.call(&format!("POST /containers/{id}/wait")).json()["StatusCode"], 0);
        assert_eq!(d.call(&format!("DELETE /containers/{id}?v=1")).status, 204);
        id
    };
    let memory = || {
        let status = fs::read_to_string(format!("/proc/{}/status", d.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let open = || fs::read_dir(format!("/proc/{}/fd", d.pid())).unwrap().count();
    let below = |path: std::path::PathBuf| fs::read_dir(path).map_or(0, Iterator::count);
    let mounts = || {
        fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .lines()
            .filter(|line| line.contains(&d.files().display().to_string()))
            .count()
    };
    (0..32).for_each(|at| drop(one(at)));
    std::thread::sleep(Duration::from_secs(1));
    let (memory_before, open_before, mounts_before) = (memory(), open(), mounts());
    let started = Instant::now();
    let mut quarters = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    for at in 0..count {
        if at.is_multiple_of(count.div_ceil(4)) {
            quarters.push(memory());
        }
        ids.push(one(at));
    }
    let took = started.elapsed();
    eventually("shims are gone", || (d.traces().processes().len() <= 1).then_some(()));
    eventually("cgroups are gone", || {
        (d.traces().cgroups().iter().all(|path| !ids.iter().any(|id| path.ends_with(id))))
            .then_some(())
    });
    assert_eq!(mounts(), mounts_before);
    for dir in ["guests", "trash", "volumes"] {
        eventually(dir, || (below(d.data_root().join(dir)) == 0).then_some(()));
    }
    assert_eq!(below(d.exec_root().join("guests")), 0);
    // Namespaces live by processes, mounts and descriptors; of the last the daemon has no more.
    eventually("descriptors are closed", || (open() <= open_before).then_some(()));
    // Session keyrings are called after their guests; the kernel collects them a moment later.
    let keys = || fs::read_to_string("/proc/keys").unwrap_or_default();
    eventually("keys are gone", || {
        (!ids.iter().any(|id| keys().contains(&format!("_ses.{id}")))).then_some(())
    });
    quarters.push(memory());
    eprintln!("{count} containers in {took:?}: {memory_before} KiB, by quarters {quarters:?}");
    // Events and freed pieces of the heap are kept up to a bound; what grows with every container
    // grows in the last quarter, too.
    let last = quarters[quarters.len() - 1].saturating_sub(quarters[quarters.len() - 2]);
    assert!(last < 1_000 + count as u64, "{quarters:?} KiB");
}
