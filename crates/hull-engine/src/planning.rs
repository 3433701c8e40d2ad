//! From a guest's record to the plan of its launch: paths found, files written, devices looked at.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hull_container::host::{GrantedDevice, all_devices, devices, disks};
use hull_container::plan::{self, LaunchContext, LaunchPlan, Rootfs};
use hull_model::guest::GuestSpec;
use hull_model::name::Name;
use hull_model::namespace::{Network, Partner};
use hull_model::security::{DeviceRequest, Seccomp};

use crate::cdi;
use crate::config::Config;
use crate::engine::Inner;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::partners::Partners;
use crate::record::{GuestRecord, MountPoint};
use crate::records::of_store;

/// The files that a guest and its host keep together: name in its directory, path inside.
pub(crate) const SHARED_FILES: [(&str, &str); 3] =
    [("hosts", "/etc/hosts"), ("hostname", "/etc/hostname"), ("resolv.conf", "/etc/resolv.conf")];

/// The plan for starting the guest of `record` now. Writes its files. Blocks.
pub(crate) fn launch(
    engine: &Inner,
    record: &GuestRecord,
    partners: &Partners,
) -> Result<LaunchPlan> {
    let spec = &record.spec;
    let image = engine.store.images.get(&record.image).ok_or_else(|| {
        Error::new(
            Kind::Missing,
            format!("No such image: {} (it was removed by force)", record.image),
        )
    })?;
    let own = engine
        .store
        .writables
        .create(&record.id.to_string())
        .map_err(of_store("make the guest's files"))?;
    write_files(engine, record, partners)?;
    let files = file_mounts(engine, record, partners);
    let volumes = volumes_of(record);
    if spec.security.writable_cgroups && engine.host.cgroup_version() == "1" {
        // There a guest with the host's root could name a program that the host then runs.
        let why = "not supported by this kernel: writable-cgroups=true needs cgroup v2";
        return Err(invalid(why.to_owned()));
    }
    let mut resolved = with_defaults(spec, &engine.config);
    name_volumes(&mut resolved, record);
    add_default_rlimits(&mut resolved, &engine.config.rlimits);
    find_disks(&mut resolved)?;
    let requests = &spec.security.device_requests;
    let edits = if requests.is_empty() { Vec::new() } else { vendor_edits(engine, requests)? };
    let mut devices = granted(record)?;
    devices.extend(cdi::nodes(&edits).map_err(invalid)?);
    let cx = LaunchContext {
        id: record.id,
        host: &engine.host,
        ids: record.id_range,
        root: Rootfs::Overlay {
            lowers: image.layer_dirs.clone(),
            upper: own.upper,
            work: own.work,
        },
        files: &files,
        volumes: &volumes,
        devices: &devices,
        init: spec.init.unwrap_or_default().then(|| engine.init.clone()),
        cgroup_parent: &engine.config.cgroup_parent,
        seccomp: &engine.filters,
        partners: partners.as_model(),
    };
    let mut plan = plan::launch(&resolved, &cx)
        .map_err(|source| Error::new(Kind::Invalid, crate::records::chain(&source)))?;
    cdi::apply(&edits, &mut plan).map_err(invalid)?;
    Ok(plan)
}

/// `spec` with what it leaves to the daemon, for its first process and for those added.
pub(crate) fn with_defaults(spec: &GuestSpec, config: &Config) -> GuestSpec {
    let mut spec = spec.clone();
    spec.security.no_new_privileges.get_or_insert(config.no_new_privileges);
    if spec.security.seccomp == Seccomp::Default {
        spec.security.seccomp = config.seccomp.clone();
    }
    spec
}

fn invalid(why: String) -> Error {
    Error::new(Kind::Invalid, why)
}

/// What the devices that a driver has to find need.
fn vendor_edits(engine: &Inner, requests: &[DeviceRequest]) -> Result<Vec<cdi::Edits>> {
    let registry = cdi::Registry::read(&engine.config.cdi_directories);
    let names = cdi::names(requests, &registry)?;
    registry.edits(&names).map_err(invalid)
}

/// The plan with which the guest of `record` would start, as far as that is known before: for those
/// who want to see it. Touches nothing.
pub(crate) fn sketch(engine: &Inner, record: &GuestRecord) -> Result<LaunchPlan> {
    let somebody = Some(Partner { id: record.id, pid: 0 });
    let volumes = volumes_of(record);
    let mut resolved = with_defaults(&record.spec, &engine.config);
    name_volumes(&mut resolved, record);
    add_default_rlimits(&mut resolved, &engine.config.rlimits);
    let cx = LaunchContext {
        id: record.id,
        host: &engine.host,
        ids: record.id_range,
        root: Rootfs::Path(PathBuf::new()),
        files: &[],
        volumes: &volumes,
        // A device that is missing is told when the guest is started.
        devices: &granted(record).unwrap_or_default(),
        init: None,
        cgroup_parent: &engine.config.cgroup_parent,
        seccomp: &engine.filters,
        partners: plan::Partners {
            network: somebody,
            pid: somebody,
            ipc: somebody,
            user: somebody,
        },
    };
    plan::launch(&resolved, &cx)
        .map_err(|source| Error::new(Kind::Invalid, crate::records::chain(&source)))
}

fn volumes_of(record: &GuestRecord) -> BTreeMap<Name, PathBuf> {
    let named = |mount: &MountPoint| Some((mount.volume.clone()?, mount.source.clone()));
    record.mounts.iter().filter_map(named).collect()
}

fn write_files(engine: &Inner, record: &GuestRecord, partners: &Partners) -> Result<()> {
    if partners.network.is_some() {
        // It sees the files of the guest whose network it shares.
        return Ok(());
    }
    let shares_host = record.spec.namespaces.network == Network::Host;
    let host = files::HostFiles::read();
    let dir = engine.paths.guest_dir(&record.id);
    files::plan(record, &host, &engine.config.dns, shares_host).write(&dir).map_err(|source| {
        let doing = format!("write hosts, hostname and resolv.conf into {}", dir.display());
        Error::caused(Kind::Unavailable, doing, source)
    })
}

fn file_mounts(
    engine: &Inner,
    record: &GuestRecord,
    partners: &Partners,
) -> Vec<(PathBuf, String)> {
    let owner = partners.network.as_ref().map_or(record.id, |partner| partner.id);
    let dir = engine.paths.guest_dir(&owner);
    SHARED_FILES.iter().map(|(name, target)| (dir.join(name), (*target).to_owned())).collect()
}

/// Anonymous volumes have got their names in the record, in the order of the mounts.
fn name_volumes(spec: &mut hull_model::guest::GuestSpec, record: &GuestRecord) {
    for mount in &mut spec.mounts {
        if let hull_model::mount::Source::Volume { name, .. } = &mut mount.source {
            let point = record.mounts.iter().find(|point| point.target == mount.target);
            *name = point.and_then(|point| point.volume.clone());
        }
    }
}

fn add_default_rlimits(
    spec: &mut hull_model::guest::GuestSpec,
    defaults: &[hull_model::limits::Rlimit],
) {
    for default in defaults {
        let own = &mut spec.limits.rlimits;
        if own.iter().all(|limit| limit.resource != default.resource) {
            own.push(*default);
        }
    }
}

/// Block devices are known by their numbers of now: a path may lead to another one tomorrow.
pub(crate) fn find_disks(spec: &mut hull_model::guest::GuestSpec) -> Result<()> {
    disks(&mut spec.limits.block)
        .map_err(|source| Error::new(Kind::Invalid, crate::records::chain(&source)))
}

fn granted(record: &GuestRecord) -> Result<Vec<GrantedDevice>> {
    let security = &record.spec.security;
    let found = if security.privileged { all_devices() } else { devices(&security.devices) };
    found.map_err(|source| Error::new(Kind::Invalid, crate::records::chain(&source)))
}
