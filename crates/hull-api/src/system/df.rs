//! `GET /system/df`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::container::list::ContainerSummary;
use crate::image::list::ImageSummary;
use crate::query::Query;
use crate::refusal::{Refusal, Result, quote};
use crate::version::ApiVersion;
use crate::volume::Volume;

/// Which parts a client wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DiskQuery {
    /// Images.
    pub images: bool,
    /// Containers, with their sizes.
    pub containers: bool,
    /// Volumes, with what they take.
    pub volumes: bool,
    build_cache: bool,
    verbose: bool,
}

impl DiskQuery {
    /// Reads `type` (each of them once or more; none for all) and `verbose`.
    pub fn parse(query: &Query) -> Result<Self> {
        let none = !query.has("type");
        let mut parts = Self {
            images: none,
            containers: none,
            volumes: none,
            build_cache: none,
            verbose: query.flag("verbose"),
        };
        for kind in query.values("type") {
            match kind {
                "image" => parts.images = true,
                "container" => parts.containers = true,
                "volume" => parts.volumes = true,
                "build-cache" => parts.build_cache = true,
                other => {
                    return Err(Refusal::invalid(format_args!(
                        "unknown object type: {}",
                        quote(other)
                    )));
                }
            }
        }
        Ok(parts)
    }
}

/// One sort of object, and what it takes.
#[derive(Debug)]
pub struct Part<T> {
    /// Each of them.
    pub items: Vec<T>,
    /// How many are in use.
    pub active: usize,
    /// Bytes of all together.
    pub size: u64,
    /// Bytes that a prune would give back.
    pub reclaimable: u64,
}

/// What everything takes; a part that was not asked for is `None`.
#[derive(Debug, Default)]
pub struct DiskUsage {
    /// Images; their size is that of all layers, shared ones once.
    pub images: Option<Part<ImageSummary>>,
    /// Containers; their size is what they wrote.
    pub containers: Option<Part<ContainerSummary>>,
    /// Volumes.
    pub volumes: Option<Part<Volume>>,
}

/// The answer for a client of `version`.
pub fn write(usage: &DiskUsage, query: DiskQuery, version: ApiVersion) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    if version.has_legacy_fields() {
        put("LayersSize", json!(usage.images.as_ref().map_or(0, |part| part.size)));
        put("Images", items(usage.images.as_ref()));
        put("Containers", items(usage.containers.as_ref()));
        put("Volumes", items(usage.volumes.as_ref()));
        put("BuildCache", if query.build_cache { json!([]) } else { Value::Null });
        return fields;
    }
    if let Some(part) = &usage.images {
        put("ImageUsage", summary(part, query.verbose));
    }
    if let Some(part) = &usage.containers {
        put("ContainerUsage", summary(part, query.verbose));
    }
    if let Some(part) = &usage.volumes {
        put("VolumeUsage", summary(part, query.verbose));
    }
    if query.build_cache {
        let none: Part<Value> = Part { items: Vec::new(), active: 0, size: 0, reclaimable: 0 };
        put("BuildCacheUsage", summary(&none, query.verbose));
    }
    fields
}

fn items<T: Serialize>(part: Option<&Part<T>>) -> Value {
    part.map_or(Value::Null, |part| json!(part.items))
}

fn summary<T: Serialize>(part: &Part<T>, verbose: bool) -> Value {
    let mut fields = json!({
        "ActiveCount": part.active,
        "TotalCount": part.items.len(),
        "Reclaimable": part.reclaimable,
        "TotalSize": part.size,
    });
    if verbose {
        fields["Items"] = json!(part.items);
    }
    fields
}
