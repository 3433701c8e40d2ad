//! Every field of the definitions of a create is shown again, harmless, or refused by name.

use hull_api::container::create;
use hull_api::version::ApiVersion;
use serde_json::{Map, Value, json};

use crate::fixture::{CREATE, context, inspected, record};
use crate::schema::Specification;

#[test]
fn all_that_was_sent_is_shown_again() {
    let sent: Value = serde_json::from_str(CREATE).unwrap();
    let shown = inspected(&record(CREATE), ApiVersion::MAX);
    for (field, value) in sent.as_object().unwrap() {
        if !matches!(field.as_str(), "HostConfig" | "NetworkingConfig") {
            assert_eq!(&shown["Config"][field], value, "Config.{field}");
        }
    }
    for (field, value) in sent["HostConfig"].as_object().unwrap() {
        let shown = &shown["HostConfig"][field];
        assert_eq!(shown, value, "HostConfig.{field}");
    }
    // One limit was sent in one way, and is not shown in the other as well.
    assert_eq!(shown["HostConfig"]["CpuQuota"], 0);
    assert_eq!(shown["HostConfig"]["CpuPeriod"], 0);
}

#[test]
fn what_was_not_sent_has_dockers_defaults() {
    let shown = inspected(&record(r#"{"Image":"debian"}"#), ApiVersion::MAX);
    let host = &shown["HostConfig"];
    for (field, value) in [
        ("NetworkMode", json!("bridge")),
        ("IpcMode", json!("private")),
        ("CgroupnsMode", json!("private")),
        ("ShmSize", json!(64 << 20)),
        ("RestartPolicy", json!({"Name": "no", "MaximumRetryCount": 0})),
        ("LogConfig", json!({"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}})),
        ("Runtime", json!("hull")),
        ("Binds", Value::Null),
        ("MemorySwappiness", Value::Null),
        ("PidsLimit", Value::Null),
        ("OomKillDisable", json!(false)),
        ("CapAdd", Value::Null),
        ("PortBindings", json!({})),
        ("ConsoleSize", json!([0, 0])),
    ] {
        assert_eq!(host[field], value, "{field}");
    }
    assert_eq!(shown["Config"]["Hostname"], "a70707070707");
}

/// Values that mean something, for fields where any value of the type would not.
fn meaningful(field: &str) -> Option<Value> {
    Some(match field {
        "NetworkMode" | "PidMode" | "IpcMode" => json!("container:x"),
        "UTSMode" | "UsernsMode" | "CgroupnsMode" => json!("host"),
        "Runtime" => json!("other"),
        "Isolation" => json!("hyperv"),
        "RestartPolicy" => json!({"Name": "always"}),
        "LogConfig" => json!({"Type": "none"}),
        "Binds" => json!(["/a:/b"]),
        "Mounts" => json!([{"Type": "tmpfs", "Target": "/x"}]),
        "Tmpfs" => json!({"/x": "ro"}),
        "Volumes" => json!({"/x": {}}),
        "ExposedPorts" => json!({"80/tcp": {}}),
        "PortBindings" => json!({"80/tcp": [{"HostPort": "80"}]}),
        "Sysctls" => json!({"net.x": "1"}),
        "CapAdd" | "CapDrop" => json!(["CAP_KILL"]),
        "SecurityOpt" => json!(["no-new-privileges"]),
        "Devices" => {
            json!([{"PathOnHost": "/dev/x", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}])
        }
        "DeviceRequests" => json!([{
            "Driver": "", "Count": -1, "DeviceIDs": null, "Capabilities": [["gpu"]], "Options": {},
        }]),
        "Ulimits" => json!([{"Name": "core", "Soft": 1, "Hard": 1}]),
        "MaskedPaths" | "ReadonlyPaths" => json!(["/x"]),
        "Dns" => json!(["1.1.1.1"]),
        "ExtraHosts" => json!(["a:1.1.1.1"]),
        "ConsoleSize" => json!([5, 6]),
        "WorkingDir" => json!("/x"),
        "StopSignal" => json!("SIGINT"),
        "CpusetCpus" | "CpusetMems" => json!("1"),
        "Memory" => json!(1 << 30),
        "CpuQuota" | "CpuPeriod" => json!(50_000),
        "NanoCpus" => json!(1_000_000_000),
        "BlkioWeightDevice" => json!([{"Path": "/dev/x", "Weight": 5}]),
        "Healthcheck" => json!({"Test": ["CMD", "true"]}),
        "MemorySwap" => json!(-1),
        _ if field.starts_with("BlkioDevice") => json!([{"Path": "/dev/x", "Rate": 5}]),
        _ => return None,
    })
}

fn any_value(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("integer") => json!(7),
        Some("boolean") => json!(true),
        Some("array") => json!(["x"]),
        Some("object") => json!({"x": "y"}),
        _ => json!("x"),
    }
}

fn properties<'s>(
    specification: &'s Specification,
    schema: &'s Value,
    all: &mut Map<String, Value>,
) {
    let schema = specification.resolve(schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        properties(specification, part, all);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        all.insert(name.clone(), specification.resolve(property).clone());
    }
}

/// Fields that have no effect on Linux, in Docker as in hull.
const HARMLESS: [&str; 1] = ["ArgsEscaped"];

#[test]
fn no_field_of_any_version_is_dropped() {
    let Some(specifications) = Specification::all() else { return };
    let mut dropped = Vec::new();
    for specification in specifications {
        for (place, definition) in [("HostConfig", "HostConfig"), ("Config", "ContainerConfig")] {
            let mut all = Map::new();
            properties(specification, specification.definition(definition), &mut all);
            for (field, schema) in &all {
                let value = meaningful(field).unwrap_or_else(|| any_value(schema));
                if !HARMLESS.contains(&field.as_str()) && !is_kept(place, field, &value) {
                    dropped.push(format!("{} {place}.{field}={value}", specification.version));
                }
            }
        }
    }
    assert!(dropped.is_empty(), "\n{}", dropped.join("\n"));
}

/// Whether a create with this field is refused by name, warns that it is dropped, or shows it again.
fn is_kept(place: &str, field: &str, value: &Value) -> bool {
    let mut body = json!({"Image": "debian"});
    match place {
        "HostConfig" => body["HostConfig"] = json!({ field: value }),
        _ => body[field] = value.clone(),
    }
    let body = body.to_string();
    match create::read(body.as_bytes(), &context()) {
        Err(_refused) => return true,
        Ok(created) if created.warnings.iter().any(|text| text.contains("discarded")) => {
            return true;
        }
        Ok(_) => {}
    }
    let shown = &inspected(&record(&body), ApiVersion::MAX)[place][field];
    match (shown, value) {
        (Value::Object(shown), Value::Object(sent)) => {
            sent.iter().all(|(k, v)| shown.get(k) == Some(v))
        }
        _ => shown == value || (field == "NetworkDisabled" && *shown == Value::Null),
    }
}

#[test]
fn a_wrong_type_in_each_field_is_refused_by_name() {
    let Some(specifications) = Specification::all() else { return };
    let Some(newest) = specifications.last() else { return };
    let mut all = Map::new();
    properties(newest, newest.definition("HostConfig"), &mut all);
    for (field, schema) in &all {
        let wrong = if schema["type"] == "boolean" { json!("x") } else { json!(true) };
        let body = json!({"Image": "debian", "HostConfig": { field: wrong }}).to_string();
        let message = create::read(body.as_bytes(), &context()).unwrap_err().message;
        let place = format!("Go struct field CreateRequest.HostConfig.{field} of type");
        assert!(message.contains(&place), "{field}: {message}");
    }
}
