//! A small checker of Swagger 2.0 definitions: types, required fields, enumerations.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

/// The versions whose definitions are there.
const VERSIONS: [&str; 7] = ["1.25", "1.41", "1.44", "1.47", "1.50", "1.52", "1.55"];

/// Where the definitions say otherwise than every Docker of that version: place and reason.
const ERRATA: [(&str, &str); 6] = [
    (".NetworkSettings.Ports", "a map by port; 1.25 says a list"),
    (".ExecIDs", "a list; 1.25 says a text"),
    (".Containers[", "containers; 1.25 says lists of containers"),
    (".HostConfig.RestartPolicy.Name: \"no\"", "1.25 leaves it out"),
    (".HostConfig.PidsLimit: null", "null where it is not set; 1.25 says a number"),
    (".HostConfig.MemorySwappiness", "null where it is not set; no version says so"),
];

/// The definitions of one version.
pub(crate) struct Specification {
    pub(crate) version: String,
    document: Value,
}

impl Specification {
    /// All of `VERSIONS`; `None`, with the reason printed, if they are not on this machine.
    pub(crate) fn all() -> Option<&'static [Self]> {
        static ALL: LazyLock<Option<Vec<Specification>>> =
            LazyLock::new(|| VERSIONS.iter().map(|version| Specification::load(version)).collect());
        ALL.as_deref()
    }

    fn load(version: &str) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs/docker-api");
        let path = folder.join(format!("v{version}.yaml"));
        #[expect(clippy::disallowed_methods, reason = "a test may read its fixtures")]
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                #[expect(clippy::print_stderr, reason = "a skipped test says why")]
                {
                    eprintln!("skipped: {}: {error}", path.display());
                }
                return None;
            }
        };
        let document = serde_norway::from_str(&text).unwrap();
        Some(Self { version: version.to_owned(), document })
    }

    /// The schema of a response.
    pub(crate) fn response(&self, method: &str, path: &str, status: u16) -> Option<&Value> {
        let responses = &self.document["paths"][path][method]["responses"];
        responses.get(status.to_string()).and_then(|response| response.get("schema"))
    }

    /// A definition by name.
    pub(crate) fn definition(&self, name: &str) -> &Value {
        &self.document["definitions"][name]
    }

    /// What is wrong with `value`, each with its place.
    pub(crate) fn check(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut failures = Vec::new();
        self.walk(schema, value, "", &mut failures);
        failures.retain(|failure| !ERRATA.iter().any(|(place, _)| failure.starts_with(place)));
        failures
    }

    /// The schema itself, behind references.
    pub(crate) fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        match schema["$ref"].as_str() {
            Some(reference) => {
                let name = reference.trim_start_matches("#/definitions/");
                self.resolve(self.definition(name))
            }
            None => schema,
        }
    }

    fn walk(&self, schema: &Value, value: &Value, at: &str, failures: &mut Vec<String>) {
        let nullable = schema["x-nullable"] == true || schema.get("$ref").is_some();
        let schema = self.resolve(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.walk(part, value, at, failures);
        }
        let kind = schema["type"].as_str().unwrap_or("any");
        // Go writes lists, maps and pointers that are not there as null, and so does Docker.
        if value.is_null()
            && (nullable
                || schema["x-nullable"] == true
                || matches!(kind, "array" | "object" | "any"))
        {
            return;
        }
        let fits = match kind {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => true,
        };
        if !fits {
            failures.push(format!("{at}: {value} is no {kind}"));
            return;
        }
        // "" is Go's zero value, which Docker writes for words that are not said.
        if let Some(words) = schema["enum"].as_array()
            && value.is_string()
            && value != ""
            && !words.contains(value)
        {
            failures.push(format!("{at}: {value} is none of {words:?}"));
        }
        self.walk_parts(schema, value, at, failures);
    }

    fn walk_parts(&self, schema: &Value, value: &Value, at: &str, failures: &mut Vec<String>) {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            self.walk(&schema["items"], item, &format!("{at}[{index}]"), failures);
        }
        let Some(members) = value.as_object() else { return };
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                failures.push(format!("{at}.{name} is missing"));
            }
        }
        let none = Value::Null;
        for (name, member) in members {
            let of_map = schema.get("additionalProperties").filter(|schema| schema.is_object());
            let schema = schema["properties"].get(name).or(of_map).unwrap_or(&none);
            self.walk(schema, member, &format!("{at}.{name}"), failures);
        }
    }
}

/// Names in `value` that look like Docker's fields and that no version knows: spelling mistakes.
pub(crate) fn unknown_names(specifications: &[Specification], value: &Value) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for specification in specifications {
        names(&specification.document["definitions"], &mut known);
        names(&specification.document["paths"], &mut known);
    }
    let mut unknown = BTreeSet::new();
    find_unknown(value, &known, &mut unknown);
    unknown
}

/// hull's own field, and Docker's that the definitions forgot.
const BEYOND: [&str; 12] = [
    "Hull",
    "status",
    "id",
    "from",
    "Container",
    "ContainerConfig",
    "Parent",
    "DockerVersion",
    "VirtualSize",
    "GoVersion",
    "LowerDir",
    "runc",
];

/// Maps whose keys are free.
const MAPS: [&str; 16] = [
    "Labels",
    "Annotations",
    "Sysctls",
    "Tmpfs",
    "ExposedPorts",
    "Volumes",
    "Ports",
    "Networks",
    "Attributes",
    "Options",
    "Data",
    "Details",
    "IndexConfigs",
    "Config",
    "Containers",
    "Runtimes",
];

fn names(schema: &Value, known: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                known.extend(properties.keys().cloned());
            }
            members.values().for_each(|member| names(member, known));
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, known)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn find_unknown(value: &Value, known: &BTreeSet<String>, unknown: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if !known.contains(name) && !BEYOND.contains(&name.as_str()) {
                    unknown.insert(name.clone());
                }
                let free = MAPS.contains(&name.as_str()) && is_map(name, member);
                if !free && name != "Hull" {
                    find_unknown(member, known, unknown);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| find_unknown(item, known, unknown)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `Config` is a map in a log's configuration and a list or struct elsewhere.
fn is_map(name: &str, member: &Value) -> bool {
    name != "Config" || (member.is_object() && member.get("Env").is_none())
}
