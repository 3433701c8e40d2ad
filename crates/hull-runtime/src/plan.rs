//! A configuration made into what [`hull_container`] carries out. Pure: what it depends on of the
//! host is passed in, and every rule is a row of a table in the tests.

mod devices;
mod files;
mod limits;
mod mounts;
mod namespaces;
mod process;
mod security;

pub(crate) use limits::{device_rules, limits};
pub(crate) use mounts::words as mount_options;
pub(crate) use process::process;
pub(crate) use security::capabilities;

use std::path::{Component, Path, PathBuf};

use hull_container::host::HostFacts;
use hull_container::plan::{ExecPlan, Hooks, LaunchPlan, Rdt, State};

use crate::config::{Config, Hook, IntelRdt};
use crate::failure::Failure;
use crate::state::Id;

/// What a plan depends on beside the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) id: &'a Id,
    /// Absolute.
    pub(crate) bundle: &'a Path,
    pub(crate) host: &'a HostFacts,
    /// Where the container is accounted.
    pub(crate) cgroup: &'a hull_container::cgroup::Cgroup,
    /// Descriptors passed on.
    pub(crate) preserved: u32,
    /// No session keyring of its own.
    pub(crate) keep_keyring: bool,
}

/// The launch of a bundle's container, and what of the configuration does not count, to be told.
pub(crate) fn launch(
    config: &Config,
    cx: &Context<'_>,
) -> Result<(LaunchPlan, Vec<String>), Failure> {
    refuse_unsupported(config)?;
    let mut warnings = Vec::new();
    let linux = config.linux.as_ref().ok_or_else(|| Failure::new("linux: missing"))?;
    let namespaces = namespaces::namespaces(linux)?;
    let wanted = config.process.as_ref().ok_or_else(|| Failure::new("process: missing"))?;
    let mut process = process::process(wanted, linux, cx, &mut warnings)?;
    process.preserved = cx.preserved;
    let files = files::files(config, linux, &namespaces, cx)?;
    let plan = LaunchPlan {
        id: cx.id.to_string(),
        cgroup: cx.cgroup.clone(),
        root: files.root,
        mounts: files.mounts,
        devices: files.devices,
        links: files.links,
        masked: linux.masked_paths.clone().unwrap_or_default(),
        read_only: linux.readonly_paths.clone().unwrap_or_default(),
        sysctls: security::sysctls(linux, &namespaces)?,
        hostname: namespaces::name(config.hostname.as_deref(), "hostname", &namespaces)?,
        domainname: namespaces::name(config.domainname.as_deref(), "domainname", &namespaces)?,
        oom_score_adj: wanted.oom_score_adj,
        mount_label: linux.mount_label.clone().filter(|label| !label.is_empty()),
        rdt: linux.intel_rdt.as_ref().map(self::rdt).transpose()?,
        hooks: hooks(config),
        state: state(config, cx.bundle),
        namespaces,
        process,
        ..LaunchPlan::default()
    };
    Ok((plan, warnings))
}

/// A further process in the container of `config`; what runs is `process`.
pub(crate) fn exec(
    config: &Config,
    process: hull_container::plan::Process,
    oom_score_adj: Option<i16>,
    cx: &Context<'_>,
) -> Result<ExecPlan, Failure> {
    let linux = config.linux.as_ref().ok_or_else(|| Failure::new("linux: missing"))?;
    Ok(ExecPlan {
        id: cx.id.to_string(),
        cgroup: cx.cgroup.clone(),
        namespaces: namespaces::namespaces(linux)?,
        oom_score_adj,
        state: state(config, cx.bundle),
        process,
    })
}

/// What no kernel or no part of hull can do is refused by its name rather than left out.
fn refuse_unsupported(config: &Config) -> Result<(), Failure> {
    let linux = config.linux.as_ref();
    let net_devices = linux.and_then(|linux| linux.net_devices.as_ref());
    if net_devices.is_some_and(|devices| !devices.is_empty()) {
        return Err(Failure::new(
            "linux.netDevices: not supported; hint: move the device into the network namespace \
             and give that namespace's path",
        ));
    }
    if config.vm.is_some() {
        return Err(Failure::new("vm: not supported: this runtime makes containers"));
    }
    Ok(())
}

fn state(config: &Config, bundle: &Path) -> State {
    let annotations = config.annotations.clone().unwrap_or_default();
    State {
        version: config.oci_version.clone(),
        bundle: bundle.to_owned(),
        annotations: annotations.into_iter().collect(),
    }
}

fn hooks(config: &Config) -> Hooks {
    let Some(hooks) = &config.hooks else { return Hooks::default() };
    let some = |hooks: &Option<Vec<Hook>>| hooks.as_ref().is_some_and(|hooks| !hooks.is_empty());
    let inside = |hooks: &Option<Vec<Hook>>| hooks.iter().flatten().map(hook).collect();
    Hooks {
        before_entering: some(&hooks.prestart) || some(&hooks.create_runtime),
        create_container: inside(&hooks.create_container),
        start_container: inside(&hooks.start_container),
    }
}

/// One hook as the container's maker wants it.
pub(crate) fn hook(hook: &Hook) -> hull_container::plan::Hook {
    let seconds = hook.timeout.and_then(|seconds| u64::try_from(seconds).ok());
    hull_container::plan::Hook {
        path: PathBuf::from(&hook.path),
        args: hook.args.clone().unwrap_or_default(),
        env: hook.env.clone().unwrap_or_default(),
        timeout: seconds.filter(|seconds| *seconds > 0).map(std::time::Duration::from_secs),
    }
}

/// Checks all hooks: a bad one is found before anything is made.
pub(crate) fn check_hooks(config: &Config) -> Result<(), Failure> {
    let Some(hooks) = &config.hooks else { return Ok(()) };
    let all = [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ];
    for (name, hooks) in all {
        for (at, hook) in hooks.iter().flatten().enumerate() {
            if !hook.path.starts_with('/') {
                let path = &hook.path;
                return Err(Failure::new(format!(
                    "hooks.{name}[{at}].path: {path:?} is not absolute"
                )));
            }
            if let Some(timeout) = hook.timeout.filter(|timeout| *timeout <= 0) {
                return Err(Failure::new(format!(
                    "hooks.{name}[{at}].timeout: {timeout} is not greater than zero"
                )));
            }
        }
    }
    Ok(())
}

fn rdt(rdt: &IntelRdt) -> Result<Rdt, Failure> {
    // Without a name the class is called as the container.
    let class = rdt.clos_id.clone().unwrap_or_default();
    if !matches!(class.as_str(), "" | "/") && one_component(&class) != Some(true) {
        return Err(Failure::new(format!("linux.intelRdt.closID: {class:?} is no plain name")));
    }
    let lines = [&rdt.l3_cache_schema, &rdt.mem_bw_schema].into_iter().flatten();
    let mut schemata: Vec<String> = lines.filter(|line| !line.is_empty()).cloned().collect();
    schemata.extend(rdt.schemata.iter().flatten().cloned());
    let monitoring = rdt.enable_monitoring || rdt.enable_cmt || rdt.enable_mbm;
    Ok(Rdt { class, schemata, monitoring })
}

/// Whether `name` is one part of a path and nothing else.
fn one_component(name: &str) -> Option<bool> {
    let mut parts = Path::new(name).components();
    let first = parts.next()?;
    Some(matches!(first, Component::Normal(_)) && parts.next().is_none() && !name.contains('/'))
}

/// The cgroup's path below each mount, without the leading slash.
///
/// Relative paths, and the default, count from the root of the hierarchy.
pub(crate) fn cgroup_path(wanted: Option<&str>, id: &Id) -> Result<PathBuf, Failure> {
    let Some(wanted) = wanted.filter(|path| !path.is_empty()) else {
        return Ok(Path::new("hull-runtime").join(id.as_str()));
    };
    let mut path = PathBuf::new();
    for part in Path::new(wanted).components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(part) => path.push(part),
            Component::ParentDir | Component::Prefix(_) => {
                return Err(Failure::new(format!(
                    "linux.cgroupsPath: {wanted:?} has \"..\", which could leave the hierarchy"
                )));
            }
        }
    }
    if path.as_os_str().is_empty() {
        return Err(Failure::new(format!(
            "linux.cgroupsPath: {wanted:?} is the root of the hierarchy, which cannot be limited \
             or removed"
        )));
    }
    Ok(path)
}
