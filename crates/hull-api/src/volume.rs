//! Volumes.

use std::collections::BTreeMap;

use hull_model::name::Name;
use hull_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::container::host_config::Map;
use crate::filters::Filters;
use crate::json::{Nothing, decode_or_default};
use crate::query::Query;
use crate::refusal::{Kind, Refusal, Result, quote};
use crate::version::ApiVersion;

/// What marks a volume that was made without a name (moby `volume/service`).
const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct CreateBody {
    name: String,
    driver: String,
    driver_opts: Map,
    labels: Map,
    cluster_volume_spec: Option<Nothing>,
}

/// A volume asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VolumeCreate {
    /// `None` for one that hull names.
    pub name: Option<Name>,
    /// Free key-value pairs.
    pub labels: BTreeMap<String, String>,
}

/// Reads the body of a create.
pub fn read(body: &[u8]) -> Result<VolumeCreate> {
    let body: CreateBody = decode_or_default(body, "VolumeCreateOptions")?;
    if !matches!(body.driver.as_str(), "" | "local") {
        let driver = quote(&body.driver);
        return Err(Refusal {
            kind: Kind::Missing,
            message: format!(
                "error looking up volume plugin {driver}: plugin \"{driver}\" not found"
            ),
        });
    }
    if !body.driver_opts.is_empty() {
        let shown = serde_json::to_string(&body.driver_opts).unwrap_or_default();
        return Err(Refusal::unsupported("DriverOpts", shown));
    }
    if body.cluster_volume_spec.is_some() {
        return Err(Refusal::unsupported("ClusterVolumeSpec", "{…}"));
    }
    let name = match body.name.as_str() {
        "" => None,
        text => Some(crate::container::binds::volume_name(text)?),
    };
    Ok(VolumeCreate { name, labels: body.labels })
}

/// A volume as answers show it.
#[derive(Clone, Copy, Debug)]
pub struct VolumeView<'a> {
    /// Its name.
    pub name: &'a Name,
    /// When it was made.
    pub created: Timestamp,
    /// Free key-value pairs.
    pub labels: &'a BTreeMap<String, String>,
    /// Whether it was made without a name.
    pub anonymous: bool,
    /// Where its files are on the host.
    pub path: &'a str,
    /// What it takes and how many containers use it, where that is asked for.
    pub usage: Option<Usage>,
}

/// What a volume takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Usage {
    /// Bytes.
    pub size: u64,
    /// Containers that have it.
    pub ref_count: u64,
}

/// Everything about one volume.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Volume {
    created_at: String,
    driver: &'static str,
    labels: BTreeMap<String, String>,
    mountpoint: String,
    name: String,
    options: BTreeMap<String, String>,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_data: Option<Usage>,
}

/// The answer about `view`.
pub fn write(view: &VolumeView<'_>) -> Volume {
    let mut labels = view.labels.clone();
    if view.anonymous {
        labels.entry(ANONYMOUS_LABEL.to_owned()).or_default();
    }
    Volume {
        created_at: Timestamp::from_nanos(view.created.as_secs() * 1_000_000_000).to_string(),
        driver: "local",
        labels,
        mountpoint: view.path.to_owned(),
        name: view.name.as_str().to_owned(),
        options: BTreeMap::new(),
        scope: "local",
        usage_data: view.usage,
    }
}

/// All volumes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VolumeList {
    volumes: Vec<Volume>,
    warnings: Vec<String>,
}

/// The answer of a list.
pub fn list(volumes: Vec<Volume>) -> VolumeList {
    VolumeList { volumes, warnings: Vec::new() }
}

/// Which volumes a client wants to see.
#[derive(Clone, Debug)]
pub struct VolumeQuery {
    filters: Filters,
    dangling: Option<bool>,
}

impl VolumeQuery {
    /// Reads the parameters of a list.
    pub fn parse(query: &Query) -> Result<Self> {
        let filters = query.filters(&["dangling", "driver", "label", "name"])?;
        let asked = !filters.allows_all("dangling");
        let dangling = asked.then(|| filters.flag("dangling", false)).transpose()?;
        Ok(Self { filters, dangling })
    }

    /// Whether this volume, which `used` containers have, is wanted.
    pub fn accepts(&self, view: &VolumeView<'_>, used: usize) -> bool {
        self.dangling.is_none_or(|dangling| dangling == (used == 0))
            && self.filters.is("driver", "local")
            && self.filters.matches("name", view.name.as_str())
            && self.filters.has_labels("label", &write(view).labels)
    }
}

/// Which of the unused volumes are to go.
#[derive(Clone, Debug)]
pub struct PruneQuery {
    filters: Filters,
    all: bool,
}

impl PruneQuery {
    /// Reads the parameters of a prune. From 1.42 on, named volumes stay unless `all` says so.
    pub fn parse(query: &Query, version: ApiVersion) -> Result<Self> {
        let filters = query.filters(&["all", "label", "label!"])?;
        let all = filters.flag("all", !version.is_at_least(42))?;
        Ok(Self { filters, all })
    }

    /// Whether the filters let this volume go; whether it is used is the caller's business.
    pub fn accepts(&self, view: &VolumeView<'_>) -> bool {
        let labels = write(view).labels;
        (self.all || labels.contains_key(ANONYMOUS_LABEL))
            && self.filters.has_labels("label", &labels)
            && self.filters.lacks_labels("label!", &labels)
    }
}

/// What went.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pruned {
    volumes_deleted: Vec<String>,
    space_reclaimed: u64,
}

/// The answer when these volumes went and gave back so many bytes.
pub fn pruned(names: Vec<String>, bytes: u64) -> Pruned {
    Pruned { volumes_deleted: names, space_reclaimed: bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creates_are_checked() {
        let refused = |text: &str| read(text.as_bytes()).unwrap_err();
        assert_eq!(read(b"").unwrap().name, None);
        let made = read(br#"{"Name":"data","Driver":"local","Labels":{"a":"b"}}"#).unwrap();
        assert_eq!((made.name.unwrap().as_str(), made.labels.len()), ("data", 1));
        assert_eq!(refused(r#"{"Driver":"nfs"}"#).status(), 404);
        assert_eq!(refused(r#"{"DriverOpts":{"type":"tmpfs"}}"#).status(), 501);
        assert!(refused(r#"{"Name":"../x"}"#).message.contains("local volume name"));
    }

    #[test]
    fn named_volumes_survive_a_prune_of_new_clients() {
        let (name, labels) = (Name::new("data").unwrap(), BTreeMap::new());
        let view = VolumeView {
            name: &name,
            created: Timestamp::EPOCH,
            labels: &labels,
            anonymous: false,
            path: "/v",
            usage: None,
        };
        let prune = |text, version: &str| {
            PruneQuery::parse(&Query::parse(Some(text)), version.parse().unwrap()).unwrap()
        };
        assert!(!prune("", "1.42").accepts(&view));
        assert!(prune("", "1.41").accepts(&view));
        assert!(prune("filters={\"all\":[\"true\"]}", "1.44").accepts(&view));
        assert!(prune("", "1.44").accepts(&VolumeView { anonymous: true, ..view }));
        let list =
            VolumeQuery::parse(&Query::parse(Some("filters={\"dangling\":[\"1\"]}"))).unwrap();
        assert!(list.accepts(&view, 0) && !list.accepts(&view, 1));
    }
}
