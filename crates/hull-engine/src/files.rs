//! A guest's `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`. Pure but for [`write`].

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use hull_model::guest::Dns;
use hull_model::id::GuestId;

use crate::record::{Endpoint, GuestRecord};

/// Name servers of a guest whose host has none that it could reach: Docker's choice (moby
/// `libnetwork/internal/resolvconf`).
const FALLBACK: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// The host's own files, for guests that share its network or its name servers.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostFiles {
    pub(crate) hosts: String,
    pub(crate) resolv_conf: String,
}

impl HostFiles {
    /// Reads them. Where the host asks a local stub, the servers behind it are what counts.
    pub(crate) fn read() -> Self {
        // A host without them has nothing to say.
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut resolv_conf = read("/etc/resolv.conf");
        if name_servers(&resolv_conf).all(|server| server == "127.0.0.53") {
            let behind = read("/run/systemd/resolve/resolv.conf");
            if !behind.is_empty() {
                resolv_conf = behind;
            }
        }
        Self { hosts: read("/etc/hosts"), resolv_conf }
    }
}

/// The three files of a guest.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct GuestFiles {
    hosts: String,
    hostname: String,
    resolv_conf: String,
}

/// The name a guest gives itself.
pub(crate) fn hostname(record: &GuestRecord) -> String {
    let asked = &record.spec.hostname;
    if asked.is_empty() { short(&record.id) } else { asked.clone() }
}

fn short(id: &GuestId) -> String {
    id.short()
}

/// The files of a guest. `shares_host` for one with the host's network.
pub(crate) fn plan(
    record: &GuestRecord,
    host: &HostFiles,
    dns: &Dns,
    shares_host: bool,
) -> GuestFiles {
    let name = hostname(record);
    let mut hosts = if shares_host { host.hosts.clone() } else { own_hosts() };
    let gateway = record.endpoint.as_ref().map(|endpoint| endpoint.gateway);
    for entry in &record.spec.extra_hosts {
        if let Some((name, address)) = entry.split_once([':', '=']) {
            let address = match (address, gateway) {
                ("host-gateway", Some(gateway)) => gateway.to_string(),
                ("host-gateway", None) => "127.0.0.1".to_owned(),
                (address, _) => address.trim_matches(['[', ']']).to_owned(),
            };
            line(&mut hosts, &format!("{address}\t{name}"));
        }
    }
    if let Some(Endpoint { address, .. }) = &record.endpoint {
        let domain = &record.spec.domainname;
        let full = if domain.is_empty() { String::new() } else { format!("{name}.{domain} ") };
        line(&mut hosts, &format!("{address}\t{full}{name}"));
    }
    let resolv_conf = resolv_conf(&record.spec.dns, dns, &host.resolv_conf, shares_host);
    GuestFiles { hosts, hostname: format!("{name}\n"), resolv_conf }
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

fn own_hosts() -> String {
    "127.0.0.1\tlocalhost\n\
     ::1\tlocalhost ip6-localhost ip6-loopback\n\
     fe00::\tip6-localnet\n\
     ff00::\tip6-mcastprefix\n\
     ff02::1\tip6-allnodes\n\
     ff02::2\tip6-allrouters\n"
        .to_owned()
}

/// The guest's wishes, then the daemon's, then what the host does, without what only the host
/// itself can reach.
fn resolv_conf(guest: &Dns, daemon: &Dns, host: &str, shares_host: bool) -> String {
    if shares_host && *guest == Dns::default() && *daemon == Dns::default() {
        return host.to_owned();
    }
    let first = |wanted: [&Vec<String>; 2], of_host: &str| {
        let wanted = wanted.into_iter().find(|list| !list.is_empty());
        wanted.map(|list| list.join(" ")).or_else(|| last_value(host, of_host))
    };
    let mut text = String::new();
    let wanted = [&guest.servers, &daemon.servers].into_iter().find(|list| !list.is_empty());
    let servers: Vec<String> = match wanted {
        Some(list) => list.iter().map(ToString::to_string).collect(),
        None => {
            let usable = |server: &&str| shares_host || !is_loopback(server);
            name_servers(host).filter(usable).map(str::to_owned).collect()
        }
    };
    let fallback = servers.is_empty().then_some(FALLBACK);
    let servers = servers.iter().map(String::as_str).chain(fallback.into_iter().flatten());
    for server in servers {
        line(&mut text, &format!("nameserver {server}"));
    }
    if let Some(search) = first([&guest.search, &daemon.search], "search")
        && search != "."
    {
        line(&mut text, &format!("search {search}"));
    }
    if let Some(options) = first([&guest.options, &daemon.options], "options") {
        line(&mut text, &format!("options {options}"));
    }
    text
}

fn name_servers(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten()
    })
}

fn is_loopback(server: &str) -> bool {
    server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The last line of this keyword counts (`resolv.conf(5)`).
fn last_value(text: &str, keyword: &str) -> Option<String> {
    let value = |line: &str| {
        Some(line.trim().strip_prefix(keyword)?.strip_prefix([' ', '\t'])?.trim().to_owned())
    };
    text.lines().rev().find_map(value)
}

impl GuestFiles {
    /// Writes them into the guest's directory. Over the old ones and not beside: a running
    /// guest that shares them has these very files mounted.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        fs::write(dir.join("hosts"), &self.hosts)?;
        fs::write(dir.join("hostname"), &self.hostname)?;
        fs::write(dir.join("resolv.conf"), &self.resolv_conf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(servers: &[&str], search: &[&str]) -> Dns {
        Dns {
            servers: servers.iter().map(|text| text.parse().unwrap()).collect(),
            search: search.iter().map(|text| (*text).to_owned()).collect(),
            options: Vec::new(),
        }
    }

    #[test]
    fn name_servers_come_from_guest_then_daemon_then_host() {
        let host = "# x\nnameserver 127.0.0.1\nnameserver 9.9.9.9\nsearch a\nsearch b c\noptions ndots:2\n";
        let none = Dns::default();
        let read = |guest: &Dns, daemon: &Dns| resolv_conf(guest, daemon, host, false);
        assert_eq!(read(&none, &none), "nameserver 9.9.9.9\nsearch b c\noptions ndots:2\n");
        let daemon = dns(&["1.1.1.1"], &[]);
        assert!(read(&none, &daemon).starts_with("nameserver 1.1.1.1\n"));
        let guest = dns(&["127.0.0.5"], &["."]);
        assert_eq!(read(&guest, &daemon), "nameserver 127.0.0.5\noptions ndots:2\n");
        assert_eq!(resolv_conf(&none, &none, host, true), host);
        let fallback = resolv_conf(&none, &none, "nameserver ::1", false);
        assert_eq!(fallback, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    }
}
