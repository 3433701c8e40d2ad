//! `linux.namespaces` and what hangs on them.

use std::path::PathBuf;

use hull_container::plan::{IdMap, Namespace, Namespaces, Offset, Time, User};

use crate::config::{Clock, IdMapping, Linux, NamespaceKind, TimeOffset};
use crate::failure::Failure;

/// Where each namespace comes from; those not listed are the caller's.
pub(super) fn namespaces(linux: &Linux) -> Result<Namespaces, Failure> {
    let mut namespaces = Namespaces {
        mount: Namespace::Host,
        pid: Namespace::Host,
        ipc: Namespace::Host,
        uts: Namespace::Host,
        net: Namespace::Host,
        cgroup: Namespace::Host,
        user: User::Host,
        time: Time::Host,
    };
    let mut seen = Vec::new();
    for (at, wanted) in linux.namespaces.iter().flatten().enumerate() {
        let field = |what: &str| format!("linux.namespaces[{at}].{what}");
        if seen.contains(&wanted.r#type) {
            let kind = wanted.r#type;
            return Err(Failure::new(format!("{}: {kind:?} is listed twice", field("type"))));
        }
        seen.push(wanted.r#type);
        let path = wanted.path.clone().filter(|path| !path.as_os_str().is_empty());
        if path.as_ref().is_some_and(|path| !path.is_absolute()) {
            let path = path.unwrap_or_default();
            return Err(Failure::new(format!("{}: {path:?} is not absolute", field("path"))));
        }
        let from = path.clone().map_or(Namespace::New, Namespace::Join);
        match wanted.r#type {
            NamespaceKind::Mount => namespaces.mount = from,
            NamespaceKind::Pid => namespaces.pid = from,
            NamespaceKind::Network => namespaces.net = from,
            NamespaceKind::Uts => namespaces.uts = from,
            NamespaceKind::Ipc => namespaces.ipc = from,
            NamespaceKind::Cgroup => namespaces.cgroup = from,
            NamespaceKind::User => namespaces.user = user(path, linux)?,
            NamespaceKind::Time => namespaces.time = time(path, linux),
        }
    }
    if namespaces.mount == Namespace::Host {
        return Err(Failure::new(
            "linux.namespaces: no mount namespace is not supported: the container's mounts would \
             appear on the host",
        ));
    }
    let mapped = |maps: &Option<Vec<IdMapping>>| maps.as_ref().is_some_and(|maps| !maps.is_empty());
    if namespaces.user == User::Host && (mapped(&linux.uid_mappings) || mapped(&linux.gid_mappings))
    {
        return Err(Failure::new("linux.uidMappings: there is no user namespace to map ids of"));
    }
    if namespaces.time == Time::Host
        && linux.time_offsets.as_ref().is_some_and(|offsets| !offsets.is_empty())
    {
        return Err(Failure::new("linux.timeOffsets: there is no time namespace to set clocks of"));
    }
    Ok(namespaces)
}

fn user(path: Option<PathBuf>, linux: &Linux) -> Result<User, Failure> {
    if let Some(path) = path {
        return Ok(User::Join(path));
    }
    Ok(User::New {
        uids: root_mapped(linux.uid_mappings.as_deref(), "linux.uidMappings")?,
        gids: root_mapped(linux.gid_mappings.as_deref(), "linux.gidMappings")?,
    })
}

fn root_mapped(wanted: Option<&[IdMapping]>, field: &str) -> Result<Vec<IdMap>, Failure> {
    let maps = id_maps(wanted, field)?;
    if IdMap::outside(&maps, 0).is_none() {
        return Err(Failure::new(format!(
            "{field}: id 0 is not mapped; a container is set up as its user namespace's root"
        )));
    }
    Ok(maps)
}

/// Maps of ids, without empty or endless ranges.
pub(super) fn id_maps(wanted: Option<&[IdMapping]>, field: &str) -> Result<Vec<IdMap>, Failure> {
    let one = |(at, map): (usize, &IdMapping)| {
        let ends = map.container.checked_add(map.size).zip(map.host.checked_add(map.size));
        if map.size == 0 || ends.is_none() {
            let size = map.size;
            return Err(Failure::new(format!("{field}[{at}].size: {size} ids do not fit there")));
        }
        Ok(IdMap { inside: map.container, outside: map.host, count: map.size })
    };
    wanted.unwrap_or_default().iter().enumerate().map(one).collect()
}

fn time(path: Option<PathBuf>, linux: &Linux) -> Time {
    if let Some(path) = path {
        return Time::Join(path);
    }
    let offset = |clock| {
        let wanted = linux.time_offsets.as_ref().and_then(|offsets| offsets.get(&clock));
        let TimeOffset { secs, nanosecs } = wanted.copied().unwrap_or_default();
        Offset { seconds: secs, nanoseconds: nanosecs }
    };
    Time::New { monotonic: offset(Clock::Monotonic), boottime: offset(Clock::Boottime) }
}

/// A host name or domain, if the container has a UTS namespace of its own to have it in.
pub(super) fn name(
    wanted: Option<&str>,
    field: &str,
    namespaces: &Namespaces,
) -> Result<Option<String>, Failure> {
    let Some(wanted) = wanted.filter(|name| !name.is_empty()) else { return Ok(None) };
    if namespaces.uts == Namespace::Host {
        return Err(Failure::new(format!(
            "{field}: {wanted:?} cannot be set without a UTS namespace in linux.namespaces"
        )));
    }
    Ok(Some(wanted.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> String {
        let linux: Linux = crate::config::from_json(json).unwrap();
        match namespaces(&linux) {
            Ok(found) => format!("{found:?}").replace("Namespaces ", ""),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn what_is_not_listed_is_the_hosts() {
        let mount = r#"{"type":"mount"}"#;
        let all = read(&format!(
            r#"{{"namespaces":[{mount},{{"type":"pid","path":"/proc/1/ns/pid"}},{{"type":"network","path":""}}]}}"#
        ));
        assert!(all.contains("mount: New, pid: Join(\"/proc/1/ns/pid\"), ipc: Host"), "{all}");
        assert!(all.contains("net: New"), "{all}");
        let rows = [
            (r#"{}"#.to_owned(), "no mount namespace is not supported"),
            (format!(r#"{{"namespaces":[{mount},{mount}]}}"#), "[1].type: Mount is listed twice"),
            (
                format!(r#"{{"namespaces":[{mount},{{"type":"ipc","path":"x"}}]}}"#),
                "[1].path: \"x\" is not absolute",
            ),
            (
                format!(
                    r#"{{"namespaces":[{mount}],"uidMappings":[{{"containerID":0,"hostID":1,"size":1}}]}}"#
                ),
                "no user namespace to map",
            ),
            (
                format!(r#"{{"namespaces":[{mount}],"timeOffsets":{{"monotonic":{{"secs":1}}}}}}"#),
                "no time namespace",
            ),
            (format!(r#"{{"namespaces":[{mount},{{"type":"user"}}]}}"#), "id 0 is not mapped"),
            (
                format!(
                    r#"{{"namespaces":[{mount},{{"type":"user"}}],"uidMappings":[{{"containerID":0,"hostID":4294967295,"size":2}}]}}"#
                ),
                "linux.uidMappings[0].size: 2 ids do not fit",
            ),
        ];
        for (json, expected) in rows {
            let said = read(&json);
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn names_need_a_namespace() {
        let namespaces = Namespaces { uts: Namespace::Host, ..Namespaces::default() };
        let failure = name(Some("box"), "hostname", &namespaces).unwrap_err();
        assert!(failure.to_string().starts_with("hostname: \"box\" cannot be set"));
        assert_eq!(name(Some(""), "hostname", &namespaces).unwrap(), None);
        let own = Namespaces::default();
        assert_eq!(name(Some("box"), "hostname", &own).unwrap().as_deref(), Some("box"));
    }
}
