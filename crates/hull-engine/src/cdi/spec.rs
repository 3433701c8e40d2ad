//! One file: its form, and what has to hold for it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// A vendor's devices of one class.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Spec {
    cdi_version: String,
    /// `vendor/class`.
    pub(super) kind: String,
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) devices: Vec<Device>,
    /// For whatever device of these is given.
    #[serde(default)]
    pub(super) container_edits: Edits,
}

/// One device.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Device {
    pub(super) name: String,
    annotations: Option<BTreeMap<String, String>>,
    pub(super) container_edits: Edits,
}

/// What a guest gets.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Edits {
    pub(super) env: Option<Vec<String>>,
    pub(super) device_nodes: Option<Vec<Node>>,
    pub(super) mounts: Option<Vec<Mount>>,
    pub(super) hooks: Option<Vec<Hook>>,
    pub(super) additional_gids: Option<Vec<u32>>,
    pub(super) intel_rdt: Option<Rdt>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Node {
    pub(super) path: String,
    pub(super) host_path: String,
    pub(super) r#type: String,
    pub(super) major: i64,
    pub(super) minor: i64,
    pub(super) file_mode: Option<u32>,
    pub(super) permissions: String,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Mount {
    pub(super) host_path: String,
    pub(super) container_path: String,
    pub(super) options: Option<Vec<String>>,
    pub(super) r#type: String,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Hook {
    pub(super) hook_name: String,
    pub(super) path: String,
    pub(super) args: Option<Vec<String>>,
    pub(super) env: Option<Vec<String>>,
    pub(super) timeout: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Rdt {
    #[serde(rename = "closID")]
    pub(super) class: String,
    pub(super) l3_cache_schema: String,
    pub(super) mem_bw_schema: String,
    #[serde(rename = "enableCMT")]
    pub(super) cache_monitoring: bool,
    #[serde(rename = "enableMBM")]
    pub(super) bandwidth_monitoring: bool,
}

/// The versions there are, oldest first.
const VERSIONS: [&str; 9] =
    ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0"];
const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

impl Spec {
    /// Reads a file's text; JSON is YAML too, and says better where it is wrong.
    pub(super) fn parse(text: &str, is_json: bool) -> Result<Self, String> {
        let spec: Self = if is_json {
            serde_json::from_str(text).map_err(|error| error.to_string())?
        } else {
            serde_norway::from_str(text).map_err(|error| error.to_string())?
        };
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), String> {
        let version = VERSIONS.iter().position(|known| *known == self.cdi_version);
        let Some(version) = version else {
            return Err(format!("unknown cdiVersion {:?}", self.cdi_version));
        };
        let needed = self.needed();
        if VERSIONS.iter().position(|known| *known == needed) > Some(version) {
            return Err(format!("cdiVersion {} must be at least {needed}", self.cdi_version));
        }
        check_kind(&self.kind)?;
        if self.devices.is_empty() {
            return Err("invalid spec, no devices".to_owned());
        }
        self.container_edits.check()?;
        let mut names = BTreeSet::new();
        for device in &self.devices {
            let name = &device.name;
            let of = |why: String| format!("device {name:?}: {why}");
            check_name(name, "_-.:").map_err(of)?;
            if !names.insert(name) {
                return Err(of("defined twice".to_owned()));
            }
            if device.container_edits == Edits::default() {
                return Err(of("invalid device, empty device edits".to_owned()));
            }
            device.container_edits.check().map_err(of)?;
        }
        Ok(())
    }

    /// The least version that has what this file uses.
    fn needed(&self) -> &'static str {
        let edits = || {
            let devices = self.devices.iter().map(|device| &device.container_edits);
            devices.chain([&self.container_edits])
        };
        let nodes = || edits().flat_map(|edits| edits.device_nodes.iter().flatten());
        let mut mounts = edits().flat_map(|edits| edits.mounts.iter().flatten());
        let digit = |name: &str| name.starts_with(|c: char| c.is_ascii_digit());
        let annotated =
            |all: &Option<BTreeMap<_, _>>| all.as_ref().is_some_and(|all| !all.is_empty());
        let class = self.kind.split_once('/').map_or("", |(_, class)| class);
        if edits().any(|edits| edits.intel_rdt.is_some() || edits.additional_gids.is_some()) {
            return "0.7.0";
        }
        if annotated(&self.annotations)
            || self.devices.iter().any(|device| annotated(&device.annotations))
            || class.contains('.')
        {
            return "0.6.0";
        }
        if nodes().any(|node| !node.host_path.is_empty())
            || self.devices.iter().any(|device| digit(&device.name))
        {
            return "0.5.0";
        }
        if mounts.any(|mount| !mount.r#type.is_empty()) { "0.4.0" } else { "0.1.0" }
    }
}

/// `vendor/class`: letters and digits with some signs between them.
pub(super) fn check_kind(kind: &str) -> Result<(), String> {
    let bad = |why| format!("invalid kind {kind:?}: {why}");
    let (vendor, class) =
        kind.split_once('/').ok_or_else(|| bad("expected vendor/class".into()))?;
    for part in [vendor, class] {
        check_name(part, "_-.").map_err(bad)?;
        if !part.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(bad(format!("{part:?} does not start with a letter")));
        }
    }
    Ok(())
}

fn check_name(name: &str, signs: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric();
    let good = name.starts_with(plain)
        && name.ends_with(plain)
        && name.chars().all(|c| plain(c) || signs.contains(c));
    if good { Ok(()) } else { Err(format!("invalid name {name:?}")) }
}

fn absolute(what: &str, path: &str) -> Result<(), String> {
    if path.starts_with('/') && !path.contains('\0') {
        return Ok(());
    }
    Err(format!("{what} {path:?} is not an absolute path"))
}

fn variables(env: Option<&Vec<String>>) -> Result<(), String> {
    let bad = |pair: &&String| pair.find('=').is_none_or(|at| at == 0) || pair.contains('\0');
    match env.into_iter().flatten().find(bad) {
        Some(pair) => Err(format!("invalid environment variable {pair:?}")),
        None => Ok(()),
    }
}

impl Edits {
    fn check(&self) -> Result<(), String> {
        variables(self.env.as_ref())?;
        for node in self.device_nodes.iter().flatten() {
            absolute("device path", &node.path)?;
            if !node.host_path.is_empty() {
                absolute("device hostPath", &node.host_path)?;
            }
            if !matches!(node.r#type.as_str(), "" | "b" | "c" | "u" | "p") {
                return Err(format!("device {}: unknown type {:?}", node.path, node.r#type));
            }
            if !node.permissions.bytes().all(|b| b"rwm".contains(&b)) {
                let (path, access) = (&node.path, &node.permissions);
                return Err(format!("device {path}: invalid permissions {access:?}"));
            }
            let number = |n: i64| u32::try_from(n).is_ok();
            if !number(node.major) || !number(node.minor) {
                return Err(format!("device {}: impossible number", node.path));
            }
        }
        for mount in self.mounts.iter().flatten() {
            absolute("mount hostPath", &mount.host_path)?;
            absolute("mount containerPath", &mount.container_path)?;
        }
        for hook in self.hooks.iter().flatten() {
            if !HOOKS.contains(&hook.hook_name.as_str()) {
                return Err(format!("unknown hook {:?}", hook.hook_name));
            }
            absolute("hook", &hook.path)?;
            variables(hook.env.as_ref())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> String {
        match Spec::parse(text, text.starts_with('{')) {
            Ok(spec) => format!("{} {}", spec.kind, spec.devices.len()),
            Err(why) => why,
        }
    }

    #[test]
    fn files_are_json_or_yaml() {
        let yaml = "cdiVersion: 0.6.0\nkind: vendor.com/gpu\ndevices:\n- name: gpu0\n  \
                    containerEdits:\n    env: [A=b]\n    deviceNodes:\n    - path: /dev/null\n";
        assert_eq!(parse(yaml), "vendor.com/gpu 1");
        let json = r#"{"cdiVersion":"0.3.0","kind":"v.com/c","devices":[
            {"name":"a","containerEdits":{"env":["A=b"]}}],"containerEdits":{"mounts":null}}"#;
        assert_eq!(parse(json), "v.com/c 1");
    }

    #[test]
    fn what_contradicts_the_specification_is_refused() {
        let device = r#"{"name":"a","containerEdits":{"env":["A=b"]}}"#;
        let spec = |version: &str, kind: &str, devices: &str| {
            parse(&format!(r#"{{"cdiVersion":"{version}","kind":"{kind}","devices":[{devices}]}}"#))
        };
        assert_eq!(spec("0.3.0", "v/c", device), "v/c 1");
        assert_eq!(spec("9.9.9", "v/c", device), "unknown cdiVersion \"9.9.9\"");
        assert!(spec("0.3.0", "vc", device).contains("expected vendor/class"));
        assert!(spec("0.3.0", "0v/c", device).contains("start with a letter"));
        assert!(spec("0.3.0", "../c", device).contains("invalid"));
        assert_eq!(spec("0.3.0", "v/c", ""), "invalid spec, no devices");
        assert!(spec("0.3.0", "v/c", &format!("{device},{device}")).contains("defined twice"));
        let edits = |version: &str, name: &str, edits: &str| {
            let device = format!(r#"{{"name":"{name}","containerEdits":{{{edits}}}}}"#);
            spec(version, "v/c", &device)
        };
        assert!(edits("0.3.0", "a", "").contains("empty device edits"));
        assert!(edits("1.0.0", "a", r#""what":1"#).contains("unknown field"));
        assert!(edits("1.0.0", "a", r#""env":["=b"]"#).contains("invalid environment variable"));
        assert!(edits("1.0.0", "a", r#""deviceNodes":[{"path":"dev"}]"#).contains("absolute"));
        assert!(
            edits("1.0.0", "a", r#""hooks":[{"hookName":"x","path":"/x"}]"#)
                .contains("unknown hook")
        );
        assert!(
            edits("1.0.0", "a", r#""deviceNodes":[{"path":"/d","permissions":"x"}]"#)
                .contains("invalid permissions")
        );
        // Each feature has its version.
        for (least, name, has) in [
            ("0.4.0", "a", r#""mounts":[{"hostPath":"/a","containerPath":"/b","type":"tmpfs"}]"#),
            ("0.5.0", "a", r#""deviceNodes":[{"path":"/dev/a","hostPath":"/dev/b"}]"#),
            ("0.5.0", "0", r#""env":["A=b"]"#),
            ("0.7.0", "a", r#""additionalGids":[5]"#),
            ("0.7.0", "a", r#""intelRdt":{"closID":"x"}"#),
        ] {
            assert_eq!(edits(least, name, has), "v/c 1");
            assert_eq!(
                edits("0.3.0", name, has),
                format!("cdiVersion 0.3.0 must be at least {least}")
            );
        }
    }
}
