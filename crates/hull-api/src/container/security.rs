//! Privileges: capabilities, `SecurityOpt`, devices, sysctls and hidden paths.

use std::collections::BTreeSet;

use hull_model::mount::Target;
use hull_model::namespace::{Ipc, Namespaces, Network};
use hull_model::security::{Device, DeviceCount, DeviceRequest, Seccomp, Security, capability};

use super::host_config::{self as wire, DeviceMapping, HostConfig, Map};
use crate::refusal::{Refusal, Result, quote};

/// The privileges that `host` asks for; `namespaces` decide which sysctls are the guest's own.
pub(super) fn read(
    host: &HostConfig,
    namespaces: &Namespaces,
    warnings: &mut Vec<String>,
) -> Result<Security> {
    let mut security = Security {
        privileged: host.privileged,
        cap_add: read_capabilities("CapAdd", host.cap_add.as_deref())?,
        cap_drop: read_capabilities("CapDrop", host.cap_drop.as_deref())?,
        no_new_privileges: None,
        writable_cgroups: false,
        seccomp: Seccomp::Default,
        masked_paths: read_paths("MaskedPaths", host.masked_paths.as_deref())?,
        read_only_paths: read_paths("ReadonlyPaths", host.readonly_paths.as_deref())?,
        sysctls: read_sysctls(host.sysctls.clone().unwrap_or_default(), namespaces)?,
        devices: read_devices(host.devices.as_deref().unwrap_or_default())?,
        device_rules: super::limits::read_device_rules(
            host.device_cgroup_rules.as_deref().unwrap_or_default(),
        )?,
        device_requests: read_requests(host.device_requests.as_deref().unwrap_or_default())?,
    };
    for option in host.security_opt.as_deref().unwrap_or_default() {
        read_option(option, &mut security, warnings)?;
    }
    Ok(security)
}

/// Writes `security` where [`read`] finds it.
pub(super) fn write(security: &Security, host: &mut HostConfig) {
    host.privileged = security.privileged;
    host.cap_add = write_capabilities(&security.cap_add);
    host.cap_drop = write_capabilities(&security.cap_drop);
    let mut options = Vec::new();
    match security.no_new_privileges {
        Some(true) => options.push("no-new-privileges".to_owned()),
        Some(false) => options.push("no-new-privileges=false".to_owned()),
        None => {}
    }
    if security.writable_cgroups {
        options.push("writable-cgroups=true".to_owned());
    }
    match &security.seccomp {
        Seccomp::Default => {}
        Seccomp::Builtin => options.push("seccomp=builtin".to_owned()),
        Seccomp::Unconfined => options.push("seccomp=unconfined".to_owned()),
        Seccomp::Profile(json) => options.push(format!("seccomp={json}")),
    }
    host.security_opt = (!options.is_empty()).then_some(options);
    host.masked_paths.clone_from(&security.masked_paths);
    host.readonly_paths.clone_from(&security.read_only_paths);
    host.sysctls = Some(security.sysctls.clone());
    host.devices = Some(security.devices.iter().map(write_device).collect());
    host.device_cgroup_rules = super::limits::write_device_rules(&security.device_rules);
    let requests: Vec<_> = security.device_requests.iter().map(write_request).collect();
    host.device_requests = (!requests.is_empty()).then_some(requests);
}

fn read_capabilities(field: &str, names: Option<&[String]>) -> Result<BTreeSet<String>> {
    let read = |name: &String| {
        capability(name).ok_or_else(|| {
            let upper = name.to_ascii_uppercase();
            let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
            Refusal::invalid(format_args!(
                "invalid {field}: unknown capability: \"CAP_{}\"",
                quote(bare)
            ))
        })
    };
    names.unwrap_or_default().iter().map(read).collect()
}

fn write_capabilities(names: &BTreeSet<String>) -> Option<Vec<String>> {
    let write = |name: &String| match name.as_str() {
        "ALL" => name.clone(),
        name => format!("CAP_{name}"),
    };
    (!names.is_empty()).then(|| names.iter().map(write).collect())
}

/// One `SecurityOpt`, in the order of moby's `parseSecurityOpt`; `key:value` is its old form.
fn read_option(option: &str, security: &mut Security, warnings: &mut Vec<String>) -> Result<()> {
    match option {
        "no-new-privileges" => {
            security.no_new_privileges = Some(true);
            return Ok(());
        }
        "disable" => return Ok(()),
        _ => {}
    }
    let (key, value) = option
        .split_once('=')
        .or_else(|| option.split_once(':'))
        .ok_or_else(|| bad_option(1, option))?;
    match (key, value) {
        ("no-new-privileges", value) => {
            let on = go_bool(value).ok_or_else(|| bad_option(2, option))?;
            security.no_new_privileges = Some(on);
        }
        ("writable-cgroups", value) => {
            security.writable_cgroups = go_bool(value).ok_or_else(|| bad_option(2, option))?;
        }
        ("seccomp", value) => security.seccomp = read_seccomp(value)?,
        ("apparmor", "" | "unconfined") | ("label", "disable") => {}
        // The docker CLI turns this into empty lists of paths itself; others may not.
        ("systempaths", "unconfined") => {
            security.masked_paths.get_or_insert_default().clear();
            security.read_only_paths.get_or_insert_default().clear();
        }
        // As Docker on a host without AppArmor or SELinux, but said aloud.
        ("apparmor" | "label", _) => {
            warnings
                .push(format!("{} has no effect: hull sets no {key} confinement", quote(option)));
        }
        _ => return Err(bad_option(2, option)),
    }
    Ok(())
}

/// The words of Go's `strconv.ParseBool`.
fn go_bool(word: &str) -> Option<bool> {
    match word {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => Some(true),
        "false" | "0" | "f" | "F" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn bad_option(number: u8, option: &str) -> Refusal {
    Refusal::invalid(format_args!("invalid --security-opt {number}: {:?}", quote(option)))
}

fn read_seccomp(value: &str) -> Result<Seccomp> {
    match value {
        "builtin" => Ok(Seccomp::Builtin),
        "unconfined" => Ok(Seccomp::Unconfined),
        json => match serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(json) {
            Ok(_) => Ok(Seccomp::Profile(json.to_owned())),
            Err(e) => Err(Refusal::invalid(format_args!("decoding seccomp profile failed: {e}"))),
        },
    }
}

/// `None` (Docker's default list) and an empty list (nothing) are different wishes.
fn read_paths(field: &str, paths: Option<&[String]>) -> Result<Option<Vec<String>>> {
    let Some(paths) = paths else { return Ok(None) };
    match paths.iter().find(|path| !path.starts_with('/')) {
        None => Ok(Some(paths.to_vec())),
        Some(bad) => Err(Refusal::invalid(format_args!(
            "invalid {field}: {:?} is not an absolute path",
            quote(bad)
        ))),
    }
}

/// Kernel settings that exist once for each IPC or UTS namespace (runc `libcontainer/configs/validate`).
const SYSCTLS_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

fn read_sysctls(sysctls: Map, namespaces: &Namespaces) -> Result<Map> {
    for (key, value) in &sysctls {
        let wrong = |why: &str| Refusal::invalid(format_args!("sysctl {:?} {why}", quote(key)));
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        // No empty part and no slash: the key becomes a path below /proc/sys.
        if !key.split('.').all(|part| !part.is_empty() && part.bytes().all(plain)) {
            return Err(wrong("is not a name of letters, digits, '_', '-' and single dots"));
        }
        if value.contains('\n') || value.len() > 4_096 {
            return Err(wrong("has a value of several lines or more than 4096 bytes"));
        }
        let shared = if SYSCTLS_IPC.contains(&key.as_str()) || key.starts_with("fs.mqueue.") {
            matches!(namespaces.ipc, Ipc::Host).then_some("ipc")
        } else if key == "kernel.domainname" {
            namespaces.host_uts.then_some("uts")
        } else if key.starts_with("net.") {
            matches!(namespaces.network, Network::Host).then_some("network")
        } else {
            return Err(wrong("is not in a separate kernel namespace"));
        };
        if let Some(namespace) = shared {
            return Err(wrong(&format!("not allowed in host {namespace} namespace")));
        }
    }
    Ok(sysctls)
}

fn read_devices(devices: &[DeviceMapping]) -> Result<Vec<Device>> {
    let read = |device: &DeviceMapping| {
        let DeviceMapping { path_on_host, path_in_container, cgroup_permissions } = device;
        let inside = if path_in_container.is_empty() { path_on_host } else { path_in_container };
        let place = |path: &str| {
            Target::new(path).map(String::from).map_err(|e| {
                Refusal::invalid(format_args!("invalid device {:?}: {e}", quote(path)))
            })
        };
        let access = if cgroup_permissions.is_empty() { "rwm" } else { cgroup_permissions };
        if access.len() > 3 || !access.bytes().all(|b| b"rwm".contains(&b)) {
            return Err(Refusal::invalid(format_args!("invalid device mode: {}", quote(access))));
        }
        Ok(Device { host: place(path_on_host)?, guest: place(inside)?, access: access.to_owned() })
    };
    devices.iter().map(read).collect()
}

fn read_requests(requests: &[wire::DeviceRequest]) -> Result<Vec<DeviceRequest>> {
    let read = |request: &wire::DeviceRequest| {
        let ids = request.device_ids.clone().unwrap_or_default();
        let count = match request.count {
            -1 => DeviceCount::All,
            count => DeviceCount::Exactly(u16::try_from(count).map_err(|_out_of_range| {
                Refusal::invalid(format_args!("invalid device request: count {count}"))
            })?),
        };
        if count != DeviceCount::default() && !ids.is_empty() {
            return Err(Refusal::invalid("cannot set both Count and DeviceIDs on device request"));
        }
        Ok(DeviceRequest {
            driver: request.driver.clone(),
            count,
            ids,
            capabilities: request.capabilities.clone().unwrap_or_default(),
            options: request.options.clone().unwrap_or_default(),
        })
    };
    requests.iter().map(read).collect()
}

fn write_request(request: &DeviceRequest) -> wire::DeviceRequest {
    let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    let capabilities = &request.capabilities;
    wire::DeviceRequest {
        driver: request.driver.clone(),
        count: match request.count {
            DeviceCount::All => -1,
            DeviceCount::Exactly(count) => count.into(),
        },
        device_ids: some(&request.ids),
        capabilities: (!capabilities.is_empty()).then(|| capabilities.clone()),
        options: Some(request.options.clone()).filter(|options| !options.is_empty()),
    }
}

fn write_device(device: &Device) -> DeviceMapping {
    DeviceMapping {
        path_on_host: device.host.clone(),
        path_in_container: device.guest.clone(),
        cgroup_permissions: device.access.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|word| (*word).to_owned()).collect())
    }

    fn round(host: &HostConfig) -> Result<(HostConfig, Vec<String>), String> {
        let mut warnings = Vec::new();
        let own = Namespaces::default();
        let security = read(host, &own, &mut warnings).map_err(|refusal| refusal.message)?;
        let mut back = HostConfig::default();
        write(&security, &mut back);
        Ok((back, warnings))
    }

    #[test]
    fn capabilities_are_written_with_their_prefix() {
        let host = HostConfig {
            cap_add: words(&["net_admin", "CAP_SYS_PTRACE"]),
            cap_drop: words(&["all"]),
            ..HostConfig::default()
        };
        let (back, _) = round(&host).unwrap();
        assert_eq!(back.cap_add, words(&["CAP_NET_ADMIN", "CAP_SYS_PTRACE"]));
        assert_eq!(back.cap_drop, words(&["ALL"]));
        let bad = HostConfig { cap_add: words(&["foo"]), ..HostConfig::default() };
        assert_eq!(round(&bad).unwrap_err(), "invalid CapAdd: unknown capability: \"CAP_FOO\"");
    }

    #[test]
    fn security_options_are_dockers() {
        let read = |option: &str| {
            round(&HostConfig { security_opt: words(&[option]), ..HostConfig::default() }).map(
                |(back, warnings)| {
                    (back.security_opt.unwrap_or_default().join(" "), warnings.len())
                },
            )
        };
        let is = |text: &str, warnings| Ok((text.to_owned(), warnings));
        for option in ["no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"] {
            assert_eq!(read(option), is("no-new-privileges", 0));
        }
        assert_eq!(read("no-new-privileges=false"), is("no-new-privileges=false", 0));
        assert_eq!(read("writable-cgroups=1"), is("writable-cgroups=true", 0));
        assert_eq!(read("seccomp=unconfined"), is("seccomp=unconfined", 0));
        assert_eq!(read("seccomp=builtin"), is("seccomp=builtin", 0));
        assert_eq!(read("seccomp={\"a\":1}"), is("seccomp={\"a\":1}", 0));
        assert_eq!(read("apparmor=unconfined"), is("", 0));
        assert_eq!(read("apparmor=mine"), is("", 1));
        assert_eq!(read("label=disable"), is("", 0));
        assert_eq!(read("label:type:x"), is("", 1));
        assert_eq!(read("x"), Err("invalid --security-opt 1: \"x\"".to_owned()));
        assert_eq!(read("x=y"), Err("invalid --security-opt 2: \"x=y\"".to_owned()));
        assert!(read("no-new-privileges=maybe").is_err());
        assert!(read("seccomp=/etc/profile.json").unwrap_err().starts_with("decoding seccomp"));
        assert!(read(&format!("seccomp={}", "{\"a\":".repeat(100_000))).is_err());
    }

    #[test]
    fn unconfined_system_paths_differ_from_dockers_default() {
        let host = HostConfig {
            security_opt: words(&["systempaths=unconfined"]),
            ..HostConfig::default()
        };
        assert_eq!(round(&host).unwrap().0.masked_paths, Some(Vec::new()));
        assert_eq!(round(&HostConfig::default()).unwrap().0.masked_paths, None);
        let bad = HostConfig { masked_paths: words(&["etc"]), ..HostConfig::default() };
        assert!(round(&bad).unwrap_err().contains("not an absolute path"));
    }

    #[test]
    fn only_sysctls_of_the_guests_own_namespaces_are_taken() {
        let check = |key: &str, namespaces: Namespaces| {
            read_sysctls([(key.to_owned(), "1".to_owned())].into(), &namespaces)
                .map(drop)
                .map_err(|refusal| refusal.message)
        };
        let own = Namespaces::default;
        for good in ["net.ipv4.ip_forward", "kernel.sem", "fs.mqueue.msg_max", "kernel.domainname"]
        {
            assert_eq!(check(good, own()), Ok(()), "{good}");
        }
        for bad in
            ["kernel.panic", "vm.swappiness", "kernel.hostname", "fs.file-max", "kernel.shmmaxx"]
        {
            assert_eq!(
                check(bad, own()),
                Err(format!("sysctl {bad:?} is not in a separate kernel namespace"))
            );
        }
        for path in
            ["net..", "net/../kernel/panic", "net.../kernel", "", "net.", ".", "net.a b", "net.é"]
        {
            assert!(check(path, own()).unwrap_err().contains("is not a name"), "{path:?}");
        }
        let shared = Namespaces { network: Network::Host, ipc: Ipc::Host, host_uts: true, ..own() };
        for key in ["net.ipv4.ip_forward", "kernel.sem", "kernel.domainname"] {
            assert!(check(key, shared.clone()).unwrap_err().contains("not allowed in host"));
        }
        assert!(read_sysctls([("net.a".to_owned(), "1\n2".to_owned())].into(), &own()).is_err());
    }

    #[test]
    fn device_requests_survive_the_way_there_and_back() {
        let request = |count, ids: &[&str]| wire::DeviceRequest {
            count,
            device_ids: words(ids).filter(|ids| !ids.is_empty()),
            capabilities: Some(vec![vec!["gpu".to_owned()]]),
            ..wire::DeviceRequest::default()
        };
        let read = |one| read_requests(&[one]).map(|all| write_request(&all[0]));
        for good in [request(-1, &[]), request(0, &["v.com/c=a"]), request(2, &[])] {
            assert_eq!(read(good.clone()), Ok(good));
        }
        let both = read(request(1, &["0"])).unwrap_err().message;
        assert_eq!(both, "cannot set both Count and DeviceIDs on device request");
        assert!(read(request(-2, &[])).is_err() && read(request(1 << 40, &[])).is_err());
    }

    #[test]
    fn devices_keep_to_absolute_clean_paths() {
        let device = |host: &str, guest: &str, access: &str| DeviceMapping {
            path_on_host: host.to_owned(),
            path_in_container: guest.to_owned(),
            cgroup_permissions: access.to_owned(),
        };
        let read = |one| read_devices(&[one]).map(|mut devices| write_device(&devices.remove(0)));
        let whole = device("/dev/fuse", "/dev/fuse", "rwm");
        assert_eq!(read(device("/dev/fuse", "", "")), Ok(whole));
        let sly = read(device("/dev/fuse", "/dev/../../etc/passwd", "r")).unwrap();
        assert_eq!(sly.path_in_container, "/etc/passwd");
        for bad in [
            device("dev", "", ""),
            device("/dev/a", "b", ""),
            device("/dev/a", "", "rx"),
            device("/dev/a", "", "rrrr"),
            device("vendor.com/gpu=0", "", ""),
            device("", "", ""),
        ] {
            assert!(read(bad).is_err());
        }
    }
}
