//! Namespaces: the `…Mode` fields of `HostConfig`.

use hull_model::namespace::{Ipc, Namespaces, Network, Share};

use super::host_config::HostConfig;
use crate::refusal::{Refusal, Result, quote};

/// The namespaces that `host` asks for.
pub(super) fn read(host: &HostConfig) -> Result<Namespaces> {
    Ok(Namespaces {
        network: read_network(&host.network_mode)?,
        pid: match host.pid_mode.as_str() {
            "" => Share::Private,
            "host" => Share::Host,
            mode => Share::Guest(partner(mode).ok_or_else(|| bad("PID mode", mode))?),
        },
        ipc: match host.ipc_mode.as_str() {
            "" | "private" => Ipc::Private,
            "shareable" => Ipc::Shareable,
            "none" => Ipc::None,
            "host" => Ipc::Host,
            mode => Ipc::Guest(partner(mode).ok_or_else(|| bad("IPC mode", mode))?),
        },
        host_uts: host_or_own("UTS mode", &host.uts_mode, "")?,
        host_cgroup: host_or_own("cgroup namespace mode", &host.cgroupns_mode, "private")?,
        host_user: host_or_own("userns mode", &host.userns_mode, "private")?,
    })
}

/// Writes `namespaces` where [`read`] finds them.
pub(super) fn write(namespaces: &Namespaces, host: &mut HostConfig) {
    let of = |other: &str| format!("container:{other}");
    let host_or = |is_host, own: &str| if is_host { "host" } else { own }.to_owned();
    host.network_mode = network_mode(&namespaces.network);
    host.pid_mode = match &namespaces.pid {
        Share::Private => String::new(),
        Share::Host => "host".to_owned(),
        Share::Guest(other) => of(other),
    };
    host.ipc_mode = match &namespaces.ipc {
        Ipc::Private => "private".to_owned(),
        Ipc::Shareable => "shareable".to_owned(),
        Ipc::None => "none".to_owned(),
        Ipc::Host => "host".to_owned(),
        Ipc::Guest(other) => of(other),
    };
    host.uts_mode = host_or(namespaces.host_uts, "");
    host.cgroupns_mode = host_or(namespaces.host_cgroup, "private");
    host.userns_mode = host_or(namespaces.host_user, "");
}

/// `HostConfig.NetworkMode` of a guest.
pub(super) fn network_mode(network: &Network) -> String {
    match network {
        Network::Bridge => "bridge".to_owned(),
        Network::None => "none".to_owned(),
        Network::Host => "host".to_owned(),
        Network::Guest(other) => format!("container:{other}"),
        Network::Named(name) => name.clone(),
    }
}

fn read_network(mode: &str) -> Result<Network> {
    match mode {
        "" | "default" | "bridge" => Ok(Network::Bridge),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        mode if mode == "container" || mode.starts_with("container:") => partner(mode)
            .map(Network::Guest)
            .ok_or_else(|| Refusal::invalid("invalid container format container:<name|id>")),
        name => Ok(Network::Named(name.to_owned())),
    }
}

/// The guest that `container:NAME` names.
fn partner(mode: &str) -> Option<String> {
    mode.strip_prefix("container:").filter(|name| !name.is_empty()).map(str::to_owned)
}

fn host_or_own(what: &str, mode: &str, own: &str) -> Result<bool> {
    match mode {
        "host" => Ok(true),
        "" => Ok(false),
        mode if mode == own => Ok(false),
        mode => Err(bad(what, mode)),
    }
}

fn bad(what: &str, mode: &str) -> Refusal {
    Refusal::invalid(format_args!("invalid {what}: {}", quote(mode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(set: impl FnOnce(&mut HostConfig)) -> Result<HostConfig, String> {
        let mut host = HostConfig::default();
        set(&mut host);
        let mut back = HostConfig::default();
        write(&read(&host).map_err(|refusal| refusal.message)?, &mut back);
        Ok(back)
    }

    #[test]
    fn modes_survive_the_way_there_and_back() {
        let network =
            |mode: &str| with(|h| h.network_mode = mode.to_owned()).map(|h| h.network_mode);
        for mode in ["bridge", "none", "host", "container:web", "mine"] {
            assert_eq!(network(mode), Ok(mode.to_owned()));
        }
        assert_eq!(network("default"), Ok("bridge".to_owned()));
        for mode in ["container:", "container"] {
            assert_eq!(
                network(mode),
                Err("invalid container format container:<name|id>".to_owned())
            );
        }
        let ipc = |mode: &str| with(|h| h.ipc_mode = mode.to_owned()).map(|h| h.ipc_mode);
        for mode in ["private", "shareable", "none", "host", "container:a"] {
            assert_eq!(ipc(mode), Ok(mode.to_owned()));
        }
        assert_eq!(ipc("x"), Err("invalid IPC mode: x".to_owned()));
        let pid = |mode: &str| with(|h| h.pid_mode = mode.to_owned()).map(|h| h.pid_mode);
        for mode in ["", "host", "container:a"] {
            assert_eq!(pid(mode), Ok(mode.to_owned()));
        }
        assert_eq!(pid("container:"), Err("invalid PID mode: container:".to_owned()));
        assert_eq!(with(|h| h.uts_mode = "x".into()), Err("invalid UTS mode: x".to_owned()));
        assert!(with(|h| h.userns_mode = "x".into()).is_err());
        assert!(with(|h| h.cgroupns_mode = "x".into()).is_err());
        let all = with(|h| {
            h.uts_mode = "host".into();
            h.userns_mode = "host".into();
            h.cgroupns_mode = "host".into();
        });
        let all = all.unwrap();
        assert_eq!(
            (&*all.uts_mode, &*all.userns_mode, &*all.cgroupns_mode),
            ("host", "host", "host")
        );
    }
}
