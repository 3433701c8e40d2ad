//! The hello image: one layer with one program.

use std::io;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::HELLO;

/// The name the image goes by.
pub const HELLO_NAME: &str = "hello:latest";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The image as an archive that `docker load` and `hull load` take: an OCI layout which is a Docker
/// archive too. The same bytes each time, for the same version of hull.
pub fn hello_image() -> io::Result<Vec<u8>> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let layer = layer()?;
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Cmd": ["/hello"],
            "Env": ["PATH=/"],
            "Labels": { "org.opencontainers.image.title": "hull hello" },
        },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "hull" }],
    })
    .to_string()
    .into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": [descriptor(LAYER, &layer)],
    })
    .to_string()
    .into_bytes();
    let mut entry = descriptor(MANIFEST, &manifest);
    entry["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/{HELLO_NAME}"),
        "org.opencontainers.image.ref.name": "latest",
    });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
    let docker = json!([{
        "Config": blob_path(&config),
        "RepoTags": [HELLO_NAME],
        "Layers": [blob_path(&layer)],
    }]);
    let mut archive = Archive::new();
    for blob in [&layer, &config, &manifest] {
        archive.file(&blob_path(blob), blob, 0o644)?;
    }
    archive.file("index.json", index.to_string().as_bytes(), 0o644)?;
    archive.file("manifest.json", docker.to_string().as_bytes(), 0o644)?;
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
    archive.finish()
}

fn layer() -> io::Result<Vec<u8>> {
    let mut archive = Archive::new();
    archive.file("hello", HELLO.bytes, 0o755)?;
    archive.finish()
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn blob_path(bytes: &[u8]) -> String {
    format!("blobs/{}", digest(bytes).replace(':', "/"))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

/// A tar archive of files that belong to root and have no time.
struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn file(&mut self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, path, content)
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        self.0.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;

    fn read(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), content);
        }
        files
    }

    #[test]
    fn the_image_is_the_same_each_time_and_every_digest_holds() {
        let image = hello_image().unwrap();
        assert_eq!(image, hello_image().unwrap());
        let files = read(&image);
        for (path, content) in files.iter().filter(|(path, _)| path.starts_with("blobs/")) {
            assert_eq!(*path, blob_path(content));
        }
        let docker: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(docker[0]["RepoTags"][0], HELLO_NAME);
        let layer = &files[docker[0]["Layers"][0].as_str().unwrap()];
        assert_eq!(read(layer)["hello"], HELLO.bytes);
        let config: Value =
            serde_json::from_slice(&files[docker[0]["Config"].as_str().unwrap()]).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(layer));
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let manifest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        let manifest: Value = serde_json::from_slice(&files[&format!("blobs/{manifest}")]).unwrap();
        assert_eq!(manifest["layers"][0]["digest"], config["rootfs"]["diff_ids"][0]);
    }
}
