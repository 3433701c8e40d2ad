//! Hooks at all six points.

use std::fs;

use serde_json::{Value, json};

use crate::Test;
use crate::bundle::{Bundle, eventually};

pub(crate) const TESTS: &[Test] = &[
    ("hooks_run_in_order_and_are_told_the_state", order),
    ("a_hook_that_fails_or_hangs_ends_the_creation", failing),
    ("hooks_after_the_fact_end_nothing", after),
    ("a_hook_may_ask_for_the_state", asking),
];

const NAMES: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that appends its name and the state to a file that both sides see.
fn telling(name: &str, file: &str) -> Value {
    let script = format!("echo {name} $X $(cat) >> {file}");
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["X=1", "PATH=/bin:/usr/bin"]})
}

fn with_all_hooks(bundle: &mut Bundle) {
    let shared = bundle.path("shared");
    fs::create_dir(&shared).unwrap();
    let outside = format!("{}/told", shared.display());
    for name in NAMES {
        let file = if name == "startContainer" { "/shared/told" } else { outside.as_str() };
        bundle.config["hooks"][name] = json!([telling(name, file)]);
    }
    bundle.config["mounts"].as_array_mut().unwrap().push(
        json!({"destination": "/shared", "type": "bind", "source": shared, "options": ["rbind"]}),
    );
}

fn told(bundle: &Bundle) -> Vec<(String, Value)> {
    let text = fs::read_to_string(bundle.path("shared/told")).unwrap_or_default();
    let one = |line: &str| {
        let (name, rest) = line.split_once(" 1 ").expect(line);
        (name.to_owned(), serde_json::from_str(rest).expect(rest))
    };
    text.lines().map(one).collect()
}

fn order() {
    let mut bundle = Bundle::new();
    bundle.config["annotations"] = json!({"k": "v"});
    with_all_hooks(&mut bundle);
    bundle.shell("sleep 600");
    bundle.create(&[]).ok();
    let names =
        |bundle: &Bundle| told(bundle).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&bundle), NAMES[..3]);
    let pid = bundle.state()["pid"].clone();
    bundle.call(&["start", "c"]).ok();
    assert_eq!(names(&bundle), NAMES[..5]);
    bundle.call(&["delete", "--force", "c"]).ok();
    let all = told(&bundle);
    assert_eq!(names(&bundle), NAMES);
    let statuses: Vec<_> = all.iter().map(|(_, s)| s["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["creating", "creating", "creating", "created", "running", "stopped"]);
    for (name, state) in &all {
        assert_eq!(
            (&state["id"], &state["annotations"]["k"]),
            (&json!("c"), &json!("v")),
            "{name}"
        );
        assert_eq!(state["bundle"], all[0].1["bundle"]);
        if name != "poststop" {
            assert_eq!(state["pid"], pid, "{name}");
        }
    }
}

fn failing() {
    for name in ["prestart", "createRuntime", "createContainer"] {
        let mut bundle = Bundle::new();
        bundle.config["hooks"][name] =
            json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo why >&2; exit 3"]}]);
        bundle.create(&[]).fails(1, "why");
        bundle.assert_nothing_left();
        bundle.config["hooks"][name] =
            json!([{"path": "/bin/sleep", "args": ["sleep", "600"], "timeout": 1}]);
        bundle.create(&[]).fails(1, "not end in time");
        bundle.assert_nothing_left();
        bundle.config["hooks"][name] = json!([{"path": "bin/sh"}]);
        bundle.create(&[]).fails(1, "is not absolute");
        bundle.config["hooks"][name] = json!([{"path": "/bin/sh", "timeout": 0}]);
        bundle.create(&[]).fails(1, "timeout: 0 is not greater");
        bundle.assert_nothing_left();
    }
    let mut bundle = Bundle::new();
    bundle.config["hooks"]["startContainer"] = json!([{"path": "/bin/false"}]);
    bundle.create(&[]).ok();
    bundle.call(&["start", "c"]).fails(1, "/bin/false");
    eventually("its end", || bundle.status() == "stopped");
}

fn after() {
    let mut bundle = Bundle::new();
    for name in ["poststart", "poststop"] {
        bundle.config["hooks"][name] = json!([{"path": "/bin/false"}, {"path": "/bin/touch",
            "args": ["touch", bundle.path(name)]}]);
    }
    let done = bundle.shell("exit 3").run();
    assert_eq!(done.status, 3);
    assert!(done.stderr.contains("level=warning") && done.stderr.contains("poststart"), "{done:?}");
    assert!(bundle.path("poststart").exists() && bundle.path("poststop").exists());
    bundle.assert_nothing_left();
}

fn asking() {
    let mut bundle = Bundle::new();
    let exe = std::env::current_exe().unwrap();
    let script = format!(
        "{} runtime --root {} state c > {}",
        exe.display(),
        bundle.root().display(),
        bundle.path("asked").display()
    );
    bundle.config["hooks"]["createRuntime"] =
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 20}]);
    bundle.create(&[]).ok();
    let asked = fs::read_to_string(bundle.path("asked")).unwrap();
    assert!(asked.contains("\"status\": \"creating\""), "{asked}");
}
