//! Names of capabilities to bits.

use hull_model::security::{CAPABILITIES, Security};

use super::Capabilities;

/// Every capability the kernel has.
pub(super) fn all(last: u32) -> u64 {
    u64::MAX >> (63 - last.min(63))
}

/// What the guest's processes get: the same set as bounding, permitted and effective; nothing
/// inheritable, since that would survive exec without the file's consent (CVE-2022-24769).
pub(super) fn of(security: &Security, last: u32) -> Capabilities {
    let set = if security.privileged {
        all(last)
    } else {
        bits(security.capabilities().into_iter()) & all(last)
    };
    same(set)
}

pub(super) fn same(set: u64) -> Capabilities {
    Capabilities { bounding: set, effective: set, permitted: set, inheritable: 0, ambient: 0 }
}

fn bits<'a>(names: impl Iterator<Item = &'a str>) -> u64 {
    names
        .filter_map(|name| CAPABILITIES.iter().position(|known| *known == name))
        .fold(0, |set, number| set | 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_defaults_have_dockers_number() {
        assert_eq!(of(&Security::default(), 40).bounding, 0xa804_25fb);
        let privileged = Security { privileged: true, ..Security::default() };
        assert_eq!(of(&privileged, 40).bounding, 0x1ff_ffff_ffff);
        // An old kernel must not be asked for what it does not know.
        assert_eq!(of(&privileged, 37).bounding, 0x3f_ffff_ffff);
    }
}
