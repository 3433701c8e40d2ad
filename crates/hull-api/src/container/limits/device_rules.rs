//! `DeviceCgroupRules`: `c 13:* rwm`.

use hull_model::security::{DeviceKind, DeviceRule};

use crate::refusal::{Refusal, Result, quote};

/// The rules, each of which allows (moby `daemon/container_operations_unix.go`,
/// `deviceCgroupRuleRegex`).
pub(in crate::container) fn read(texts: &[String]) -> Result<Vec<DeviceRule>> {
    let rule = |text: &String| {
        parse(text).ok_or_else(|| {
            Refusal::invalid(format_args!("invalid device cgroup rule format: '{}'", quote(text)))
        })
    };
    texts.iter().map(rule).collect()
}

/// Writes `rules` as [`read`] takes them.
pub(in crate::container) fn write(rules: &[DeviceRule]) -> Option<Vec<String>> {
    let text = |rule: &DeviceRule| {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |n| n.to_string());
        let kind = match rule.kind {
            DeviceKind::All => 'a',
            DeviceKind::Block => 'b',
            DeviceKind::Character => 'c',
        };
        format!("{kind} {}:{} {}", number(rule.major), number(rule.minor), rule.access)
    };
    (!rules.is_empty()).then(|| rules.iter().map(text).collect())
}

fn parse(text: &str) -> Option<DeviceRule> {
    let mut words = text.split(' ');
    let (kind, numbers, access) = (words.next()?, words.next()?, words.next()?);
    let number = |text: &str| match text {
        "*" => Some(None),
        text if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok().map(Some),
        _ => None,
    };
    let (major, minor) = numbers.split_once(':')?;
    let letters = (1..=3).contains(&access.len()) && access.bytes().all(|b| b"rwm".contains(&b));
    if words.next().is_some() || !letters {
        return None;
    }
    Some(DeviceRule {
        allow: true,
        kind: match kind {
            "a" => DeviceKind::All,
            "b" => DeviceKind::Block,
            "c" => DeviceKind::Character,
            _ => return None,
        },
        major: number(major)?,
        minor: number(minor)?,
        access: access.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_written_as_in_docker() {
        let texts = ["c 1:3 mr", "b *:* rwm", "a 7:* w", "c 13:* rwm"].map(str::to_owned);
        assert_eq!(write(&read(&texts).unwrap()).unwrap(), texts);
        assert_eq!(write(&[]), None);
        for bad in [
            "",
            "c",
            "c 1:3",
            "x 1:3 r",
            "c 1 r",
            "c 1:3 rwmr",
            "c 1:3 x",
            "c 1:3  r",
            "c -1:3 r",
            "c 4294967296:0 r",
            "c +1:0 r",
            "c 1:3 r ",
            "c :3 r",
        ] {
            let refused = read(&[bad.to_owned()]).unwrap_err();
            assert_eq!(refused.message, format!("invalid device cgroup rule format: '{bad}'"));
        }
    }
}
