//! The ports of a container in one cell: `0.0.0.0:8080-8081->80-81/tcp, 90/udp`. Pure.

use serde::Deserialize;

/// One port as the API lists it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Port {
    #[serde(default, rename = "IP")]
    ip: String,
    private_port: u16,
    #[serde(default)]
    public_port: u16,
    r#type: String,
}

/// A run of neighbouring ports, published at the same distance.
struct Run {
    first: Port,
    length: u16,
}

impl Run {
    fn takes(&self, port: &Port) -> bool {
        let first = &self.first;
        let is_next = |from: u16, to: u16| from.checked_add(self.length) == Some(to);
        let is_public = first.public_port != 0;
        first.ip == port.ip
            && first.r#type == port.r#type
            && is_next(first.private_port, port.private_port)
            && (is_public == (port.public_port != 0))
            && (!is_public || is_next(first.public_port, port.public_port))
    }

    fn text(&self) -> String {
        let range = |from: u16| match self.length {
            1 => from.to_string(),
            length => format!("{from}-{}", from.saturating_add(length - 1)),
        };
        let Port { ip, private_port, public_port, r#type } = &self.first;
        let inside = format!("{}/{type}", range(*private_port), r#type = r#type);
        match (*public_port, ip.contains(':')) {
            (0, _) => inside,
            (public, true) => format!("[{ip}]:{}->{inside}", range(public)),
            (public, false) => format!("{ip}:{}->{inside}", range(public)),
        }
    }
}

/// All ports in one line, neighbours put together.
pub(crate) fn ports(ports: &[Port]) -> String {
    let mut sorted: Vec<&Port> = ports.iter().collect();
    sorted.sort_by(|a, b| {
        let key = |p: &Port| (p.ip.clone(), p.r#type.clone(), p.private_port, p.public_port);
        key(a).cmp(&key(b))
    });
    sorted.dedup_by_key(|p| (p.ip.clone(), p.r#type.clone(), p.private_port, p.public_port));
    let mut runs: Vec<Run> = Vec::new();
    for port in sorted {
        match runs.last_mut() {
            Some(run) if run.takes(port) => run.length += 1,
            Some(_) | None => runs.push(Run { first: port.clone(), length: 1 }),
        }
    }
    // Published ones first, as people look for those.
    let (published, private): (Vec<_>, Vec<_>) =
        runs.iter().partition(|run| run.first.public_port != 0);
    let texts: Vec<String> = published.into_iter().chain(private).map(Run::text).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_range() {
        let port = |ip: &str, private_port, public_port, kind: &str| Port {
            ip: ip.to_owned(),
            private_port,
            public_port,
            r#type: kind.to_owned(),
        };
        let list = [
            port("", 90, 0, "udp"),
            port("0.0.0.0", 81, 8081, "tcp"),
            port("0.0.0.0", 80, 8080, "tcp"),
            port("::", 80, 8080, "tcp"),
            port("0.0.0.0", 82, 9000, "tcp"),
            port("", 65535, 0, "tcp"),
            port("", 65534, 0, "tcp"),
        ];
        assert_eq!(
            ports(&list),
            "0.0.0.0:8080-8081->80-81/tcp, 0.0.0.0:9000->82/tcp, [::]:8080->80/tcp, \
             65534-65535/tcp, 90/udp"
        );
        assert_eq!(ports(&[]), "");
    }
}
