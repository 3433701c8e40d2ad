//! `-p` and `--expose`: ports, ranges and addresses. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::wire::create::{Empty, PortBinding, Set};

/// Bindings as the API wants them: by `port/protocol`.
pub(crate) type Bindings = BTreeMap<String, Vec<PortBinding>>;

/// A range of ports with both ends in it; 0 is not a port but "any".
#[derive(Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self { first: port(first)?, last: port(last)? };
        (range.first <= range.last).then_some(range)
    }

    fn len(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }
}

/// A decimal number that fits; `parse` alone would also take a sign.
fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Reads `[[IP:]HOST:]CONTAINER[/PROTOCOL]` into exposed ports and bindings.
pub(crate) fn publish(
    spec: &str,
    exposed: &mut Set,
    bindings: &mut Bindings,
) -> Result<(), String> {
    let (address, host, rest) = split(spec)?;
    let (container, protocol) = rest.split_once('/').unwrap_or((rest, "tcp"));
    let protocol = known_protocol(protocol)?;
    if container.is_empty() {
        return Err(format!("no port specified: {spec}<empty>"));
    }
    let ports = Range::parse(container).ok_or(format!("invalid containerPort: {container}"))?;
    let hosts = match host {
        "" => None,
        host => Some(Range::parse(host).ok_or(format!("invalid hostPort: {host}"))?),
    };
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {address}"));
    }
    if let Some(hosts) = hosts
        && hosts.len() != ports.len()
        && ports.len() != 1
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        ));
    }
    for port in ports.first..=ports.last {
        let host_port = match hosts {
            None => String::new(),
            // One port of the container, a range on the host: the server chooses one of it.
            Some(hosts) if hosts.len() != ports.len() => format!("{}-{}", hosts.first, hosts.last),
            Some(hosts) => (hosts.first + (port - ports.first)).to_string(),
        };
        let key = format!("{port}/{protocol}");
        exposed.insert(key.clone(), Empty {});
        bindings
            .entry(key)
            .or_default()
            .push(PortBinding { host_ip: address.to_owned(), host_port });
    }
    Ok(())
}

/// Splits at the colons that are not part of a bracketed IPv6 address.
fn split(spec: &str) -> Result<(&str, &str, &str), String> {
    if let Some(bracketed) = spec.strip_prefix('[') {
        let (address, rest) =
            bracketed.split_once("]:").ok_or(format!("invalid IP address: {spec}"))?;
        let (host, container) = rest.split_once(':').unwrap_or(("", rest));
        return Ok((address, host, container));
    }
    Ok(match spec.rsplit_once(':') {
        None => ("", "", spec),
        Some((rest, container)) => match rest.rsplit_once(':') {
            None => ("", rest, container),
            Some((address, host)) => (address, host, container),
        },
    })
}

fn known_protocol(text: &str) -> Result<String, String> {
    let protocol = text.to_ascii_lowercase();
    match protocol.as_str() {
        "tcp" | "udp" | "sctp" => Ok(protocol),
        "" => Ok("tcp".to_owned()),
        _ => Err(format!("invalid proto: {text}")),
    }
}

/// Reads `PORT[-PORT][/PROTOCOL]`.
pub(crate) fn expose(spec: &str, exposed: &mut Set) -> Result<(), String> {
    if spec.contains(':') {
        return Err(format!("invalid port format for --expose: {spec}"));
    }
    let (ports, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
    let protocol = known_protocol(protocol)?;
    let range = Range::parse(ports)
        .ok_or(format!("invalid range format for --expose: {ports}, error: invalid port"))?;
    for port in range.first..=range.last {
        exposed.insert(format!("{port}/{protocol}"), Empty {});
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(spec: &str) -> Result<String, String> {
        let (mut exposed, mut bindings) = (Set::new(), Bindings::new());
        publish(spec, &mut exposed, &mut bindings)?;
        assert!(exposed.keys().eq(bindings.keys()));
        let shown = bindings.iter().flat_map(|(port, list)| {
            list.iter().map(move |b| format!("{}|{}->{port}", b.host_ip, b.host_port))
        });
        Ok(shown.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn every_form_of_a_published_port() {
        for (spec, want) in [
            ("80", "|->80/tcp"),
            ("8080:80", "|8080->80/tcp"),
            ("127.0.0.1:8080:80/udp", "127.0.0.1|8080->80/udp"),
            ("127.0.0.1::80", "127.0.0.1|->80/tcp"),
            ("[::1]:8080:80", "::1|8080->80/tcp"),
            ("::1:8080:80", "::1|8080->80/tcp"),
            ("3000-3001:4000-4001", "|3000->4000/tcp |3001->4001/tcp"),
            ("8000-8010:80", "|8000-8010->80/tcp"),
            ("0:80/SCTP", "|0->80/sctp"),
            ("65535:65535", "|65535->65535/tcp"),
        ] {
            assert_eq!(published(spec).as_deref(), Ok(want), "{spec}");
        }
        for spec in
            ["", "a:b", "70000:80", "80:", "1-2:1-3", "2-1:1", "x:1:1", "1:1/x", "[::1:80", "+1:80"]
        {
            assert!(published(spec).is_err(), "{spec}");
        }
    }

    #[test]
    fn exposed_ports_may_be_ranges() {
        let mut exposed = Set::new();
        expose("99", &mut exposed).unwrap();
        expose("100-101/udp", &mut exposed).unwrap();
        assert_eq!(exposed.keys().cloned().collect::<Vec<_>>(), ["100/udp", "101/udp", "99/tcp"]);
        assert_eq!(
            expose("80:90", &mut exposed),
            Err("invalid port format for --expose: 80:90".to_owned())
        );
        assert!(expose("1-x", &mut exposed).is_err());
    }
}
