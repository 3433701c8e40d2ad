//! Images made by hand, so that a test of running does not depend on one of building or pulling.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::command::Tool;
use crate::need::find;
use crate::program::cache;

/// Accounts of the `busybox` image; `alice` and the group `staff` are there to be looked up.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\n\
                      alice:x:1000:1000::/home/alice:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nwww-data:x:33:\nstaff:x:50:alice\nalice:x:1000:\n";

/// The archive (as of `docker save`) of `busybox:latest`: Debian's static busybox, a few accounts.
///
/// # Panics
/// If busybox is not installed, or the archive cannot be written.
pub fn busybox() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let busybox = find("busybox").expect("busybox is installed");
        let image = Image {
            name: "busybox:latest",
            layers: vec![busybox_layer(&busybox)],
            config: json!({"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"]}),
        };
        let path = cache().join("busybox.tar");
        publish(&path, &image.docker_archive());
        path
    })
}

/// An image to be written in one of the archive formats.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name with tag.
    pub name: &'static str,
    /// Its layers as tar archives, lowest first.
    pub layers: Vec<Vec<u8>>,
    /// The `config` part of its configuration.
    pub config: Value,
}

impl Image {
    /// A tiny image: one layer with `entries`, no program to run.
    pub fn tiny(name: &'static str, entries: &[(&str, &str)]) -> Self {
        let mut layer = tar::Builder::new(Vec::new());
        for (path, text) in entries {
            file(&mut layer, path, 0o644, text.as_bytes());
        }
        let layers = vec![layer.into_inner().unwrap()];
        Self { name, layers, config: json!({"Cmd": ["/none"]}) }
    }

    /// Its configuration as it is stored.
    pub fn configuration(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| digest(layer)).collect();
        let history: Vec<_> = self.layers.iter().map(|_| json!({"created_by": "a test"})).collect();
        let document = json!({
            "architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z",
            "config": self.config, "history": history,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        document.to_string().into_bytes()
    }

    /// As of `docker save`.
    ///
    /// # Panics
    /// Never, in memory.
    pub fn docker_archive(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let configuration = self.configuration();
        let name = format!("{}.json", hex(&configuration));
        file(&mut archive, &name, 0o644, &configuration);
        let mut layers = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            let path = format!("{at}/layer.tar");
            file(&mut archive, &path, 0o644, layer);
            layers.push(path);
        }
        let manifest = json!([{"Config": name, "RepoTags": [self.name], "Layers": layers}]);
        file(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes());
        archive.into_inner().unwrap()
    }

    /// An OCI image layout, its layers compressed with zstd.
    ///
    /// # Panics
    /// Never, in memory.
    pub fn oci_archive(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut blob = |bytes: &[u8], kind: &str| {
            file(&mut archive, &format!("blobs/sha256/{}", hex(bytes)), 0o644, bytes);
            json!({"mediaType": format!("application/vnd.oci.image.{kind}"),
                   "digest": digest(bytes), "size": bytes.len()})
        };
        let compress = |layer: &Vec<u8>| zstd::encode_all(&layer[..], 3).unwrap();
        let layers: Vec<_> =
            self.layers.iter().map(|layer| blob(&compress(layer), "layer.v1.tar+zstd")).collect();
        let config = blob(&self.configuration(), "config.v1+json");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config, "layers": layers,
        });
        let mut descriptor = blob(manifest.to_string().as_bytes(), "manifest.v1+json");
        descriptor["annotations"] = json!({
            "io.containerd.image.name": format!("docker.io/library/{}", self.name),
            "org.opencontainers.image.ref.name": self.name.rsplit(':').next(),
        });
        let index = json!({"schemaVersion": 2, "manifests": [descriptor],
                           "mediaType": "application/vnd.oci.image.index.v1+json"});
        file(&mut archive, "index.json", 0o644, index.to_string().as_bytes());
        file(&mut archive, "oci-layout", 0o644, br#"{"imageLayoutVersion": "1.0.0"}"#);
        archive.into_inner().unwrap()
    }
}

/// Compresses as `docker save | gzip`.
///
/// # Panics
/// Never, in memory.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Adds a file.
///
/// # Panics
/// Never, in memory.
pub fn file(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(1_700_000_000);
    archive.append_data(&mut header, path, bytes).unwrap();
}

/// A symbolic link, or another entry with a target, whose path is not checked: it may be hostile.
///
/// # Panics
/// If path or target are too long.
pub fn link(archive: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, path: &str, target: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o777);
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    archive.append(&header, std::io::empty()).unwrap();
}

fn directory(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, owner: u64) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_mtime(1_700_000_000);
    archive.append_data(&mut header, path, std::io::empty()).unwrap();
}

fn busybox_layer(program: &Path) -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    for (path, mode, owner) in [
        ("bin/", 0o755, 0),
        ("dev/", 0o755, 0),
        ("etc/", 0o755, 0),
        ("home/alice/", 0o755, 1000),
        ("proc/", 0o555, 0),
        ("root/", 0o700, 0),
        ("sys/", 0o555, 0),
        ("tmp/", 0o1777, 0),
        ("var/www/", 0o755, 33),
    ] {
        directory(&mut layer, path, mode, owner);
    }
    file(&mut layer, "bin/busybox", 0o755, &fs::read(program).unwrap());
    for applet in Tool::new(program, "--list").ok().lines().filter(|name| *name != "busybox") {
        link(&mut layer, tar::EntryType::Symlink, &format!("bin/{applet}"), "busybox");
    }
    file(&mut layer, "etc/passwd", 0o644, PASSWD.as_bytes());
    file(&mut layer, "etc/group", 0o644, GROUPS.as_bytes());
    file(&mut layer, "var/www/index.html", 0o644, b"hello from www\n");
    layer.into_inner().unwrap()
}

/// `sha256:` and the digest in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file so that others see all of it or nothing.
fn publish(path: &Path, bytes: &[u8]) {
    let draft = path.with_extension(std::process::id().to_string());
    let mut out = File::create(&draft).unwrap();
    out.write_all(bytes).unwrap();
    fs::rename(&draft, path).unwrap();
}

/// A root file system of Debian with python, as a tar archive; made once per machine.
///
/// # Panics
/// If mmdebstrap fails.
pub fn debian_python() -> PathBuf {
    debian("debian-python", "python3")
}

/// One with what people run in it: a database, a web server, programs that change the user.
///
/// # Panics
/// If mmdebstrap fails.
pub fn debian_services() -> PathBuf {
    debian(
        "debian-services",
        "postgresql,nginx-light,sudo,cron,curl,iputils-ping,libcap2-bin,procps,e2fsprogs,fuse2fs",
    )
}

fn debian(name: &str, packages: &str) -> PathBuf {
    let path = cache().join(format!("{name}.tar"));
    let lock = File::create(cache().join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    if !path.exists() {
        let draft = cache().join(format!("{name}.draft.tar"));
        let lean = ["doc", "man", "locale"]
            .map(|dir| format!("--dpkgopt=path-exclude=/usr/share/{dir}/*"));
        let words = format!(
            "1800 mmdebstrap --quiet --variant=minbase {} --include={packages} bookworm",
            lean.join(" ")
        );
        let done = Tool::new("timeout", &words)
            .arg(&draft)
            .run_within(std::time::Duration::from_secs(1_820));
        assert_eq!(done.status, 0, "{done:?}");
        fs::rename(&draft, &path).unwrap();
    }
    path
}
