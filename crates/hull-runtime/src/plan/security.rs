//! Capabilities, sysctls, personality.

use hull_container::host::HostFacts;
use hull_container::plan::{Capabilities, Namespace, Namespaces};
use hull_model::security::CAPABILITIES;

use crate::config::{self, Linux};
use crate::failure::Failure;

/// The five sets. Names this kernel does not know are warned of, as the specification wants.
pub(crate) fn capabilities(
    wanted: Option<&config::Capabilities>,
    host: &HostFacts,
    warnings: &mut Vec<String>,
) -> Result<Capabilities, Failure> {
    let Some(wanted) = wanted else { return Ok(Capabilities::default()) };
    let mut set = |names: &Option<Vec<String>>, field: &str| {
        names.iter().flatten().fold(0_u64, |set, name| {
            match number(name).filter(|number| *number <= host.last_capability) {
                Some(number) => set | 1 << number,
                None => {
                    warnings.push(format!(
                        "process.capabilities.{field}: {name:?} is not known to this kernel"
                    ));
                    set
                }
            }
        })
    };
    let sets = Capabilities {
        bounding: set(&wanted.bounding, "bounding"),
        effective: set(&wanted.effective, "effective"),
        permitted: set(&wanted.permitted, "permitted"),
        inheritable: set(&wanted.inheritable, "inheritable"),
        ambient: set(&wanted.ambient, "ambient"),
    };
    if sets.effective & !sets.permitted != 0 {
        return Err(Failure::new(format!(
            "process.capabilities.effective: {} not in permitted",
            names(sets.effective & !sets.permitted)
        )));
    }
    // The kernel refuses these. Callers ask for them all the same: they mean "as far as possible".
    let kept = sets.ambient & sets.permitted & sets.inheritable;
    if kept != sets.ambient {
        warnings.push(format!(
            "process.capabilities.ambient: {} not both permitted and inheritable",
            names(sets.ambient & !kept)
        ));
    }
    Ok(Capabilities { ambient: kept, ..sets })
}

/// A capability's number by its name with `CAP_`.
pub(crate) fn number(name: &str) -> Option<u32> {
    let name = name.strip_prefix("CAP_")?;
    let at = CAPABILITIES.iter().position(|known| *known == name)?;
    u32::try_from(at).ok()
}

fn names(set: u64) -> String {
    let all = CAPABILITIES.iter().enumerate().filter(|(number, _)| set >> number & 1 == 1);
    all.map(|(_, name)| format!("CAP_{name}")).collect::<Vec<_>>().join(", ")
}

/// Settings that belong to a namespace of the container's own; any other would change the host.
pub(super) fn sysctls(
    linux: &Linux,
    namespaces: &Namespaces,
) -> Result<Vec<(String, String)>, Failure> {
    const IPC: [&str; 9] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "kernel.msg_next_id",
    ];
    let own = |namespace: &Namespace| *namespace != Namespace::Host;
    let mut all = Vec::new();
    for (name, value) in linux.sysctl.iter().flatten() {
        let dotted = dotted(name);
        let (fits, which) = if IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
            (own(&namespaces.ipc), "IPC")
        } else if dotted.starts_with("net.") {
            (own(&namespaces.net), "network")
        } else if matches!(dotted.as_str(), "kernel.domainname" | "kernel.hostname") {
            (own(&namespaces.uts), "UTS")
        } else if dotted.starts_with("user.") {
            (namespaces.user != hull_container::plan::User::Host, "user")
        } else {
            return Err(Failure::new(format!(
                "linux.sysctl: {name:?} belongs to no namespace and would change the host"
            )));
        };
        if !fits {
            return Err(Failure::new(format!(
                "linux.sysctl: {name:?} needs a {which} namespace of the container's own"
            )));
        }
        if name.split(['.', '/']).any(|part| part.is_empty()) || name.contains("..") {
            return Err(Failure::new(format!("linux.sysctl: {name:?} is no name of a setting")));
        }
        all.push((name.clone(), value.clone()));
    }
    Ok(all)
}

/// `a/b/c.d` is `a.b.c/d`, as in `sysctl(8)`: whichever separator comes first separates.
fn dotted(name: &str) -> String {
    match name.find(['.', '/']).map(|at| name.as_bytes()[at]) {
        Some(b'/') => name.replace('/', "."),
        _ => name.to_owned(),
    }
}

/// `personality(2)` of `sys/personality.h`.
pub(super) fn personality(linux: &Linux) -> Result<Option<u32>, Failure> {
    let Some(wanted) = &linux.personality else { return Ok(None) };
    if wanted.flags.as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(Failure::new("linux.personality.flags: the specification knows none"));
    }
    match wanted.domain.as_str() {
        "LINUX" => Ok(Some(0x0000)),
        "LINUX32" => Ok(Some(0x0008)),
        other => Err(Failure::new(format!(
            "linux.personality.domain: {other:?} is neither LINUX nor LINUX32"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sysctl(name: &str, namespaces: &Namespaces) -> String {
        let json = format!(r#"{{"sysctl":{{{name:?}:"1"}}}}"#);
        let linux: Linux = crate::config::from_json(&json).unwrap();
        match sysctls(&linux, namespaces) {
            Ok(all) => format!("{all:?}"),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn no_sysctl_reaches_the_host() {
        let own = Namespaces::default();
        let host = Namespaces {
            ipc: Namespace::Host,
            net: Namespace::Host,
            uts: Namespace::Host,
            ..Namespaces::default()
        };
        for name in ["net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/x", "kernel.shmmax"] {
            assert!(sysctl(name, &own).starts_with("[("), "{name}");
            assert!(sysctl(name, &host).contains("needs a"), "{name}");
        }
        for name in ["kernel.core_pattern", "vm.swappiness", "kernel/core_pattern", "fs.file-max"] {
            assert!(sysctl(name, &own).contains("would change the host"), "{name}");
        }
        for name in ["net.", "net..x", "net/../kernel/core_pattern"] {
            assert!(sysctl(name, &own).contains("is no name of a setting"), "{name}");
        }
    }

    #[test]
    fn capabilities_are_sets_that_the_kernel_takes() {
        let read = |json: &str| {
            let wanted: config::Capabilities = crate::config::from_json(json).unwrap();
            let host = HostFacts { last_capability: 40, ..HostFacts::default() };
            let mut warnings = Vec::new();
            let sets = capabilities(Some(&wanted), &host, &mut warnings);
            (sets.map_err(|failure| failure.to_string()), warnings)
        };
        let (sets, warnings) = read(
            r#"{"bounding":["CAP_CHOWN","CAP_KILL","CAP_NEW","CHOWN"],"permitted":["CAP_CHOWN"],
                "effective":["CAP_CHOWN"],"ambient":["CAP_KILL"]}"#,
        );
        let sets = sets.unwrap();
        assert_eq!((sets.bounding, sets.permitted, sets.ambient), (0x21, 1, 0));
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        let (sets, _) = read(r#"{"effective":["CAP_CHOWN"]}"#);
        assert!(sets.unwrap_err().contains("CAP_CHOWN not in permitted"));
    }
}
