//! Which daemon to talk to.

use std::fmt;
use std::path::{Path, PathBuf};

/// The socket of the machine's own daemon.
const SYSTEM_SOCKET: &str = "/run/hull/hull.sock";

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// Host and port.
    Tcp(String),
}

/// The daemon chosen by flags and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) address: Address,
    /// Whether this is hull's own default, whose daemon the CLI may start.
    pub(crate) is_own: bool,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Tcp(authority) => write!(f, "tcp://{authority}"),
        }
    }
}

impl Host {
    /// Reads `unix:///path` or `tcp://host:port` (also `http://`, `https://`).
    ///
    /// # Errors
    /// A message that names the text when it is neither.
    pub(crate) fn parse(text: &str, tls: bool) -> Result<Self, String> {
        let invalid = || format!("unable to parse docker host `{text}`");
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let address = match scheme {
            "unix" if rest.starts_with('/') => Address::Unix(PathBuf::from(rest)),
            "tcp" | "http" | "https" => Address::Tcp(authority(rest, tls).ok_or_else(invalid)?),
            _ => return Err(invalid()),
        };
        Ok(Self { address, is_own: false })
    }

    /// hull's own daemon: the machine's; for users other than root their own, if there is no other.
    pub(crate) fn own(is_root: bool, runtime_dir: Option<&Path>) -> Self {
        let system = PathBuf::from(SYSTEM_SOCKET);
        let path = match runtime_dir {
            Some(directory) if !is_root && !system.exists() => directory.join("hull/hull.sock"),
            Some(_) | None => system,
        };
        Self { address: Address::Unix(path), is_own: true }
    }
}

/// `host:port` with Docker's default ports, without a path.
fn authority(text: &str, tls: bool) -> Option<String> {
    let text = text.split_once('/').map_or(text, |(authority, _)| authority);
    let port = if tls { 2376 } else { 2375 };
    match text.rsplit_once(':') {
        // A colon inside brackets belongs to an IPv6 address.
        Some((host, number)) if !number.ends_with(']') => {
            number.parse::<u16>().ok()?;
            let host = if host.is_empty() { "127.0.0.1" } else { host };
            Some(format!("{host}:{number}"))
        }
        Some(_) | None if text.is_empty() => None,
        Some(_) | None => Some(format!("{text}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_read_as_docker_reads_them() {
        let read = |text| Host::parse(text, false).map(|host| host.to_string());
        for (text, want) in [
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("tcp://1.2.3.4:99", "tcp://1.2.3.4:99"),
            ("tcp://name", "tcp://name:2375"),
            ("tcp://[::1]:5", "tcp://[::1]:5"),
            ("tcp://[::1]", "tcp://[::1]:2375"),
            ("tcp://:2375", "tcp://127.0.0.1:2375"),
            ("http://a:1/v1", "tcp://a:1"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(want), "{text}");
        }
        for text in ["", "x", "unix://relative", "ssh://a", "tcp://", "tcp://a:b", "tcp://a:70000"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
