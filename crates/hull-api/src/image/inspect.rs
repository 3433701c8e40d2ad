//! `GET /images/{name}/json`.

use std::collections::BTreeMap;

use hull_model::image::RunConfig;
use hull_model::time::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::view::{ImageView, names};
use crate::container::inspect::NEVER;
use crate::json::object;
use crate::version::ApiVersion;

/// Everything about one image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageInspect {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    author: String,
    config: Map<String, Value>,
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    os: String,
    size: u64,
    graph_driver: GraphDriver,
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
    metadata: Metadata,
    #[serde(flatten)]
    legacy: Map<String, Value>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct GraphDriver {
    name: &'static str,
    data: BTreeMap<&'static str, String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    r#type: &'static str,
    layers: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    last_tag_time: String,
}

/// The answer about `view` to a client of `version`.
pub fn inspect(view: &ImageView<'_>, version: ApiVersion) -> ImageInspect {
    let config = view.config;
    let history = config.history.as_deref().unwrap_or_default();
    // Below 1.44 there always was a time.
    let created = config.created.as_deref().and_then(Timestamp::parse_rfc3339);
    let created = created.map(|at| at.to_string());
    ImageInspect {
        id: view.id.to_string(),
        repo_tags: names(view.tags),
        repo_digests: names(view.digests),
        comment: history.last().and_then(|step| step.comment.clone()).unwrap_or_default(),
        created: match version.is_at_least(44) {
            true => created,
            false => Some(created.unwrap_or_else(|| NEVER.to_owned())),
        },
        author: config.author.clone().unwrap_or_default(),
        config: run_config(config.config.as_ref(), version),
        architecture: config.platform.architecture.clone(),
        variant: config.platform.variant.clone(),
        os: config.platform.os.clone(),
        size: view.size,
        graph_driver: GraphDriver { name: "overlay2", data: layers(view.layers) },
        root_fs: RootFs {
            r#type: "layers",
            layers: config.rootfs.diff_ids.iter().map(ToString::to_string).collect(),
        },
        metadata: Metadata { last_tag_time: view.added.to_string() },
        legacy: legacy(view, version),
    }
}

fn layers(directories: &[String]) -> BTreeMap<&'static str, String> {
    let Some((top, below)) = directories.split_last() else { return BTreeMap::new() };
    let mut data = BTreeMap::from([("UpperDir", top.clone())]);
    if !below.is_empty() {
        let lower: Vec<&str> = below.iter().rev().map(String::as_str).collect();
        data.insert("LowerDir", lower.join(":"));
    }
    data
}

/// What the image says about running it. Below 1.50 the fields of a container, which no image has,
/// are there with their zero values.
fn run_config(config: Option<&RunConfig>, version: ApiVersion) -> Map<String, Value> {
    let said = object(&config.cloned().unwrap_or_default());
    if version.is_at_least(50) {
        return said;
    }
    let mut fields = zero_config();
    fields.extend(said);
    fields
}

fn zero_config() -> Map<String, Value> {
    object(&json!({
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false,
        "AttachStderr": false, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": null,
        "Cmd": null, "Image": "", "Volumes": null, "WorkingDir": "", "Entrypoint": null,
        "OnBuild": null, "Labels": null,
    }))
}

/// Fields that went with 1.44, 1.45 and 1.52.
fn legacy(view: &ImageView<'_>, version: ApiVersion) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    if version.has_legacy_fields() {
        put("Parent", json!(""));
        put("DockerVersion", json!(""));
    }
    if !version.is_at_least(45) {
        put("Container", json!(""));
        put("ContainerConfig", Value::Object(zero_config()));
    }
    if !version.is_at_least(44) {
        put("VirtualSize", json!(view.size));
    }
    fields
}
