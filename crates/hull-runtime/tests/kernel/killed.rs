//! The runtime killed at any moment: what there is can be deleted, and then nothing is left.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use crate::Test;
use crate::bundle::Bundle;

pub(crate) const TESTS: &[Test] = &[
    ("killed_while_creating_nothing_stays_after_delete", creating),
    ("two_creations_of_one_name_give_one_container", two),
    ("fifty_runs_leave_nothing", fifty),
];

fn creating() {
    let mut bundle = Bundle::new();
    bundle.shell("sleep 600").write();
    for step in 0..40 {
        let words: &[&str] = if step % 2 == 0 { &["create", "c"] } else { &["run", "c"] };
        let mut command = bundle.command(words);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(400 * step));
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever it is, it can be asked for and taken away.
        bundle.call(&["list"]).ok();
        bundle.call(&["delete", "--force", "c"]).ok();
        bundle.assert_nothing_left();
    }
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut roots = processes.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok());
    assert!(!roots.any(|path| path.starts_with(bundle.dir.path())));
}

fn two() {
    let mut bundle = Bundle::new();
    bundle.shell("sleep 600").write();
    let start = || {
        let mut command = bundle.command(&["create", "c"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut both = [start(), start()];
    let ended = both.iter_mut().map(|child| child.wait().unwrap().success());
    assert_eq!(ended.filter(|good| *good).count(), 1);
    assert_eq!(bundle.status(), "created");
    bundle.call(&["delete", "c"]).ok();
    bundle.assert_nothing_left();
}

fn fifty() {
    let mut bundle = Bundle::new();
    bundle.shell("exit 0");
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    for _ in 0..50 {
        bundle.run().ok();
    }
    bundle.assert_nothing_left();
    assert!(!mounts().contains(bundle.dir.path().to_str().unwrap()));
}
