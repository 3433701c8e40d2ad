//! Archives for the tests, written byte by byte so that they can lie.
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::too_many_arguments,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "each test takes what it needs"
)]

use std::io::Write;

use hull_model::image::Digest;
use sha2::Digest as _;

/// One archive being written.
#[derive(Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    /// A member with everything said.
    pub fn member(mut self, kind: u8, path: &str, link: &str, data: &[u8], mode: u32) -> Self {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..path.len().min(100)].copy_from_slice(&path.as_bytes()[..path.len().min(100)]);
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        old.linkflag = [kind];
        header.set_mode(mode);
        header.set_uid(if mode == 0o600 { 1_000 } else { 0 });
        header.set_gid(0);
        header.set_size(data.len() as u64);
        header.set_mtime(1_000_000_000);
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, path: &str, data: &str) -> Self {
        self.member(b'0', path, "", data.as_bytes(), 0o644)
    }

    pub fn bytes(self, path: &str, data: &[u8]) -> Self {
        self.member(b'0', path, "", data, 0o644)
    }

    pub fn dir(self, path: &str, mode: u32) -> Self {
        self.member(b'5', path, "", b"", mode)
    }

    pub fn symlink(self, path: &str, to: &str) -> Self {
        self.member(b'2', path, to, b"", 0o777)
    }

    pub fn hardlink(self, path: &str, to: &str) -> Self {
        self.member(b'1', path, to, b"", 0o644)
    }

    /// PAX records for the next member.
    pub fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            data.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
        }
        self.member(b'x', "pax", "", &data, 0o644)
    }

    /// A member whose header says `size`, whatever its data is.
    pub fn lying(mut self, kind: u8, path: &str, size: u64, data: &[u8]) -> Self {
        let at = self.0.len();
        self = self.member(kind, path, "", data, 0o644);
        let mut header = tar::Header::from_byte_slice(&self.0[at..at + 512]).clone();
        header.set_size(size);
        header.set_cksum();
        self.0[at..at + 512].copy_from_slice(header.as_bytes());
        self
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    /// Without the mark at the end.
    pub fn unmarked(self) -> Vec<u8> {
        self.0
    }
}

pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(sha2::Sha256::digest(bytes).into())
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A configuration with these layers.
pub fn config(diff_ids: &[Digest], cmd: &str) -> Vec<u8> {
    let diff_ids: Vec<_> = diff_ids.iter().map(ToString::to_string).collect();
    serde_json::to_vec(&serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": [cmd]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "base"}, {"created_by": "empty", "empty_layer": true}],
    }))
    .unwrap()
}

/// What `docker save` wrote before version 25.
pub fn docker_archive(layers: &[Vec<u8>], tags: &[&str], cmd: &str) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
    let config = config(&diff_ids, cmd);
    let name = format!("{}.json", digest(&config).hex());
    let paths: Vec<_> = (0..layers.len()).map(|n| format!("layer{n}/layer.tar")).collect();
    let manifest = serde_json::json!([{"Config": name, "RepoTags": tags, "Layers": paths}]);
    let mut tar = Tar::new().bytes(&name, &config);
    for (path, layer) in paths.iter().zip(layers) {
        tar = tar.bytes(path, layer);
    }
    tar.file("repositories", "{ignored").file("manifest.json", &manifest.to_string()).end()
}
