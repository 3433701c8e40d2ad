//! Which hosts a registry is reached at, and how far each is trusted.

use std::collections::HashMap;
use std::net::IpAddr;

use http::Uri;
use http::uri::{Authority, Scheme};
use ipnet::IpNet;

use crate::config::{Config, ConfigError};

/// Where Docker Hub serves the registry API (distribution `registry/config.go`).
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// A scheme, host and port: what a credential or a token may be sent to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    /// In lower case, with its port unless that is the scheme's own.
    pub(crate) authority: String,
}

impl Origin {
    pub(crate) fn new(scheme: Scheme, authority: &Authority) -> Self {
        let host = authority.host().to_ascii_lowercase();
        let usual = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let authority = match authority.port_u16() {
            Some(port) if port != usual => format!("{host}:{port}"),
            _ => host,
        };
        Self { scheme, authority }
    }

    /// `None` for anything but an absolute http or https URL.
    pub(crate) fn of(url: &Uri) -> Option<Self> {
        let scheme = url.scheme()?;
        let known = *scheme == Scheme::HTTPS || *scheme == Scheme::HTTP;
        known.then_some(Self::new(scheme.clone(), url.authority()?))
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.scheme == Scheme::HTTP
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// One place to ask: a mirror or the registry itself.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// The schemes to try, in order.
    pub(crate) origins: Vec<Origin>,
    /// Whether it stands in for the registry; it then gets no credentials.
    pub(crate) is_mirror: bool,
}

/// All that is configured about hosts, checked.
#[derive(Debug)]
pub(crate) struct Hosts {
    mirrors: HashMap<String, Vec<Origin>>,
    /// By authority of https: whether its certificate is checked.
    checked: HashMap<String, bool>,
    insecure_networks: Vec<IpNet>,
}

impl Hosts {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut mirrors = HashMap::new();
        let mut checked = HashMap::new();
        for (registry, settings) in &config.registries {
            let authority =
                parse_authority(registry).ok_or_else(|| ConfigError::Registry(registry.clone()))?;
            let own = settings.mirrors.iter().map(|mirror| {
                parse_mirror(mirror).ok_or_else(|| ConfigError::Mirror {
                    registry: registry.clone(),
                    mirror: mirror.clone(),
                })
            });
            mirrors.insert(registry.clone(), own.collect::<Result<_, _>>()?);
            // Whoever gave certificates for a host wants them checked, on the loopback too.
            if settings.insecure || !settings.authorities.is_empty() {
                let origin = Origin::new(Scheme::HTTPS, &authority);
                checked.insert(origin.authority, !settings.insecure);
            }
        }
        Ok(Self { mirrors, checked, insecure_networks: config.insecure_networks.clone() })
    }

    /// Where to pull `registry`'s images from: its mirrors, then itself.
    pub(crate) fn to_pull(&self, registry: &str) -> Result<Vec<Endpoint>, ConfigError> {
        let mirrors = self.mirrors.get(registry).into_iter().flatten();
        let mut endpoints: Vec<_> = mirrors
            .map(|origin| Endpoint { origins: vec![origin.clone()], is_mirror: true })
            .collect();
        endpoints.push(self.to_push(registry)?);
        Ok(endpoints)
    }

    /// The registry itself.
    pub(crate) fn to_push(&self, registry: &str) -> Result<Endpoint, ConfigError> {
        let authority =
            parse_authority(registry).ok_or_else(|| ConfigError::Registry(registry.to_owned()))?;
        let mut origins = vec![Origin::new(Scheme::HTTPS, &authority)];
        if !self.is_checked(&authority) {
            origins.push(Origin::new(Scheme::HTTP, &authority));
        }
        Ok(Endpoint { origins, is_mirror: false })
    }

    /// Whether a host must prove who it is: all must, but those listed and the loopback.
    pub(crate) fn is_checked(&self, authority: &Authority) -> bool {
        let origin = Origin::new(Scheme::HTTPS, authority);
        if let Some(checked) = self.checked.get(&origin.authority) {
            return *checked;
        }
        let address = address(authority.host());
        let listed = address.is_some_and(|address| {
            self.insecure_networks.iter().any(|network| network.contains(&address))
        });
        !listed && !is_loopback(authority.host())
    }
}

/// The host of a registry as named in references; Docker Hub's is another than its name.
pub(crate) fn parse_authority(registry: &str) -> Option<Authority> {
    let host = if registry == "docker.io" { DOCKER_HUB_HOST } else { registry };
    let authority: Authority = host.parse().ok()?;
    // The parser takes any port, and then knows none.
    let port = authority.as_str().strip_prefix(authority.host())?;
    let port_is_number =
        port.is_empty() || port.strip_prefix(':')?.parse::<u16>().is_ok_and(|port| port > 0);
    (port_is_number && !authority.host().is_empty()).then_some(authority)
}

fn parse_mirror(url: &str) -> Option<Origin> {
    let url: Uri = url.parse().ok()?;
    parse_authority(url.authority()?.as_str())?;
    let has_path = !matches!(url.path(), "" | "/") || url.query().is_some();
    if has_path { None } else { Origin::of(&url) }
}

/// `localhost`, or an address of the loopback (Docker trusts these: moby `registry/config.go`).
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || address(host).is_some_and(|address| address.to_canonical().is_loopback())
}

fn address(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(host).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Registry;

    fn origins(config: &Config, registry: &str) -> String {
        let hosts = Hosts::new(config).unwrap();
        let all = hosts.to_pull(registry).unwrap().into_iter().flat_map(|e| e.origins);
        all.map(|origin| origin.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn http_is_only_for_the_loopback_and_what_is_listed() {
        let mut config = Config::default();
        config.insecure_networks.push("10.0.0.0/8".parse().unwrap());
        let insecure = Registry { insecure: true, ..Registry::default() };
        config.registries.insert("old.example".to_owned(), insecure);
        let authorities = Registry { authorities: b"x".to_vec(), ..Registry::default() };
        config.registries.insert("localhost:5001".to_owned(), authorities);
        for (registry, expected) in [
            ("docker.io", "https://registry-1.docker.io"),
            ("Quay.io:443", "https://quay.io"),
            ("localhost:5000", "https://localhost:5000 http://localhost:5000"),
            ("localhost:5001", "https://localhost:5001"),
            ("127.9.9.9", "https://127.9.9.9 http://127.9.9.9"),
            ("[::1]:80", "https://[::1]:80 http://[::1]"),
            ("[::ffff:127.0.0.1]:1", "https://[::ffff:127.0.0.1]:1 http://[::ffff:127.0.0.1]:1"),
            ("10.1.2.3:1", "https://10.1.2.3:1 http://10.1.2.3:1"),
            ("old.example", "https://old.example http://old.example"),
            ("old.example:5000", "https://old.example:5000"),
            ("localhost.evil.example", "https://localhost.evil.example"),
            ("127.0.0.1.evil.example", "https://127.0.0.1.evil.example"),
        ] {
            assert_eq!(origins(&config, registry), expected);
        }
    }

    #[test]
    fn mirrors_come_first_and_are_checked() {
        let with = |mirror: &str| {
            let mut config = Config::default();
            let mirrors = vec![mirror.to_owned()];
            let registry = Registry { mirrors, ..Registry::default() };
            config.registries.insert("docker.io".to_owned(), registry);
            config
        };
        assert_eq!(
            origins(&with("http://mirror:5000/"), "docker.io"),
            "http://mirror:5000 https://registry-1.docker.io"
        );
        for bad in ["", "mirror", "ftp://a", "http://a/b", "https://u:p@a", "http://a:x", "http://"]
        {
            assert!(Hosts::new(&with(bad)).is_err(), "{bad}");
        }
        for bad in ["", "a/b", "a@b", "a b", "a:", "a:99999"] {
            assert!(Hosts::new(&Config::default()).unwrap().to_push(bad).is_err(), "{bad}");
        }
    }
}
