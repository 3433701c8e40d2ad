//! Namespaces: the `…Mode` fields of `HostConfig`.

use hull_model::id_range::{IdRange, Kept};
use hull_model::namespace::{Ipc, Namespaces, Network, Share, Users};

use super::host_config::HostConfig;
use crate::refusal::{Refusal, Result, quote};

/// Who sent a request, where that is known: through a unix socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the kernel's names")]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
}

/// The namespaces that `host` asks for in the name of `caller`.
pub(super) fn read(host: &HostConfig, caller: Option<Caller>) -> Result<Namespaces> {
    let namespaces = Namespaces {
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
        user: read_users(&host.userns_mode, caller)?,
    };
    if let Some(other) = namespaces.user_conflict() {
        return Err(Refusal::invalid(format_args!(
            "conflicting options: the user namespace {} and {other}, which needs the host's; hint: \
             leave --userns out, or say --userns=host",
            quote(&host.userns_mode)
        )));
    }
    Ok(namespaces)
}

/// Docker's modes and Podman's.
fn read_users(mode: &str, caller: Option<Caller>) -> Result<Users> {
    let (name, options) = mode.split_once(':').unwrap_or((mode, ""));
    match (name, options) {
        ("", "") => Ok(Users::Default),
        ("host", "") => Ok(Users::Host),
        // Nobody's own ids are in a range of the pool, so "nomap" is what all of them are.
        ("private" | "nomap", "") => Ok(Users::Auto { size: IdRange::SIZE }),
        ("auto", options) => read_size(options).map(|size| Users::Auto { size }),
        ("keep-id", options) => read_kept(options, caller).map(Users::KeepId),
        ("container", _) => partner(mode).map(Users::Guest).ok_or_else(|| bad("userns mode", mode)),
        _ => Err(bad("userns mode", mode)),
    }
}

/// The options of `auto`.
fn read_size(options: &str) -> Result<u32> {
    let mut size = IdRange::SIZE;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        size = match option.split_once('=') {
            Some(("size", number)) => {
                number.parse().ok().filter(|size| *size > 0).ok_or_else(|| {
                    Refusal::invalid(format_args!(
                        "invalid userns mode: size={}: expected a number of ids above 0",
                        quote(number)
                    ))
                })?
            }
            _ => {
                return Err(Refusal::invalid(format_args!(
                    "invalid userns mode: auto has no option {:?}; expected size=NUMBER",
                    quote(option)
                )));
            }
        };
    }
    Ok(size)
}

/// The options of `keep-id`: who of the guest is the caller. Without a caller, or for root, whom
/// nobody needs to keep, they are the ids on the host too.
fn read_kept(options: &str, caller: Option<Caller>) -> Result<Kept> {
    let (mut uid, mut gid) = (None, None);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let place = match option.split_once('=') {
            Some(("uid", _)) => &mut uid,
            Some(("gid", _)) => &mut gid,
            _ => {
                return Err(Refusal::invalid(format_args!(
                    "invalid userns mode: keep-id has no option {:?}; expected uid=ID, gid=ID",
                    quote(option)
                )));
            }
        };
        let number = option.split_once('=').and_then(|(_, number)| number.parse::<u32>().ok());
        let in_range = number.filter(|id| *id < IdRange::SIZE);
        *place = Some(in_range.ok_or_else(|| {
            Refusal::invalid(format_args!(
                "invalid userns mode: {}: expected an id from 0 to 65535",
                quote(option)
            ))
        })?);
    }
    if let Some(Caller { uid: host_uid, gid: host_gid }) = caller.filter(|caller| caller.uid != 0) {
        let (uid, gid) = (uid.unwrap_or(host_uid), gid.unwrap_or(host_gid));
        return Ok(Kept { uid, gid, host_uid, host_gid });
    }
    match (uid, gid) {
        (Some(uid), gid) if uid != 0 && gid != Some(0) => {
            let gid = gid.unwrap_or(uid);
            Ok(Kept { uid, gid, host_uid: uid, host_gid: gid })
        }
        _ => Err(Refusal::invalid(
            "userns mode keep-id keeps the calling user, who is root or not known here (over TCP); \
             hint: name whom to keep: keep-id:uid=1000,gid=1000",
        )),
    }
}

fn write_users(users: &Users) -> String {
    match users {
        Users::Default => String::new(),
        Users::Host => "host".to_owned(),
        Users::Auto { size: IdRange::SIZE } => "auto".to_owned(),
        Users::Auto { size } => format!("auto:size={size}"),
        Users::KeepId(Kept { uid, gid, .. }) => format!("keep-id:uid={uid},gid={gid}"),
        Users::Guest(other) => format!("container:{other}"),
    }
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
    host.userns_mode = write_users(&namespaces.user);
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
        write(&read(&host, None).map_err(|refusal| refusal.message)?, &mut back);
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

    fn kept(mode: &str, caller: Option<Caller>) -> String {
        match read_users(mode, caller) {
            Ok(Users::KeepId(k)) => format!("{}:{}<{}:{}", k.uid, k.gid, k.host_uid, k.host_gid),
            Ok(other) => format!("{other:?}"),
            Err(refusal) => refusal.message,
        }
    }

    #[test]
    fn user_namespaces_are_dockers_and_podmans() {
        for (mode, users) in [
            ("", Users::Default),
            ("host", Users::Host),
            ("private", Users::Auto { size: 65_536 }),
            ("nomap", Users::Auto { size: 65_536 }),
            ("auto", Users::Auto { size: 65_536 }),
            ("auto:size=1000", Users::Auto { size: 1_000 }),
            ("container:web", Users::Guest("web".to_owned())),
        ] {
            assert_eq!(read_users(mode, None).unwrap(), users, "{mode}");
        }
        for mode in ["x", "host:1", "container:", "auto:size=0", "auto:size=-1", "auto:uid=5"] {
            let message = read_users(mode, None).unwrap_err().message;
            assert!(message.starts_with("invalid userns mode: "), "{mode}: {message}");
        }
        let both = with(|h| {
            h.userns_mode = "auto".into();
            h.network_mode = "host".into();
        });
        assert!(both.unwrap_err().contains("--network=host"));
    }

    #[test]
    fn keep_id_keeps_the_caller_or_whom_root_names() {
        let alice = Some(Caller { uid: 1_000, gid: 100 });
        let root = Some(Caller { uid: 0, gid: 0 });
        assert_eq!(kept("keep-id", alice), "1000:100<1000:100");
        assert_eq!(kept("keep-id:uid=5,gid=6", alice), "5:6<1000:100");
        assert_eq!(kept("keep-id:uid=0,gid=0", alice), "0:0<1000:100");
        assert_eq!(kept("keep-id:uid=5,gid=6", root), "5:6<5:6");
        assert_eq!(kept("keep-id:uid=5", None), "5:5<5:5");
        for (mode, caller) in [("keep-id", root), ("keep-id", None), ("keep-id:uid=0", root)] {
            assert!(kept(mode, caller).contains("keep-id:uid=1000"), "{mode}");
        }
        for mode in ["keep-id:uid=x", "keep-id:uid=65536", "keep-id:size=5"] {
            assert!(kept(mode, alice).starts_with("invalid userns mode"), "{mode}");
        }
    }
}
