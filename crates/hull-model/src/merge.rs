//! What an image says, filled in where the user said nothing.
//!
//! Docker's rules (moby `daemon/commit.go`, `merge`): a value of the user wins; environment and
//! labels are united key by key; an entrypoint of the user discards the image's command.

use crate::guest::GuestSpec;
use crate::health;
use crate::image::{Nothing, RunConfig};
use crate::mount::{BadTarget, Mount, Origin, Source, Target};
use crate::process::Process;
use crate::signal::BadSignal;

/// Why an image's configuration cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MergeError {
    /// Neither the user nor the image says what to run.
    #[error("no command specified")]
    NoCommand,
    /// Of the image.
    #[error("the image's stop signal")]
    StopSignal(#[source] BadSignal),
    /// Of the image.
    #[error("the image's volume {path:?}")]
    Volume {
        /// As the image writes it.
        path: String,
        /// What is wrong with it.
        source: BadTarget,
    },
}

/// `PATH` of a guest that sets none (moby `oci/defaults.go`).
pub const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `spec` as it will run on an image that says `image`.
pub fn merge(mut spec: GuestSpec, image: &RunConfig) -> Result<GuestSpec, MergeError> {
    spec.process = merge_process(spec.process, image)?;
    for (key, value) in &image.labels {
        spec.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if spec.stop_signal.is_none() && !image.stop_signal.is_empty() {
        spec.stop_signal = Some(image.stop_signal.parse().map_err(MergeError::StopSignal)?);
    }
    let declared = image.exposed_ports.keys();
    let new: Vec<_> = declared.filter(|port| !spec.exposed_ports.contains(port)).cloned().collect();
    spec.exposed_ports.extend(new);
    spec.healthcheck = health::merge(spec.healthcheck, image.healthcheck.as_ref());
    if spec.shell.is_empty() {
        spec.shell = image.shell.clone().unwrap_or_default();
    }
    for path in image.volumes.keys() {
        let target = Target::new(path)
            .map_err(|source| MergeError::Volume { path: path.clone(), source })?;
        if !spec.mounts.iter().any(|mount| mount.target == target) {
            let source = Source::Volume { name: None, copy: true };
            spec.mounts.push(Mount { target, source, read_only: false, origin: Origin::Volumes });
        }
    }
    Ok(spec)
}

fn merge_process(mut process: Process, image: &RunConfig) -> Result<Process, MergeError> {
    // Docker's CLI sends `--entrypoint ""` as [""], which means "none, not even the image's".
    let cleared = process.entrypoint.as_deref() == Some(&[String::new()]);
    if cleared {
        process.entrypoint = None;
    } else if process.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if process.cmd.as_ref().is_none_or(Vec::is_empty) {
            process.cmd.clone_from(&image.cmd);
        }
        process.entrypoint.clone_from(&image.entrypoint);
    }
    if process.args().is_empty() {
        return Err(MergeError::NoCommand);
    }
    process.env = merge_env(&image.env, &process.env);
    if !process.env.iter().any(|pair| pair.starts_with("PATH=")) {
        process.env.insert(0, DEFAULT_PATH.to_owned());
    }
    if process.user.is_empty() {
        process.user.clone_from(&image.user);
    }
    if process.cwd.is_none() && !image.working_dir.is_empty() {
        process.cwd = Some(image.working_dir.clone());
    }
    Ok(process)
}

/// What a guest is, as the configuration of an image made of it; `image` is what it was made of.
pub fn run_config(spec: &GuestSpec, image: Option<&RunConfig>) -> RunConfig {
    let declared = spec.mounts.iter().filter(|mount| mount.origin == Origin::Volumes);
    RunConfig {
        user: spec.process.user.clone(),
        exposed_ports: spec.exposed_ports.iter().map(|port| (port.clone(), Nothing {})).collect(),
        env: spec.process.env.clone(),
        entrypoint: spec.process.entrypoint.clone(),
        cmd: spec.process.cmd.clone(),
        volumes: declared.map(|mount| (mount.target.as_str().to_owned(), Nothing {})).collect(),
        working_dir: spec.process.cwd.clone().unwrap_or_default(),
        labels: spec.labels.clone(),
        stop_signal: spec.stop_signal.map(|signal| signal.to_string()).unwrap_or_default(),
        healthcheck: spec.healthcheck.clone(),
        on_build: None,
        shell: image.and_then(|image| image.shell.clone()),
    }
}

/// `above` with what only `below` says: an image's configuration on top of another (moby
/// `daemon/commit.go`, `merge`).
pub fn merge_configs(mut above: RunConfig, below: &RunConfig) -> RunConfig {
    fn fill<T: Clone>(above: &mut Option<T>, below: Option<&T>) {
        if above.is_none() {
            *above = below.cloned();
        }
    }
    let text = |above: &mut String, below: &String| {
        if above.is_empty() {
            above.clone_from(below);
        }
    };
    text(&mut above.user, &below.user);
    text(&mut above.working_dir, &below.working_dir);
    text(&mut above.stop_signal, &below.stop_signal);
    above.exposed_ports.extend(below.exposed_ports.clone());
    above.volumes.extend(below.volumes.clone());
    for (key, value) in &below.labels {
        above.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    above.env = merge_env(&below.env, &above.env);
    if above.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if above.cmd.as_ref().is_none_or(Vec::is_empty) {
            above.cmd.clone_from(&below.cmd);
        }
        fill(&mut above.entrypoint, below.entrypoint.as_ref());
    }
    fill(&mut above.healthcheck, below.healthcheck.as_ref());
    fill(&mut above.shell, below.shell.as_ref());
    above
}

/// `below` with the pairs of `above` in place of, or after, its own. A pair of `above` without `=`
/// takes the variable away, as Docker's `-e NAME` for an unset NAME does.
pub fn merge_env(below: &[String], above: &[String]) -> Vec<String> {
    let key = |pair: &str| pair.split_once('=').map_or(pair, |(key, _)| key).to_owned();
    let mut env: Vec<String> = below.to_vec();
    for pair in above {
        let place = env.iter().position(|known| key(known) == key(pair));
        match (place, pair.contains('=')) {
            (Some(index), true) => env[index].clone_from(pair),
            (Some(index), false) => {
                env.remove(index);
            }
            (None, true) => env.push(pair.clone()),
            (None, false) => {}
        }
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_configuration_is_filled_in_by_the_one_below() {
        let below = RunConfig {
            user: "web".into(),
            env: vec!["A=1".into(), "B=2".into()],
            cmd: words("sh"),
            labels: [("x".to_owned(), "below".to_owned())].into(),
            ..RunConfig::default()
        };
        let above = RunConfig {
            env: vec!["B=3".into()],
            labels: [("x".to_owned(), "above".to_owned())].into(),
            ..RunConfig::default()
        };
        let merged = merge_configs(above, &below);
        assert_eq!((merged.user.as_str(), merged.cmd), ("web", words("sh")));
        assert_eq!(merged.env, ["A=1", "B=3"]);
        assert_eq!(merged.labels["x"], "above");
        let entrypoint = RunConfig { entrypoint: words("run"), ..RunConfig::default() };
        assert_eq!(merge_configs(entrypoint, &below).cmd, None);
    }

    fn words(text: &str) -> Option<Vec<String>> {
        Some(text.split_whitespace().map(str::to_owned).collect())
    }

    fn args(user: Process) -> String {
        let image =
            RunConfig { entrypoint: words("ep"), cmd: words("a b"), ..RunConfig::default() };
        match merge_process(user, &image) {
            Ok(process) => process.args().join(" "),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn commands_and_entrypoints_combine_as_in_docker() {
        let process = |entrypoint, cmd| Process { entrypoint, cmd, ..Process::default() };
        assert_eq!(args(process(None, None)), "ep a b");
        assert_eq!(args(process(None, words("x"))), "ep x");
        assert_eq!(args(process(words("mine"), None)), "mine");
        assert_eq!(args(process(words("mine"), words("x"))), "mine x");
        let cleared = Some(vec![String::new()]);
        assert_eq!(args(process(cleared.clone(), words("x"))), "x");
        assert_eq!(args(process(cleared, None)), "no command specified");
    }

    #[test]
    fn environments_are_united_key_by_key() {
        let pairs = |text: &str| words(text).unwrap();
        let env = merge_env(&pairs("PATH=/bin A=1 B=2"), &pairs("A=3 C=4 B"));
        assert_eq!(env, pairs("PATH=/bin A=3 C=4"));
    }

    #[test]
    fn volumes_of_the_image_yield_to_mounts_of_the_user() {
        let nothing = crate::image::Nothing {};
        let image = RunConfig {
            cmd: words("sh"),
            volumes: [("/data".to_owned(), nothing), ("/logs/".to_owned(), nothing)].into(),
            ..RunConfig::default()
        };
        let mine = Mount {
            target: Target::new("/data").unwrap(),
            source: Source::Tmpfs { size: None, mode: None, options: Vec::new() },
            read_only: false,
            origin: Origin::Tmpfs,
        };
        let spec = merge(GuestSpec { mounts: vec![mine.clone()], ..GuestSpec::default() }, &image);
        let mounts = spec.unwrap().mounts;
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0], mine);
        assert_eq!(mounts[1].target.as_str(), "/logs");
    }
}
