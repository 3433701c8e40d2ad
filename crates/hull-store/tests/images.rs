//! Images from archives and back, named, found and removed by Docker's rules.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::fs;
use std::io;

use common::{Tar, config, digest, docker_archive, gzip, zstd};
use hull_model::image::Digest;
use hull_model::reference::Reference;
use hull_store::image::{About, Force, Removed, User};
use hull_store::{Error, Kind, Store};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("root")).unwrap();
    (dir, store)
}

fn layer(text: &str) -> Vec<u8> {
    Tar::new().file("f", text).file(text, text).end()
}

fn nobody(_image: &Digest) -> Vec<User> {
    Vec::new()
}

fn load(store: &Store, tar: &[u8]) -> Vec<String> {
    let loaded = store.images.load(tar, None).unwrap();
    loaded.iter().flat_map(|one| one.names.iter().map(ToString::to_string)).collect()
}

fn count(store: &Store, path: &str) -> usize {
    fs::read_dir(store.root().join(path)).unwrap().count()
}

fn text(error: &Error) -> String {
    error.to_string()
}

#[test]
fn archives_of_docker_are_loaded_in_any_compression() {
    let tar =
        docker_archive(&[layer("base"), layer("top")], &["app:1", "localhost:5000/x/app:2"], "run");
    for packed in [tar.clone(), gzip(&tar), zstd(&tar)] {
        let (_dir, store) = store();
        assert_eq!(load(&store, &packed), ["app:1", "localhost:5000/x/app:2"]);
        let image = store.images.resolve("app:1").unwrap();
        assert_eq!(image.config.config.as_ref().unwrap().cmd, Some(vec!["run".to_owned()]));
        assert_eq!(fs::read_to_string(image.layer_dirs[0].join("f")).unwrap(), "top");
        assert_eq!(fs::read_to_string(image.layer_dirs[1].join("f")).unwrap(), "base");
        assert_eq!(image.size, 14);
        // Two layers, a configuration and a manifest, and nothing else of the archive.
        assert_eq!(count(&store, "content/blobs/sha256"), 4);
        assert_eq!(count(&store, "content/ingest"), 0);
    }
}

#[test]
fn images_are_found_by_name_id_and_beginning() {
    let (_dir, store) = store();
    load(&store, &docker_archive(&[layer("a")], &["app:latest"], "x"));
    let id = store.images.resolve("app").unwrap().id;
    let hex = id.hex();
    let repository = Reference::parse("app").unwrap();
    store.images.add_digest(&id, &repository, digest(b"manifest")).unwrap();
    let by_digest = format!("app@{}", digest(b"manifest"));
    for name in [
        &*id.to_string(),
        &hex,
        &hex[..4],
        &format!("sha256:{}", &hex[..9]),
        "docker.io/library/app",
        &by_digest,
    ] {
        assert_eq!(store.images.resolve(name).unwrap().id, id, "{name}");
    }
    let missing = |name: &str| text(&store.images.resolve(name).unwrap_err());
    assert_eq!(missing("nope"), "No such image: nope:latest");
    assert_eq!(missing("app:2"), "No such image: app:2");
    assert_eq!(
        missing("APP"),
        "invalid reference format: repository name (library/APP) must be lowercase"
            .replace("library/", "")
    );
    assert_eq!(missing("a b"), "invalid reference format");
    assert_eq!(store.images.resolve("nope").unwrap_err().kind(), Kind::Missing);
    let rows = store.images.history("app").unwrap();
    let rows: Vec<_> =
        rows.iter().map(|row| (row.created_by.as_str(), row.size, row.tags.len())).collect();
    assert_eq!(rows, [("empty", 0, 1), ("base", 2, 0)]);
}

#[test]
fn what_is_saved_loads_elsewhere_as_the_same() {
    let (_dir, one) = store();
    load(&one, &docker_archive(&[layer("a"), gzip_layer()], &["app:1", "app:2"], "x"));
    let mut tar = Vec::new();
    one.images.save(&["app".to_owned()], &mut tar).unwrap();
    let (_dir, other) = store();
    assert_eq!(load(&other, &tar), ["app:1", "app:2"]);
    let (first, second) =
        (one.images.resolve("app:1").unwrap(), other.images.resolve("app:2").unwrap());
    assert_eq!((first.id, first.manifest), (second.id, second.manifest));

    let (_dir, third) = store();
    let mut tar = Vec::new();
    one.images.save(&[first.id.hex()], &mut tar).unwrap();
    assert!(load(&third, &tar).is_empty());
    assert_eq!(third.images.list()[0].image.id, first.id);
    assert_eq!(one.images.save(&["no".to_owned()], io::sink()).unwrap_err().kind(), Kind::Missing);
}

fn gzip_layer() -> Vec<u8> {
    layer("plain")
}

#[test]
fn names_and_images_are_removed_as_docker_does() {
    let (_dir, store) = store();
    load(&store, &docker_archive(&[layer("base"), layer("one")], &["one:1", "one:2"], "x"));
    load(&store, &docker_archive(&[layer("base"), layer("two")], &["two:1"], "x"));
    let id = store.images.resolve("one:1").unwrap().id;
    let remove = |name: &str, force| store.images.remove(name, force, &nobody);
    let several = text(&remove(&id.hex(), Force::No).unwrap_err());
    assert_eq!(
        several,
        format!(
            "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
            &id.hex()[..12]
        )
    );
    let name = Reference::parse("one:1").unwrap();
    assert_eq!(remove("one:1", Force::No).unwrap(), [Removed::Untagged(name)]);
    let used = |_: &Digest| vec![User { name: "abc".into(), running: false }];
    let conflict = store.images.remove("one:2", Force::No, &used).unwrap_err();
    assert_eq!(conflict.kind(), Kind::Conflict);
    assert!(text(&conflict).starts_with("conflict: unable to remove repository reference \"one:2\" (must force) - container abc is using its referenced image "));
    let running = |_: &Digest| vec![User { name: "abc".into(), running: true }];
    let conflict = text(&store.images.remove(&id.hex(), Force::Yes, &running).unwrap_err());
    assert!(conflict.contains("(cannot be forced) - image is being used by running container abc"));
    let removed = remove("one:2", Force::No).unwrap();
    assert_eq!(removed.len(), 3, "the name, the image and its own layer: {removed:?}");
    assert_eq!((count(&store, "layers"), store.layers.list().len()), (3, 2));
    assert_eq!(remove("two:1", Force::No).unwrap().len(), 4);
    assert!(store.images.list().is_empty() && store.layers.list().is_empty());
    assert_eq!((count(&store, "content/blobs/sha256"), count(&store, "layers")), (0, 1));
    assert_eq!(remove("two:1", Force::No).unwrap_err().kind(), Kind::Missing);
}

#[test]
fn an_image_in_use_that_loses_its_names_stays_until_it_is_pruned() {
    let (_dir, store) = store();
    load(&store, &docker_archive(&[layer("a")], &["app:1"], "x"));
    let used = |_: &Digest| vec![User { name: "abc".into(), running: false }];
    assert_eq!(store.images.remove("app:1", Force::Yes, &used).unwrap().len(), 1);
    assert_eq!(store.images.list().len(), 1);
    assert!(store.images.prune(&|_| true).unwrap().0.is_empty());
    let (removed, freed) = store.images.prune(&|_| false).unwrap();
    assert_eq!((removed.len(), freed), (2, 2));
}

#[test]
fn a_root_file_system_becomes_an_image() {
    let (_dir, store) = store();
    let about = About {
        changes: vec!["CMD [\"/f\"]".into(), "ENV A=b".into()],
        comment: "Imported from -".into(),
        created: Some(hull_model::time::Timestamp::EPOCH),
        ..About::default()
    };
    let image = store.images.import(gzip(&layer("root")).as_slice(), &about).unwrap();
    assert_eq!(fs::read_to_string(image.layer_dirs[0].join("f")).unwrap(), "root");
    assert_eq!(image.config.config.as_ref().unwrap().env, ["A=b"]);
    let (_dir, other) = store_again();
    assert_eq!(other.images.import(gzip(&layer("root")).as_slice(), &about).unwrap().id, image.id);
    let bad = About { changes: vec!["RUN x".into()], ..About::default() };
    assert_eq!(store.images.import(io::empty(), &bad).unwrap_err().kind(), Kind::Invalid);
    let unmarked = Tar::new().file("f", "x").unmarked();
    assert_eq!(
        store.images.import(unmarked.as_slice(), &About::default()).unwrap_err().kind(),
        Kind::Invalid
    );
    assert_eq!(count(&store, "content/blobs/sha256"), 3);
}

fn store_again() -> (tempfile::TempDir, Store) {
    store()
}

#[test]
fn all_is_there_after_reopening_and_garbage_is_not() {
    let (dir, store) = store();
    load(&store, &docker_archive(&[layer("a")], &["app:1"], "x"));
    let image = store.images.resolve("app:1").unwrap();
    store.content.put(b"garbage").unwrap();
    fs::create_dir_all(store.root().join("layers/staging/layer-1-1/fs")).unwrap();
    fs::create_dir_all(store.root().join("layers").join("0".repeat(64))).unwrap();
    fs::create_dir_all(store.root().join("trash/gone-1")).unwrap();
    fs::create_dir_all(store.root().join("guests/.new-1/upper")).unwrap();
    fs::write(store.root().join("content/ingest/new-1"), "x").unwrap();
    assert!(Store::open(store.root()).is_err(), "one process at a time");
    drop(store);
    let store = Store::open(&dir.path().join("root")).unwrap();
    store.trash.wait();
    let again = store.images.resolve("app:1").unwrap();
    assert_eq!(
        (again.id, &again.layer_dirs, again.size),
        (image.id, &image.layer_dirs, image.size)
    );
    let counts =
        ["content/blobs/sha256", "content/ingest", "layers", "layers/staging", "trash", "guests"];
    assert_eq!(counts.map(|path| count(&store, path)), [3, 0, 2, 0, 0, 0]);
}

#[test]
fn archives_that_lie_are_refused_and_leave_nothing() {
    let (_dir, store) = store();
    let good = layer("a");
    let id = digest(&good);
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", digest(bytes).hex());
    let entry = |config: &str, layers: &str| {
        format!(r#"[{{"Config":"{config}","RepoTags":["x:1"],"Layers":[{layers}]}}]"#)
    };
    let docker = |manifest: String, config: &[u8]| {
        Tar::new().bytes("c", config).bytes("l", &good).file("manifest.json", &manifest).end()
    };
    let config = config(&[id], "x");
    let index = |manifest: &str| format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#);
    let descriptor = |bytes: &[u8]| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{}","size":{}}}"#,
            digest(bytes),
            bytes.len()
        )
    };
    // An index that has itself cannot be written; one nested six deep can.
    let mut deep = Tar::new();
    let mut inner = index("");
    for _ in 0..6 {
        deep = deep.bytes(&blob(inner.as_bytes()), inner.as_bytes());
        inner = index(&descriptor(inner.as_bytes()));
    }
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Tar::new().end(), "neither an index.json nor a manifest.json"),
        (docker(entry("c", ""), &config), "0 layers and its configuration has 1"),
        (docker(entry("c", "\"../../etc/passwd\""), &config), "has no \"etc/passwd\""),
        (docker(entry("c", "\"l\",\"l\""), &config), "2 layers"),
        (docker(entry("l", "\"l\""), &config), "read l"),
        (docker(entry("c", "\"c\""), &config), "cut off"),
        (docker("{".into(), &config), "read manifest.json"),
        (docker("[]".into(), &config), "neither"),
        (docker("{\"a\":1}".into(), &config), "read manifest.json"),
        (docker(entry("c", "\"l\"").replace("x:1", "X Y"), &config), "invalid reference format"),
        (docker(entry("c", "\"l\""), &common::config(&[digest(b"other")], "x")), "as promised"),
        (
            docker(
                entry("c", "\"l\""),
                br#"{"os":"windows","rootfs":{"type":"layers","diff_ids":[]}}"#,
            ),
            "layers",
        ),
        (Tar::new().bytes(&blob(b"a"), b"b").end(), "as promised"),
        (Tar::new().symlink("manifest.json", "manifest.json").end(), "has no \"manifest.json\""),
        (Tar::new().member(b'3', "manifest.json", "", b"", 0).end(), "only plain files"),
        (Tar::new().file("index.json", "[]").end(), "read index.json"),
        (Tar::new().file("index.json", &index(&descriptor(b"gone"))).end(), "no content"),
        (deep.file("index.json", &inner).end(), "nested too deep"),
        (Tar::new().bytes("manifest.json", &vec![b' '; 5 << 20]).end(), "more than the"),
        (
            Tar::new().bytes("manifest.json", "[".repeat(1 << 20).as_bytes()).end(),
            "read manifest.json",
        ),
    ];
    for (tar, expected) in cases {
        let error = store.images.load(tar.as_slice(), None).unwrap_err();
        assert!(text(&error).contains(expected), "{error:?} does not say {expected:?}");
        assert!(matches!(error.kind(), Kind::Invalid | Kind::Missing), "{error:?}");
        let left = ["content/blobs/sha256", "content/ingest", "layers/staging"];
        assert_eq!(left.map(|path| count(&store, path)), [0, 0, 0], "{expected}");
        assert!(store.images.list().is_empty());
    }
    let whole = docker_archive(std::slice::from_ref(&good), &["x:1"], "x");
    for length in (1..whole.len() - 512).step_by(211) {
        store.images.load(&whole[..length], None).unwrap_err();
    }
    assert_eq!(count(&store, "content/blobs/sha256"), 0);
    assert_eq!(load(&store, &whole), ["x:1"]);
}

#[test]
fn descriptors_are_held_to_their_sizes() {
    let (_dir, store) = store();
    let layer = layer("a");
    let config = config(&[digest(&layer)], "x");
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", digest(bytes).hex());
    let descriptor = |kind: &str, bytes: &[u8], more: usize| {
        let size = bytes.len() + more;
        format!(r#"{{"mediaType":"{kind}","digest":"{}","size":{size}}}"#, digest(bytes))
    };
    let archive = |wrong: [usize; 3]| {
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
            descriptor("application/vnd.oci.image.config.v1+json", &config, wrong[0]),
            descriptor("application/vnd.oci.image.layer.v1.tar", &layer, wrong[1]),
        );
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let entry = descriptor(kind, manifest.as_bytes(), wrong[2]);
        Tar::new()
            .bytes(&blob(&config), &config)
            .bytes(&blob(&layer), &layer)
            .bytes(&blob(manifest.as_bytes()), manifest.as_bytes())
            .file("index.json", &format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#))
            .end()
    };
    for wrong in [[1, 0, 0], [0, 1, 0], [0, 0, 1]] {
        let error = store.images.load(archive(wrong).as_slice(), None).unwrap_err();
        assert!(text(&error).contains("as promised"), "{wrong:?}: {error}");
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(count(&store, "content/blobs/sha256"), 0);
    }
    assert_eq!(store.images.load(archive([0; 3]).as_slice(), None).unwrap().len(), 1);
}

#[test]
fn an_archive_is_read_in_one_way_and_for_this_machine() {
    let (_dir, store) = store();
    let layer = layer("a");
    let config = config(&[digest(&layer)], "x");
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", digest(bytes).hex());
    let descriptor = |kind: &str, bytes: &[u8], platform: &str| {
        let (digest, size) = (digest(bytes), bytes.len());
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}{platform}}}"#)
    };
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let archive = |both: &str, variant: &str| {
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]{both}}}"#,
            descriptor("application/vnd.oci.image.config.v1+json", &config, ""),
            descriptor("application/vnd.oci.image.layer.v1.tar", &layer, ""),
        );
        let platform =
            format!(r#","platform":{{"os":"linux","architecture":"amd64","variant":"{variant}"}}"#);
        let inner = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            descriptor(manifest_type, manifest.as_bytes(), &platform)
        );
        let outer = descriptor("application/vnd.oci.image.index.v1+json", inner.as_bytes(), "");
        Tar::new()
            .bytes(&blob(&config), &config)
            .bytes(&blob(&layer), &layer)
            .bytes(&blob(manifest.as_bytes()), manifest.as_bytes())
            .bytes(&blob(inner.as_bytes()), inner.as_bytes())
            .file("index.json", &format!(r#"{{"schemaVersion":2,"manifests":[{outer}]}}"#))
            .end()
    };
    let plain = hull_model::image::Platform {
        os: "linux".into(),
        architecture: "amd64".into(),
        variant: String::new(),
    };
    let load = |tar: &[u8]| store.images.load(tar, Some(&plain));
    // CVE-2021-41190: a manifest to one reader and an index to another.
    let error = load(&archive(r#","manifests":[]"#, "v1")).unwrap_err();
    assert!(format!("{error:?}").contains("Ambiguous"), "{error:?}");
    let error = load(&archive("", "v3")).unwrap_err();
    assert!(text(&error).contains("no image for linux/amd64"), "{error}");
    assert_eq!(count(&store, "content/blobs/sha256"), 0);
    assert_eq!(load(&archive("", "v1")).unwrap().len(), 1);
}
