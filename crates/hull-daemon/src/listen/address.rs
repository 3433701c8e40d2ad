//! Addresses of `-H`, in Docker's notation.

use std::fmt;
use std::path::PathBuf;

/// Where to listen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Address {
    /// `unix:///run/hull/hull.sock`.
    Unix(PathBuf),
    /// `tcp://host:port`, as `host:port`.
    Tcp(String),
    /// `fd://`: what systemd passes.
    Inherited(Which),
}

/// Which of the passed sockets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Which {
    /// `fd://` or `fd://*`.
    All,
    /// `fd://3`: one descriptor by its number.
    Number(i32),
}

/// The text is not an address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "invalid host {text:?}: {why}; hint: unix:///path, tcp://host:port or fd:// are understood"
)]
pub(crate) struct BadAddress {
    text: String,
    why: &'static str,
}

/// The port of Docker over TLS.
const TLS_PORT: u16 = 2376;
/// Longest path of a unix socket (`unix(7)`, with the closing zero).
const PATH_MAX: usize = 107;

impl Address {
    /// Reads one; `default` is the path of a bare `unix://`.
    ///
    /// # Errors
    /// If it is of no known form.
    pub(crate) fn parse(text: &str, default: &std::path::Path) -> Result<Self, BadAddress> {
        let bad = |why| BadAddress { text: text.to_owned(), why };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        match scheme {
            "unix" if rest.is_empty() => Ok(Self::Unix(default.to_owned())),
            "unix" if !rest.starts_with('/') => Err(bad("the path of a socket must be absolute")),
            "unix" if rest.len() > PATH_MAX => Err(bad("the path is longer than 107 bytes")),
            "unix" if rest.ends_with('/') => Err(bad("the path names a directory")),
            "unix" => Ok(Self::Unix(PathBuf::from(rest))),
            "tcp" => authority(rest).map(Self::Tcp).ok_or_else(|| bad("expected host:port")),
            "fd" if matches!(rest, "" | "*") => Ok(Self::Inherited(Which::All)),
            "fd" => match rest.parse() {
                Ok(number) if number >= 3 => Ok(Self::Inherited(Which::Number(number))),
                Ok(_) | Err(_) => Err(bad("expected a descriptor number from 3")),
            },
            _ => Err(bad("unknown scheme")),
        }
    }
}

/// `host:port`; without a host it is `localhost`, as Docker's daemon has it.
fn authority(text: &str) -> Option<String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.rsplit_once(':') {
        // A colon inside brackets belongs to an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().ok()?),
        Some(_) | None => (text, TLS_PORT),
    };
    let host = if host.is_empty() { "localhost" } else { host };
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let fits = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    };
    fits.then(|| format!("{host}:{port}"))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(authority) => write!(f, "tcp://{authority}"),
            Self::Inherited(Which::All) => f.write_str("fd://"),
            Self::Inherited(Which::Number(number)) => write!(f, "fd://{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, BadAddress> {
        Address::parse(text, std::path::Path::new("/d.sock")).map(|address| address.to_string())
    }

    #[test]
    fn addresses_are_read_as_dockerd_reads_them() {
        for (text, want) in [
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("unix://", "unix:///d.sock"),
            ("tcp://0.0.0.0:2376", "tcp://0.0.0.0:2376"),
            ("tcp://", "tcp://localhost:2376"),
            ("tcp://:99", "tcp://localhost:99"),
            ("tcp://[::1]:5", "tcp://[::1]:5"),
            ("tcp://[::]", "tcp://[::]:2376"),
            ("tcp://host.example/", "tcp://host.example:2376"),
            ("fd://", "fd://"),
            ("fd://*", "fd://"),
            ("fd://3", "fd://3"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        let long = format!("unix:///{}", "x".repeat(107));
        for text in [
            "",
            "/run/x.sock",
            "unix://relative",
            "unix:///run/",
            &long,
            "tcp://a:b",
            "tcp://a:70000",
            "tcp://a b:1",
            "tcp://[x]:1",
            "tcp://::1",
            "fd://2",
            "fd://x",
            "http://a",
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid host {text:?}: ")), "{error}");
        }
    }
}
