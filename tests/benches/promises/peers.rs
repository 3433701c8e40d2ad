//! The peers, each with the same busybox and no more than it needs.

use std::fs;
use std::path::{Path, PathBuf};

use hull_tests::need::find;
use hull_tests::{Tool, images};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clock::median_without_v2;

/// How many times a peer is measured.
const COUNT: usize = 30;

/// A bundle of the OCI runtime specification, and LXC's equal, on disk.
pub(crate) struct Bundle {
    dir: TempDir,
}

impl Bundle {
    /// Unpacks busybox.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("hb").tempdir_in("/tmp").unwrap();
        let rootfs = dir.path().join("rootfs");
        fs::create_dir(&rootfs).unwrap();
        let archive = format!("-x -O -f {} 0/layer.tar", images::busybox().display());
        let unpack = format!("tar {archive} | tar -x -C {}", rootfs.display());
        Tool::new("sh", "-c").arg(unpack).ok();
        let lxc = format!(
            "lxc.uts.name = bench\nlxc.rootfs.path = dir:{}\nlxc.net.0.type = empty\n\
             lxc.mount.auto = proc:mixed sys:ro\nlxc.tty.max = 0\nlxc.pty.max = 8\n",
            rootfs.display()
        );
        fs::write(dir.path().join("lxc.conf"), lxc).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Writes `config.json` as the runtime itself proposes it, with our command.
    fn configure(&self, runtime: &Path, command: &[&str]) {
        let config = self.dir.path().join("config.json");
        fs::remove_file(&config).unwrap_or_default();
        Tool::new(runtime, "spec").directory(self.dir.path()).ok();
        let mut spec: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(command);
        fs::write(config, spec.to_string()).unwrap();
    }

    /// `run` of `true` by every OCI runtime and LXC that is installed.
    pub(crate) fn runs(&self) -> Vec<(String, f64)> {
        let mut seen = Vec::new();
        for (name, runtime) in runtimes() {
            self.configure(&runtime, &["true"]);
            let (root, bundle) = (self.path("state"), self.path(""));
            let id = format!("hb-{name}-{}", std::process::id());
            let words = ["--root", &root, "run", "--bundle", &bundle, &id];
            let command: Vec<_> = std::iter::once(runtime.to_str().unwrap()).chain(words).collect();
            seen.extend(median_without_v2(COUNT, &command).map(|time| (name.to_owned(), time)));
        }
        if find("lxc-start").is_some() {
            let name = format!("hb{}", std::process::id());
            let (config, lib) = (self.path("lxc.conf"), self.path("lxc"));
            let words =
                ["lxc-start", "-F", "-n", &name, "-f", &config, "-P", &lib, "--", "/bin/true"];
            fs::create_dir_all(&lib).unwrap();
            seen.extend(median_without_v2(COUNT, &words).map(|time| ("lxc".to_owned(), time)));
        }
        seen
    }

    /// `run` of `true` by hull's own runtime and by every other that is installed, all with the same
    /// `config.json`.
    pub(crate) fn same_config(&self) -> Vec<(String, f64)> {
        let Some(proposer) = find("runc").or_else(|| find("crun")) else { return Vec::new() };
        self.configure(&proposer, &["true"]);
        let hull = hull_tests::program::hull().display().to_string();
        let mut all = vec![("hull", vec![hull, "runtime".to_owned()])];
        all.extend(
            runtimes().into_iter().map(|(name, path)| (name, vec![path.display().to_string()])),
        );
        let mut seen = Vec::new();
        for (name, program) in all {
            let (root, bundle) = (self.path("state"), self.path(""));
            let id = format!("hc-{name}-{}", std::process::id());
            let words = ["--root", &root, "run", "--bundle", &bundle, &id].map(str::to_owned);
            let words = [program, words.to_vec()].concat();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            seen.extend(median_without_v2(COUNT, &words).map(|time| (name.to_owned(), time)));
        }
        seen
    }

    /// `exec` of `true` by every OCI runtime that is installed.
    pub(crate) fn execs(&self) -> Vec<(String, f64)> {
        let mut seen = Vec::new();
        for (name, runtime) in runtimes() {
            self.configure(&runtime, &["sleep", "600"]);
            let (root, bundle) = (self.path("state"), self.path(""));
            let id = format!("hx-{name}-{}", std::process::id());
            let script = format!(
                "umount /sys/fs/cgroup/unified 2>/dev/null; exec {} --root {root} run --detach \
                 --bundle {bundle} {id} >/dev/null 2>&1 </dev/null",
                runtime.display()
            );
            let started = Tool::new("unshare", "--mount sh -c").arg(script).run();
            if started.status != 0 {
                eprintln!("left out: exec of {name}: {}", started.stderr.trim());
                continue;
            }
            let words = [runtime.to_str().unwrap(), "--root", &root, "exec", &id, "true"];
            seen.extend(median_without_v2(COUNT, &words).map(|time| (name.to_owned(), time)));
            let delete = format!(
                "umount /sys/fs/cgroup/unified 2>/dev/null; exec {} --root {root} delete --force {id}",
                runtime.display()
            );
            Tool::new("unshare", "--mount sh -c").arg(delete).ok();
        }
        seen
    }
}

fn runtimes() -> Vec<(&'static str, PathBuf)> {
    ["crun", "runc"].into_iter().filter_map(|name| Some((name, find(name)?))).collect()
}

/// Engines beside us that have a daemon or image store of their own: used if they are there and
/// answer. `docker` means dockerd, not the client with our socket.
pub(crate) fn engines(words: &str) -> Vec<(String, f64)> {
    let mut seen = Vec::new();
    let mut engines = Vec::new();
    if find("podman").is_some() {
        engines.push(("podman", "podman"));
    }
    if Path::new("/run/docker.sock").exists() {
        engines.push(("docker", "docker --host unix:///run/docker.sock"));
    }
    for (name, program) in engines {
        let load =
            Tool::new("sh", "-c").arg(format!("{program} load -i {}", images::busybox().display()));
        if load.run().status != 0 {
            eprintln!("left out: {name} does not load an image");
            continue;
        }
        let command: Vec<&str> = program.split(' ').chain(words.split(' ')).collect();
        let (first, rest) = command.split_first().unwrap();
        let times = crate::clock::times(10, std::process::Command::new(first).args(rest));
        seen.push((name.to_owned(), crate::clock::median(times)));
    }
    seen
}
