//! Names that people give: guests and volumes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A guest's or a volume's name: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, as Docker's, at most 255 bytes.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct Name(String);

/// The text is not a name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
pub struct BadName(String);

impl Name {
    /// Longest name: what a file name can hold (`NAME_MAX`).
    const LEN_MAX: usize = 255;

    /// Checks `text`.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if first && rest && (2..=Self::LEN_MAX).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName(text.chars().take(Self::LEN_MAX).collect()))
        }
    }

    /// A friendly name from a random number. `attempt` above 0 appends a digit of the seed, so that
    /// a busy host still finds a free one.
    pub fn random(seed: u64, attempt: u32) -> Self {
        let pick = |list: &[&str], n: u64| {
            list[usize::try_from(n % list.len() as u64).unwrap_or(0)].to_owned()
        };
        let mut name = pick(QUALITIES, seed) + "_" + &pick(VESSELS, seed / 1_009);
        if attempt > 0 {
            name += &(seed / 7_919 % 1_000).to_string();
        }
        Self(name)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        Self::new(&text)
    }
}

const QUALITIES: &[&str] = &[
    "able", "agile", "amber", "ample", "bold", "brave", "breezy", "bright", "brisk", "calm",
    "candid", "clever", "cosy", "crisp", "curious", "daring", "deft", "eager", "early", "earnest",
    "fair", "fleet", "fond", "frank", "fresh", "gentle", "glad", "golden", "grand", "handy",
    "hardy", "honest", "jolly", "keen", "kind", "light", "lively", "loyal", "lucid", "lucky",
    "mellow", "merry", "mild", "modest", "neat", "nimble", "noble", "patient", "placid", "plucky",
    "proud", "quick", "quiet", "ready", "robust", "rosy", "serene", "sharp", "silver", "sincere",
    "sleek", "smart", "snug", "sober", "solid", "spry", "stable", "steady", "stout", "sunny",
    "sure", "swift", "tidy", "trim", "true", "vivid", "warm", "wise",
];

const VESSELS: &[&str] = &[
    "argosy",
    "ark",
    "barge",
    "barque",
    "brig",
    "canoe",
    "caravel",
    "carrack",
    "catboat",
    "clipper",
    "cog",
    "coracle",
    "corvette",
    "cruiser",
    "cutter",
    "dhow",
    "dinghy",
    "dory",
    "drifter",
    "ferry",
    "flyboat",
    "frigate",
    "galleon",
    "galley",
    "gig",
    "gondola",
    "hoy",
    "icebreaker",
    "jolly_boat",
    "junk",
    "kayak",
    "ketch",
    "knarr",
    "launch",
    "lifeboat",
    "lighter",
    "liner",
    "longship",
    "lugger",
    "packet",
    "pinnace",
    "pilot",
    "pram",
    "prau",
    "punt",
    "raft",
    "sampan",
    "schooner",
    "scow",
    "shallop",
    "skiff",
    "sloop",
    "smack",
    "snow",
    "steamer",
    "tall_ship",
    "tanker",
    "tender",
    "trawler",
    "trimaran",
    "trireme",
    "tug",
    "whaler",
    "wherry",
    "xebec",
    "yacht",
    "yawl",
    "yoal",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dockers() {
        for good in ["ab", "web-1", "a.b_c-d", "0x"] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a", "-a", "/ab", "a b", "a/b", "né", &"x".repeat(256), "a\n", "..", "_x"]
        {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn random_names_are_names() {
        for seed in (0..u64::MAX).step_by(usize::MAX / 500) {
            for attempt in 0..2 {
                let name = Name::random(seed, attempt);
                assert_eq!(Name::new(name.as_str()), Ok(name));
            }
        }
    }
}
