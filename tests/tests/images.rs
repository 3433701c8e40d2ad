//! Images: loading, saving, importing, naming, removing.

use hull_tests::images::{Image, gzip};
use hull_tests::{Settings, daemon};

fn empty() -> Settings {
    Settings { is_empty: true, ..Settings::default() }
}

#[test]
fn archives_of_every_kind_load_to_the_same_image() {
    let d = daemon!(empty());
    let image = Image::tiny("tiny:1", &[("a", "text")]);
    let id = hull_tests::images::digest(&image.configuration());
    let docker = image.docker_archive();
    let zstd = zstd(&docker);
    for (kind, archive) in [
        ("docker", docker.clone()),
        ("docker, gzip", gzip(&docker)),
        ("docker, zstd", zstd),
        ("oci", image.oci_archive()),
        ("oci, gzip", gzip(&image.oci_archive())),
    ] {
        let loaded = d.load(&archive);
        assert_eq!(loaded.status, 200, "{kind}: {}", loaded.text());
        assert!(loaded.text().contains("Loaded image: tiny:1"), "{kind}: {}", loaded.text());
        let seen = d.get("/images/tiny:1/json");
        assert_eq!(seen.json()["Id"], *id, "{kind}");
        d.docker("rmi tiny:1").ok();
        assert_eq!(d.docker("images -q").ok(), "");
    }
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, bytes).unwrap();
    hull_tests::Tool::new("zstd", "-q").arg(&path).ok();
    std::fs::read(dir.path().join("a.zst")).unwrap()
}

#[test]
fn what_is_saved_loads_again_as_the_same() {
    let d = daemon!();
    let file = d.files().join("saved.tar");
    let id = d.docker("inspect --format {{.Id}} busybox").ok();
    d.docker("save -o").arg(&file).arg("busybox").ok();
    d.docker("rmi busybox").ok();
    let said = d.docker("load -i").arg(&file).ok();
    assert!(said.contains("Loaded image: busybox:latest"), "{said}");
    assert_eq!(d.docker("inspect --format {{.Id}} busybox").ok(), id);
    assert_eq!(d.docker("run --rm --network none busybox echo works").ok(), "works");
    let again = d.files().join("again.tar");
    d.hull("save -o").arg(&again).arg("busybox").ok();
    assert_eq!(std::fs::read(file).unwrap(), std::fs::read(again).unwrap());
}

#[test]
fn a_file_system_is_imported_with_changes_to_its_configuration() {
    let d = daemon!();
    let tar = d.files().join("root.tar");
    let mut root = tar::Builder::new(Vec::new());
    let busybox = hull_tests::need::find("busybox").unwrap();
    hull_tests::images::file(&mut root, "bin/echo", 0o755, &std::fs::read(busybox).unwrap());
    std::fs::write(&tar, root.into_inner().unwrap()).unwrap();
    let changes = "--change 'ENTRYPOINT [\"/bin/echo\", \"said\"]' --change 'ENV A=1' \
                   --change 'LABEL l=v' --change 'WORKDIR /bin' --message made";
    d.docker(&format!("import {changes}")).arg(&tar).arg("made:1").ok();
    assert_eq!(d.docker("run --rm --network none made:1 hello").ok(), "said hello");
    let seen = d.get("/images/made:1/json").json();
    assert_eq!(seen["Config"]["Env"][0], "A=1");
    assert_eq!(seen["Config"]["Labels"]["l"], "v");
    let piped = d.docker("import - piped:1").input(std::fs::read(&tar).unwrap()).ok();
    assert!(piped.starts_with("sha256:"), "{piped}");
    assert!(d.docker("history made:1").ok().contains("made"));
}

#[test]
fn tags_come_and_go_and_the_image_with_the_last() {
    let d = daemon!();
    let layers = || std::fs::read_dir(d.data_root().join("layers")).map_or(0, Iterator::count);
    let before = layers();
    d.docker("tag busybox other:v1").ok();
    d.docker("tag busybox localhost:5000/deep/name:v2").ok();
    let names = d.docker("images --format {{.Repository}}:{{.Tag}}").ok();
    let mut names: Vec<_> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["busybox:latest", "localhost:5000/deep/name:v2", "other:v1"]);
    assert_eq!(d.docker("rmi other:v1").ok(), "Untagged: other:v1");
    let id = d.docker("inspect --format {{.Id}} busybox").ok();
    let why = d.docker("rmi").arg(&id).fails(1);
    assert!(why.contains("must be forced"), "{why}");
    d.docker("rmi localhost:5000/deep/name:v2").ok();
    let said = d.docker("rmi busybox").ok();
    assert!(said.contains(&format!("Deleted: {id}")), "{said}");
    assert_eq!(d.docker("images -q").ok(), "");
    let why = d.docker("rmi busybox").fails(1);
    assert!(why.contains("No such image: busybox:latest"), "{why}");
    assert_eq!(layers(), before - 1, "its layer is gone");
}

#[test]
fn an_image_in_use_is_not_removed() {
    let d = daemon!();
    let id = d.run_detached("--name user busybox sleep 1000");
    let why = d.docker("rmi busybox").fails(1);
    assert!(why.contains("conflict") && why.contains(&id[..12]), "{why}");
    let why = d.docker("rmi -f busybox").run();
    // Forced, the name goes; the container keeps what it runs from.
    assert!(why.status == 0 || why.stderr.contains("running"), "{why:?}");
    assert_eq!(d.docker(&format!("exec {id} echo alive")).ok(), "alive");
    d.docker("restart -t 0").arg(&id).ok();
}

#[test]
fn history_and_inspect_tell_how_it_was_made() {
    let d = daemon!();
    let history = d.docker("history --no-trunc --format '{{.CreatedBy}} {{.Size}}' busybox").ok();
    assert!(history.starts_with("a test ") && history.ends_with("MB"), "{history}");
    let seen = d.get("/images/busybox/json").json();
    assert_eq!(seen["RepoTags"], serde_json::json!(["busybox:latest"]));
    assert_eq!(seen["Created"], "2024-01-02T03:04:05Z");
    assert_eq!((&seen["Os"], &seen["Architecture"]), (&"linux".into(), &"amd64".into()));
    assert_eq!(seen["RootFS"]["Layers"].as_array().unwrap().len(), 1);
    let list =
        d.docker("images --format '{{.Repository}} {{.Size}}' --filter reference=busy*").ok();
    assert!(list.starts_with("busybox "), "{list}");
    assert_eq!(d.docker("images -q --filter reference=nothing").ok(), "");
    assert_eq!(d.docker("images -q --filter dangling=true").ok(), "");
}

#[test]
fn layers_hide_and_replace_what_is_below() {
    let d = daemon!();
    let busybox = std::fs::read(hull_tests::need::find("busybox").unwrap()).unwrap();
    let mut lower = tar::Builder::new(Vec::new());
    for path in ["d/a", "d/b", "o/x", "o/y"] {
        hull_tests::images::file(&mut lower, path, 0o644, path.as_bytes());
    }
    hull_tests::images::file(&mut lower, "bin/busybox", 0o755, &busybox);
    let mut upper = tar::Builder::new(Vec::new());
    hull_tests::images::file(&mut upper, "d/.wh.a", 0o644, b"");
    hull_tests::images::file(&mut upper, "o/.wh..wh..opq", 0o644, b"");
    hull_tests::images::file(&mut upper, "o/z", 0o644, b"z");
    let config = serde_json::json!({"Entrypoint": ["/bin/busybox"]});
    let layers = vec![lower.into_inner().unwrap(), upper.into_inner().unwrap()];
    let image = Image { name: "layered:1", layers, config };
    assert_eq!(d.load(&image.docker_archive()).status, 200);
    let seen = d.docker("run --rm --network none layered:1 find d o -type f").ok();
    let mut seen: Vec<_> = seen.lines().collect();
    seen.sort_unstable();
    assert_eq!(seen, ["d/b", "o/z"]);
}

#[test]
fn many_layers_mount() {
    let d = daemon!();
    let busybox = std::fs::read(hull_tests::need::find("busybox").unwrap()).unwrap();
    let mut layers = Vec::new();
    for at in 0..60 {
        let mut layer = tar::Builder::new(Vec::new());
        hull_tests::images::file(&mut layer, &format!("files/{at}"), 0o644, b"x");
        hull_tests::images::file(&mut layer, "files/last", 0o644, at.to_string().as_bytes());
        layers.push(layer.into_inner().unwrap());
    }
    let mut first = tar::Builder::new(Vec::new());
    hull_tests::images::file(&mut first, "bin/busybox", 0o755, &busybox);
    layers.insert(0, first.into_inner().unwrap());
    let config = serde_json::json!({"Entrypoint": ["/bin/busybox"]});
    let image = Image { name: "deep:1", layers, config };
    assert_eq!(d.load(&image.docker_archive()).status, 200);
    let seen =
        d.docker("run --rm --network none deep:1 sh -c 'ls /files | wc -l; cat /files/last'");
    assert_eq!(seen.ok(), "61\n59");
}

#[test]
fn bootstrap_makes_images_without_a_registry() {
    let d = daemon!(empty());
    d.hull("image bootstrap busybox").ok();
    assert_eq!(d.docker("run --rm --network none busybox echo hi").ok(), "hi");
    let names = d.docker("images --format {{.Repository}}").ok();
    assert!(names.contains("busybox"), "{names}");
}
