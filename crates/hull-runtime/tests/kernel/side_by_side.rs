//! The same bundle under hull and runc: what is inside must be the same.
//!
//! Not under crun, which adds things of its own, such as `/dev/core`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::Test;
use crate::bundle::{Bundle, Outcome};

pub(crate) const TESTS: &[Test] = &[("inside_it_looks_as_under_other_runtimes", same)];

/// What a program can see of its container, by heading. Not the signals it ignores: runc leaves
/// one of glibc's own ignored.
const SCRIPT: &str = "\
echo '## mounts'; grep -v '^[0-9]* [0-9]* [0-9:]* [^ ]* /sys/fs/cgroup' /proc/self/mountinfo | sort -k5
echo '## status'; grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|Umask|SigBlk)' /proc/self/status
echo '## limits'; cat /proc/self/limits
echo '## devices'; cd /dev && for f in *; do test -d $f || stat -c '%n %F %a %t:%T %u:%g %N' $f; done
echo '## streams'; ls /proc/self/fd
echo '## environment'; env | sort
echo '## names'; hostname; readlink /proc/self/cwd
echo '## masked'; for f in /proc/kcore /proc/keys /proc/timer_list; do wc -c <$f; done; ls /sys/firmware
echo '## protected'; echo x >/proc/sysrq-trigger; echo x >/proc/sys/kernel/hostname; mkdir /sys/x; true";

fn same() {
    let mut bundle = Bundle::new();
    bundle.process()["user"]["additionalGids"] = json!([5, 33]);
    bundle.process()["env"] = json!(["PATH=/bin", "A=1"]);
    bundle.linux()["cgroupsPath"] = json!(format!("/{}/side-by-side", crate::bundle::parent()));
    // What the others do not know yet.
    bundle.config["ociVersion"] = json!("1.0.2");
    let masked = bundle.linux()["maskedPaths"].as_array_mut().unwrap();
    masked.retain(|path| Path::new(path.as_str().unwrap()).exists());
    let ours = sections(&bundle.shell(&format!("({SCRIPT}) 2>&1")).run().ok());
    assert!(ours.len() >= 9, "{ours:?}");
    for name in ["runc"] {
        let Some(program) = find(name) else {
            println!("skipped: {name} is not installed");
            continue;
        };
        let done = run(&bundle, &program);
        if done.status != 0 {
            println!("skipped: {name} does not run here: {}", done.stderr.trim());
            continue;
        }
        let theirs = sections(&done.stdout);
        for (heading, lines) in &ours {
            assert_eq!(lines, &theirs[heading], "{heading} under {name} (right)");
        }
    }
}

/// The other runtime, where there is no cgroup v2 beside v1, which not every one knows.
fn run(bundle: &Bundle, program: &Path) -> Outcome {
    let script = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$0\" \"$@\"";
    let mut command = hull_sys::spawn::command("/usr/bin/unshare");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(bundle.dir.path());
    command.args(["--mount", "sh", "-c", script]).arg(program);
    let id = format!("hull-runtime-test-{}", std::process::id());
    command.arg("--root").arg(bundle.path("other")).args(["run", &id]);
    Outcome::of(&command.stdin(std::process::Stdio::null()).output().unwrap())
}

fn find(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(Path::new);
    folders.iter().map(|folder| folder.join(name)).find(|path| path.exists())
}

/// The lines below each heading, without what differs from start to start.
fn sections(output: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut heading = String::new();
    for line in output.lines() {
        match line.strip_prefix("## ") {
            Some(name) => name.clone_into(&mut heading),
            None if heading == "mounts" => {
                all.entry(heading.clone()).or_default().push(mount(line));
            }
            None => all.entry(heading.clone()).or_default().push(line.to_owned()),
        }
    }
    all
}

/// Place, options and type: numbers, peer groups and devices are of one moment.
fn mount(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let (left, right) = words.split_at(words.iter().position(|word| *word == "-").unwrap());
    // The cover of a hidden directory: hull's can do even less.
    let options = if right[1] == "tmpfs" && left[5].starts_with("ro,") { "ro" } else { left[5] };
    format!("{} {options} {}", left[4], right[1])
}
