//! Names of links and owners. Pure; what cannot be a name cannot be constructed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most bytes in a link's name: `IFNAMSIZ` less the NUL (`linux/if.h`).
pub const LINK_NAME_LEN_MAX: usize = 15;
/// Most bytes in an owner's id, so that a whole [`Tag`] fits in an alias (`IFALIASZ`, 256).
pub const ID_LEN_MAX: usize = 128;
/// Most bytes in an instance's name.
pub const INSTANCE_LEN_MAX: usize = 32;

/// The text cannot be a name of this kind.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid {what} {text:?}: {why}")]
pub struct BadName {
    what: &'static str,
    text: String,
    why: &'static str,
}

macro_rules! checked_text {
    ($name:ident, $check:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// The name of a network link.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct LinkName(String);
checked_text!(LinkName, check_link);

/// One engine on this machine. Names its nftables tables, and marks its links.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct Instance(String);
checked_text!(Instance, check_instance);

/// The id of a network or an endpoint, unique within its instance.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct OwnerId(String);
checked_text!(OwnerId, check_id);

fn check_link(text: &str) -> Result<(), BadName> {
    let bad = |why| BadName { what: "link name", text: text.to_owned(), why };
    // As `dev_valid_name` (net/core/dev.c), and no `%`: the kernel takes `%d` for a template.
    if text.is_empty() || text.len() > LINK_NAME_LEN_MAX {
        return Err(bad("expected 1 to 15 bytes"));
    }
    if text == "." || text == ".." {
        return Err(bad("it would be a path"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:%\"\\".contains(&byte)) {
        return Err(bad("expected printable ASCII without / : % \" \\"));
    }
    // Directories of /proc/sys/net/ipv4/conf that stand for no link.
    if text == "all" || text == "default" {
        return Err(bad("the kernel gives it another meaning"));
    }
    Ok(())
}

fn check_instance(text: &str) -> Result<(), BadName> {
    let bad = |why| BadName { what: "instance", text: text.to_owned(), why };
    if text.is_empty() || text.len() > INSTANCE_LEN_MAX {
        return Err(bad("expected 1 to 32 bytes"));
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !text.bytes().all(word) || !text.as_bytes()[0].is_ascii_alphabetic() {
        return Err(bad("expected a letter, then letters, digits, _ or -"));
    }
    Ok(())
}

fn check_id(text: &str) -> Result<(), BadName> {
    let bad = |why| BadName { what: "id", text: text.to_owned(), why };
    if text.is_empty() || text.len() > ID_LEN_MAX {
        return Err(bad("expected 1 to 128 bytes"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        return Err(bad("expected letters, digits, _ . or -"));
    }
    Ok(())
}

/// What a link is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The bridge of a network.
    Network,
    /// The host's end of a guest's link.
    Endpoint,
}

/// Who owns a link: its alias in the kernel, `hull:<instance>:<role>:<id>`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Tag {
    /// The engine.
    pub instance: Instance,
    /// What for.
    pub role: Role,
    /// Which one.
    pub id: OwnerId,
}

impl Tag {
    /// The name of this owner's link: `hbr` or `hull` and a hash, always [`LINK_NAME_LEN_MAX`] long.
    ///
    /// It depends on the instance too, so engines side by side do not collide. 55 bits or more of
    /// SHA-256: two of a million links collide with probability 10⁻⁵, and are then refused, not mixed.
    pub fn link_name(&self) -> LinkName {
        const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let prefix = match self.role {
            Role::Network => "hbr",
            Role::Endpoint => "hull",
        };
        let mut name = prefix.to_owned();
        let hash = Sha256::digest(self.to_string());
        let digits = hash.iter().map(|byte| char::from(DIGITS[usize::from(byte & 31)]));
        name.extend(digits.take(LINK_NAME_LEN_MAX - prefix.len()));
        LinkName(name)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Network => "network",
            Role::Endpoint => "endpoint",
        };
        write!(f, "hull:{}:{role}:{}", self.instance, self.id)
    }
}

impl FromStr for Tag {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = |why| BadName { what: "owner", text: text.to_owned(), why };
        let parts: Vec<&str> = text.splitn(4, ':').collect();
        let ["hull", instance, role, id] = parts[..] else {
            return Err(bad("expected hull:<instance>:<role>:<id>"));
        };
        let role = match role {
            "network" => Role::Network,
            "endpoint" => Role::Endpoint,
            _ => return Err(bad("expected the role network or endpoint")),
        };
        Ok(Self { instance: instance.parse()?, role, id: id.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_link_names_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "../../x",
            "eth%d",
            "a b",
            "a:1",
            "a\0",
            "a\n",
            "é",
            "all",
            "default",
            "a\"b",
            "sixteen-bytes-ab",
        ] {
            assert!(bad.parse::<LinkName>().is_err(), "{bad:?}");
        }
        for good in ["eth0", "hull0", "a", "br-0123456789ab", "eth0.100"] {
            assert!(good.parse::<LinkName>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn an_owner_survives_the_way_to_an_alias_and_back() {
        let tag: Tag = "hull:hull:endpoint:abc.1".parse().unwrap();
        assert_eq!(tag.to_string().parse(), Ok(tag));
        for bad in [
            "",
            "hull",
            "hull:a",
            "hull:a:b:c",
            "hull::network:x",
            "x:a:network:b",
            "hull:a:network:",
            "hull:a:network:b:c",
            "hull:a b:network:c",
        ] {
            assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn link_names_differ_by_id_role_and_instance_and_fit() {
        let name = |text: &str| text.parse::<Tag>().unwrap().link_name();
        let names = [
            name("hull:hull:endpoint:a"),
            name("hull:hull:endpoint:b"),
            name("hull:hull:network:a"),
            name("hull:other:endpoint:a"),
        ];
        for (at, one) in names.iter().enumerate() {
            assert_eq!(one.as_str().parse::<LinkName>().as_ref(), Ok(one));
            assert_eq!(one.as_str().len(), LINK_NAME_LEN_MAX);
            assert!(!names[at + 1..].contains(one));
        }
    }
}
