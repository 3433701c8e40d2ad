//! Hardware addresses. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The hardware address of one link: neither a group's nor all zero.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac([u8; 6]);

/// The text is not the hardware address of one link.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid hardware address {0:?}: expected one link's, like 02:42:ac:11:00:02")]
pub struct BadMac(String);

impl Mac {
    /// The address of the link that has this IP address.
    ///
    /// `02:42` and the IPv4 address, as in Docker: an address that is given again has the same
    /// hardware address, so no neighbour's cache goes stale. For IPv6, `02` and a hash.
    pub fn for_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                Self([0x02, 0x42, a, b, c, d])
            }
            IpAddr::V6(address) => Self::hashed(0x02, &address.octets()),
        }
    }

    /// The address of the host's end of a link: high, so a bridge never takes it for its own.
    pub fn for_host_end(name: &str) -> Self {
        Self::hashed(0xfe, name.as_bytes())
    }

    fn hashed(first: u8, seed: &[u8]) -> Self {
        let hash = Sha256::digest(seed);
        Self([first, hash[0], hash[1], hash[2], hash[3], hash[4]])
    }

    /// The six bytes.
    pub fn octets(self) -> [u8; 6] {
        self.0
    }

    /// The link-local address the kernel makes of this hardware address (EUI-64, RFC 4291).
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl FromStr for Mac {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let bad = || BadMac(text.to_owned());
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(bad)?;
            if !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(bad());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_not_hex| bad())?;
        }
        // A group's address, or none, would be refused by the kernel later and less clearly.
        if parts.next().is_some() || octets[0] & 1 != 0 || octets == [0; 6] {
            return Err(bad());
        }
        Ok(Self(octets))
    }
}

impl TryFrom<String> for Mac {
    type Error = BadMac;

    fn try_from(text: String) -> Result<Self, BadMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_gives_dockers_hardware_address() {
        let mac = Mac::for_address("172.17.0.2".parse().unwrap());
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        assert_eq!(mac.link_local().to_string(), "fe80::42:acff:fe11:2");
        assert_eq!(mac.to_string().parse(), Ok(mac));
    }

    #[test]
    fn what_is_not_one_links_address_is_refused() {
        for bad in [
            "",
            "02:42",
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
            "02:42:ac:11:00:0g",
            "02:42:ac:11:00:02:03",
            "+2:42:ac:11:00:02",
            "2:42:ac:11:0:2",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad:?}");
        }
    }
}
