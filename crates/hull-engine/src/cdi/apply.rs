//! What devices need, put into a launch plan.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_container::host::{GrantedDevice, devices};
use hull_container::plan::{
    self, Attributes, Device, Identity, LaunchPlan, NodeKind, Owners, Propagation, Reach, Refusal,
    Source,
};
use hull_model::security;
use hull_sys::mount::attribute;

use super::spec::{Edits, Hook, Mount, Node, Rdt};

/// The nodes of `edits`; what a file leaves open is as on the host.
pub(crate) fn nodes(edits: &[Edits]) -> Result<Vec<GrantedDevice>, String> {
    let all = edits.iter().flat_map(|edits| edits.device_nodes.iter().flatten());
    all.map(|node| grant(node).map_err(|why| format!("CDI device injection failed: {why}")))
        .collect()
}

fn grant(node: &Node) -> Result<GrantedDevice, String> {
    let kind = match node.r#type.as_str() {
        "" => None,
        "b" => Some(NodeKind::Block),
        "p" => Some(NodeKind::Fifo),
        _ => Some(NodeKind::Character),
    };
    let access = if node.permissions.is_empty() { "rwm" } else { &node.permissions };
    let number = |n: i64| u32::try_from(n).unwrap_or_default();
    let device = match kind {
        Some(NodeKind::Fifo) => {
            return Err(format!("device {}: hull makes no named pipes for CDI", node.path));
        }
        Some(kind) if node.major != 0 => Device {
            path: node.path.clone(),
            kind,
            major: number(node.major),
            minor: number(node.minor),
            mode: 0o666,
            uid: 0,
            gid: 0,
        },
        kind => {
            let host = if node.host_path.is_empty() { &node.path } else { &node.host_path };
            let wanted = security::Device {
                host: host.clone(),
                guest: node.path.clone(),
                access: access.to_owned(),
            };
            let found = devices(&[wanted]).map_err(|error| error.to_string())?;
            let [found] = &found[..] else {
                return Err(format!("device {host} is not one node"));
            };
            if kind.is_some_and(|kind| kind != found.node.kind) {
                return Err(format!("device {host} is of another type than the file says"));
            }
            found.node.clone()
        }
    };
    let node = Device {
        mode: node.file_mode.map_or(device.mode, |mode| mode & 0o777),
        uid: node.uid.unwrap_or(device.uid),
        gid: node.gid.unwrap_or(device.gid),
        ..device
    };
    Ok(GrantedDevice { node, access: access.to_owned() })
}

/// Puts everything but the nodes into `plan`.
pub(crate) fn apply(edits: &[Edits], plan: &mut LaunchPlan) -> Result<(), String> {
    for edits in edits {
        for pair in edits.env.iter().flatten() {
            set(&mut plan.process.env, pair);
        }
        for mount in edits.mounts.iter().flatten() {
            plan.mounts.retain(|other| other.target != mount.container_path);
            plan.mounts.push(mounted(mount)?);
        }
        for gid in edits.additional_gids.iter().flatten().filter(|gid| **gid != 0) {
            match &mut plan.process.identity {
                Identity::Named { groups, .. } => groups.push(gid.to_string()),
                Identity::Numbers { groups, .. } => groups.push(*gid),
            }
        }
        for hook in edits.hooks.iter().flatten() {
            add_hook(hook, &mut plan.hooks)?;
        }
        if let Some(wanted) = &edits.intel_rdt {
            plan.rdt = Some(rdt(wanted, &plan.id));
        }
    }
    // Stable, as the planner has them: parents first.
    plan.mounts.sort_by_key(|mount| Path::new(&mount.target).components().count());
    Ok(())
}

fn set(env: &mut Vec<String>, pair: &str) {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    env.retain(|old| old.split_once('=').is_none_or(|(old, _)| old != name));
    env.push(pair.to_owned());
}

fn mounted(mount: &Mount) -> Result<plan::Mount, String> {
    let (mut set, mut reach, mut propagation, mut rest) =
        (0, Reach::Tree, Propagation::Private, Vec::new());
    for option in mount.options.iter().flatten() {
        match option.as_str() {
            "ro" => set |= attribute::READ_ONLY,
            "rw" => set &= !attribute::READ_ONLY,
            "nosuid" => set |= attribute::NO_SUID,
            "nodev" => set |= attribute::NO_DEV,
            "noexec" => set |= attribute::NO_EXEC,
            "bind" => reach = Reach::One,
            "rbind" => reach = Reach::Tree,
            "private" | "rprivate" => propagation = Propagation::Private,
            "slave" | "rslave" => propagation = Propagation::Slave,
            "shared" | "rshared" => propagation = Propagation::Shared,
            "suid" | "dev" | "exec" | "defaults" | "relatime" => {}
            other if mount.r#type == "tmpfs" && other.contains('=') => rest.push(other),
            other => {
                let target = &mount.container_path;
                return Err(format!("CDI mount at {target}: unknown option {other:?}"));
            }
        }
    }
    let source = match mount.r#type.as_str() {
        "" | "bind" | "none" => {
            Source::Bind { path: PathBuf::from(&mount.host_path), recursive: reach == Reach::Tree }
        }
        "tmpfs" => Source::New {
            filesystem: "tmpfs".to_owned(),
            options: rest
                .iter()
                .filter_map(|option| option.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        },
        other => {
            let target = &mount.container_path;
            return Err(format!("CDI mount at {target}: hull does not mount type {other:?}"));
        }
    };
    let attributes = Attributes::set(set);
    Ok(plan::Mount {
        target: mount.container_path.clone(),
        source,
        attributes: if reach == Reach::One { attributes } else { Attributes::default() },
        recursive: if reach == Reach::Tree { attributes } else { Attributes::default() },
        propagation: vec![(propagation, reach)],
        owners: Owners::Guest { reach, refusal: Refusal::Warn },
        ..plan::Mount::default()
    })
}

/// Hooks of the guest's own namespaces are run; see decision 0013.
fn add_hook(hook: &Hook, hooks: &mut plan::Hooks) -> Result<(), String> {
    let made = plan::Hook {
        path: PathBuf::from(&hook.path),
        args: hook.args.clone().unwrap_or_default(),
        env: hook.env.clone().unwrap_or_default(),
        timeout: hook
            .timeout
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
    };
    match hook.hook_name.as_str() {
        "createContainer" => hooks.create_container.push(made),
        "startContainer" => hooks.start_container.push(made),
        other => {
            return Err(format!(
                "CDI hook {other} of {}: hull runs createContainer and startContainer hooks only",
                hook.path
            ));
        }
    }
    Ok(())
}

fn rdt(wanted: &Rdt, id: &str) -> plan::Rdt {
    let class = if wanted.class.is_empty() { id } else { &wanted.class };
    let lines = [&wanted.l3_cache_schema, &wanted.mem_bw_schema];
    plan::Rdt {
        class: class.to_owned(),
        schemata: lines.into_iter().filter(|line| !line.is_empty()).cloned().collect(),
        monitoring: wanted.cache_monitoring || wanted.bandwidth_monitoring,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdi::spec::Spec;

    fn edits(json: &str) -> Vec<Edits> {
        let text = format!(
            r#"{{"cdiVersion":"1.0.0","kind":"v/c","devices":[
                {{"name":"a","containerEdits":{json}}}]}}"#
        );
        vec![Spec::parse(&text, true).unwrap().devices.remove(0).container_edits]
    }

    #[test]
    fn nodes_are_as_the_file_says_and_else_as_on_the_host() {
        let show = |json: &str| match nodes(&edits(&format!(r#"{{"deviceNodes":[{json}]}}"#))) {
            Ok(nodes) => {
                let GrantedDevice { node, access } = &nodes[0];
                format!(
                    "{} {}:{} {:o} {} {access}",
                    node.path, node.major, node.minor, node.mode, node.uid
                )
            }
            Err(why) => why,
        };
        assert_eq!(
            show(r#"{"path":"/dev/x","hostPath":"/dev/zero","permissions":"r","uid":5}"#),
            "/dev/x 1:5 666 5 r"
        );
        assert_eq!(
            show(r#"{"path":"/dev/x","type":"c","major":7,"minor":9,"fileMode":384}"#),
            "/dev/x 7:9 600 0 rwm"
        );
        assert!(show(r#"{"path":"/dev/zero","type":"b"}"#).contains("another type"));
        assert!(show(r#"{"path":"/dev/no-such"}"#).contains("/dev/no-such"));
        assert!(show(r#"{"path":"/dev/x","type":"p"}"#).contains("named pipes"));
    }

    #[test]
    fn the_rest_goes_into_the_plan() {
        let mut plan = LaunchPlan::default();
        plan.process.env = vec!["A=old".to_owned(), "AB=kept".to_owned()];
        let found = edits(
            r#"{"env":["A=new"],"additionalGids":[44,0],
                "mounts":[{"hostPath":"/lib","containerPath":"/b/c","options":["ro","nosuid","rbind"]},
                    {"hostPath":"/a","containerPath":"/b","options":["bind","ro"]}],
                "hooks":[{"hookName":"createContainer","path":"/h","args":["h"],"timeout":5}]}"#,
        );
        apply(&found, &mut plan).unwrap();
        assert_eq!(plan.process.env, ["AB=kept", "A=new"]);
        let targets: Vec<_> = plan.mounts.iter().map(|mount| mount.target.as_str()).collect();
        assert_eq!(targets, ["/b", "/b/c"]);
        assert_eq!(plan.mounts[0].attributes.set, attribute::READ_ONLY);
        assert_eq!(plan.mounts[1].recursive.set, attribute::READ_ONLY | attribute::NO_SUID);
        assert_eq!(plan.hooks.create_container.len(), 1);
        assert!(
            matches!(&plan.process.identity, Identity::Named { groups, .. } if *groups == ["44"])
        );
        let refused = |json: &str| apply(&edits(json), &mut LaunchPlan::default()).unwrap_err();
        assert!(refused(r#"{"hooks":[{"hookName":"prestart","path":"/h"}]}"#).contains("prestart"));
        let odd = r#"{"mounts":[{"hostPath":"/a","containerPath":"/b","options":["remount"]}]}"#;
        assert!(refused(odd).contains("remount"));
    }
}
