//! Pulling from Docker's own registry.

use hull_tests::registry::{ACCOUNT, Access, Registry};
use hull_tests::{Daemon, Settings, Tool, images, need};
use serde_json::{Value, json};

/// Puts the `busybox` image into a registry, by the distribution protocol and curl.
fn fill(registry: &Registry, scheme: &str, extra: &str) -> String {
    let base = format!("{scheme}://{}/v2/lib/box", registry.address());
    let curl = |words: &str| Tool::new("curl", &format!("-sSk --http1.1 --fail {extra} {words}"));
    let archive = std::fs::read(images::busybox()).unwrap();
    let mut layer = Vec::new();
    let mut config = Vec::new();
    for entry in tar::Archive::new(&archive[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let keep = if path.ends_with("layer.tar") { &mut layer } else { &mut config };
        if path != "manifest.json" {
            std::io::Read::read_to_end(&mut entry, keep).unwrap();
        }
    }
    let layer = images::gzip(&layer);
    let dir = tempfile::tempdir().unwrap();
    for blob in [&layer, &config] {
        let file = dir.path().join("blob");
        std::fs::write(&file, blob).unwrap();
        let head = curl(&format!("-i -X POST {base}/blobs/uploads/")).ok();
        let place = head.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap();
        let digest = images::digest(blob);
        let url = format!("{}&digest={digest}", place.trim());
        curl("-X PUT -H Content-Type:application/octet-stream --data-binary")
            .arg(format!("@{}", file.display()))
            .arg(url)
            .ok();
    }
    let part = |kind: &str, bytes: &[u8]| {
        json!({"mediaType": format!("application/vnd.docker.{kind}"), "size": bytes.len(),
               "digest": images::digest(bytes)})
    };
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind,
        "config": part("container.image.v1+json", &config),
        "layers": [part("image.rootfs.diff.tar.gzip", &layer)]});
    let file = dir.path().join("manifest");
    std::fs::write(&file, manifest.to_string()).unwrap();
    curl(&format!("-X PUT -H Content-Type:{kind} --data-binary"))
        .arg(format!("@{}", file.display()))
        .arg(format!("{base}/manifests/v1"))
        .ok();
    images::digest(manifest.to_string().as_bytes())
}

fn daemon(arguments: String) -> Daemon {
    Daemon::start(Settings { arguments, is_empty: true, ..Settings::default() })
}

macro_rules! needed {
    () => {
        need!("docker", "busybox", "ip", "nft", "curl", "docker-registry", "htpasswd", "openssl")
    };
}

#[test]
fn an_image_is_pulled_over_plain_http_from_this_machine_and_runs() {
    needed!();
    let registry = Registry::start(Access::Http);
    let digest = fill(&registry, "http", "");
    let d = daemon(String::new());
    let name = format!("{}/lib/box", registry.address());
    let said = d.docker(&format!("pull {name}:v1")).ok();
    assert!(said.contains(&format!("Digest: {digest}")), "{said}");
    assert!(said.contains("Status: Downloaded newer image"), "{said}");
    let again = d.docker(&format!("pull {name}:v1")).ok();
    assert!(again.contains("Status: Image is up to date"), "{again}");
    assert_eq!(d.docker(&format!("run --rm --network none {name}:v1 echo hi")).ok(), "hi");
    let seen: Value = d.get(&format!("/images/{name}:v1/json")).json();
    assert_eq!(seen["RepoDigests"], json!([format!("{name}@{digest}")]));
    d.docker(&format!("rmi {name}:v1")).ok();
    d.docker(&format!("pull {name}@{digest}")).ok();
    // `run` pulls what is missing, with progress to the terminal and not to the output.
    let d = daemon(String::new());
    assert_eq!(d.docker(&format!("run --rm --network none {name}:v1 echo hi")).ok(), "hi");
    let d = daemon(String::new());
    assert_eq!(d.hull(&format!("run --rm --network none {name}:v1 echo hi")).ok(), "hi");
}

#[test]
fn what_the_registry_does_not_have_is_said_so() {
    needed!();
    let registry = Registry::start(Access::Http);
    fill(&registry, "http", "");
    let d = daemon(String::new());
    let address = registry.address();
    for name in ["lib/box:v2", "lib/none:v1"] {
        let why = d.docker(&format!("pull {address}/{name}")).fails(1);
        assert!(why.contains(name.split(':').next().unwrap()), "{why}");
    }
    let why = d.docker(&format!("run --rm {address}/lib/none echo")).fails(125);
    assert!(why.contains("lib/none"), "{why}");
    assert_eq!(d.docker("images -q").ok(), "");
}

#[test]
fn a_registry_with_accounts_wants_the_password() {
    needed!();
    let registry = Registry::start(Access::Password);
    let (user, password) = ACCOUNT;
    fill(&registry, "http", &format!("-u '{user}:{password}'"));
    let d = daemon(String::new());
    let address = registry.address();
    let why = d.docker(&format!("pull {address}/lib/box:v1")).fails(1);
    assert!(why.contains("unauthorized") || why.contains("auth"), "{why}");
    // As docker login writes it; the login route is another matter.
    let auth = Tool::new("base64", "-w0").input(format!("{user}:{password}")).ok();
    let config = json!({"auths": {address.clone(): {"auth": auth}}}).to_string();
    std::fs::create_dir_all(d.files().join("docker")).unwrap();
    std::fs::write(d.files().join("docker/config.json"), config).unwrap();
    d.docker(&format!("pull {address}/lib/box:v1")).ok();
    assert!(!d.log().contains(password), "the password is in the log");
}

#[test]
fn an_unknown_certificate_is_refused_unless_allowed() {
    needed!();
    let registry = Registry::start(Access::Https);
    fill(&registry, "https", "");
    let address = registry.address();
    let allowed = daemon(format!("--insecure-registry {address}"));
    allowed.docker(&format!("pull {address}/lib/box:v1")).ok();
}

#[test]
fn a_blob_that_lies_about_its_digest_is_refused_and_leaves_nothing() {
    needed!();
    let registry = Registry::start(Access::Http);
    fill(&registry, "http", "");
    let find = format!("{} -name data -size +100k", registry.data().display());
    let blob = Tool::new("find", &find).ok();
    let good = std::fs::read(&blob).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let d = daemon(String::new());
    let layers = std::fs::read_dir(d.data_root().join("layers")).map_or(0, Iterator::count);
    let why = d.docker(&format!("pull {}/lib/box:v1", registry.address())).fails(1);
    assert!(!why.is_empty());
    assert_eq!(d.docker("images -q").ok(), "");
    // What was verified may be kept for the next attempt; what lied must not spoil it.
    assert_eq!(std::fs::read_dir(d.data_root().join("layers")).map_or(0, Iterator::count), layers);
    std::fs::write(&blob, good).unwrap();
    d.docker(&format!("pull {}/lib/box:v1", registry.address())).ok();
}

#[test]
fn several_pulls_of_the_same_at_once_all_succeed() {
    needed!();
    let registry = Registry::start(Access::Http);
    fill(&registry, "http", "");
    let d = daemon(String::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (d, address) = (&d, registry.address());
            scope.spawn(move || d.docker(&format!("pull {address}/lib/box:v1")).ok());
        }
    });
    assert_eq!(d.docker("images -q").ok().lines().count(), 1);
}
