//! What the runtime says of itself, and the configurations it proposes.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::Test;
use crate::bundle::Bundle;

pub(crate) const TESTS: &[Test] = &[
    ("documents_are_valid_by_the_specifications_schema", schema),
    ("the_proposed_configurations_run", proposed),
    ("version_and_help_are_there", help),
];

/// Checks `document` by the schema of the OCI runtime specification of that name.
fn validate(schema: &str, document: &Value) {
    let script = "
import json, pathlib, sys
try:
    import jsonschema
except ImportError:
    sys.exit(77)
base = pathlib.Path(sys.argv[1])
load = lambda name: json.loads((base / name).read_text())
store = {name.name: load(name.name) for name in base.iterdir()}
resolver = jsonschema.RefResolver(base.as_uri() + '/', load(sys.argv[2]), store={
    base.as_uri() + '/' + name: text for name, text in store.items()})
jsonschema.Draft4Validator(load(sys.argv[2]), resolver=resolver).validate(json.load(sys.stdin))
";
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schema");
    let mut python = hull_sys::spawn::command("/usr/bin/env");
    python.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    python.args(["python3", "-W", "ignore", "-c", script, folder, schema]);
    let mut child = python.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Without the module it reads nothing.
    child.stdin.take().unwrap().write_all(document.to_string().as_bytes()).unwrap_or_default();
    let done = child.wait_with_output().unwrap();
    if done.status.code() == Some(77) {
        println!("skipped: no python3-jsonschema");
        return;
    }
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn schema() {
    let mut bundle = Bundle::new();
    let features: Value = serde_json::from_str(&bundle.call(&["features"]).ok()).unwrap();
    validate("features-schema.json", &features);
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    bundle.config["annotations"] = json!({"a": "b"});
    bundle.shell("sleep 600");
    bundle.create(&[]).ok();
    validate("state-schema.json", &bundle.state());
}

fn proposed() {
    for flags in [&["spec"][..], &["spec", "--rootless"]] {
        let bundle = Bundle::new();
        fs::remove_file(bundle.path("config.json")).unwrap();
        bundle.call(flags).ok();
        bundle.call(flags).fails(1, "an existing config.json is kept");
        let text = fs::read_to_string(bundle.path("config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", "echo works; ls /dev/pts/ptmx /sys/class"]);
        fs::write(bundle.path("config.json"), config.to_string()).unwrap();
        assert!(bundle.call(&["run", "c"]).ok().starts_with("works\n"));
        assert_eq!(bundle.records_left(), 0);
    }
}

fn help() {
    let bundle = Bundle::new();
    let version = bundle.call(&["--version"]).ok();
    assert!(version.starts_with("hull-runtime version ") && version.contains("\nspec: 1."));
    let help = bundle.call(&["--help"]).ok();
    for command in ["create", "exec", "features", "--systemd-cgroup"] {
        assert!(help.contains(command), "{command}");
    }
    assert_eq!(bundle.call(&[]).ok(), help);
    assert!(bundle.call(&["run", "--help"]).ok().contains("--preserve-fds N"));
    bundle.call(&["run", "--nope", "c"]).fails(1, "flag provided but not defined: --nope");
}
