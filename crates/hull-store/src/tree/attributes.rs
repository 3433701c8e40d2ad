//! Extended attributes between a tree and an archive.
//!
//! A file capability names the user namespace in which it counts by the host's id of its root
//! (`VFS_CAP_REVISION_3`). In an archive it counts for whoever unpacks it, or names an id of theirs.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
use rustix::io::Errno;

use super::copy::wanted;
use super::ids::Ids;

type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

const CAPABILITY: &[u8] = b"security.capability";

/// `VFS_CAP_REVISION_2` and `_3` of `linux/capability.h`, in the highest byte of the first word.
const REVISION_2: u8 = 2;
const REVISION_3: u8 = 3;
/// The lengths of both; the third has the root's id at its end.
const SHORT: usize = 20;
const LONG: usize = 24;

/// The attributes of `file` that an archive keeps.
pub(super) fn read(file: BorrowedFd<'_>, ids: &Ids) -> rustix::io::Result<Attributes> {
    // Most files have none: a small buffer first.
    let mut names = vec![0_u8; 256];
    let length = loop {
        match flistxattr(file, &mut names[..]) {
            Ok(length) => break length,
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(Errno::RANGE) if names.len() < 65_536 => names.resize(65_536, 0),
            Err(e) => return Err(e),
        }
    };
    let mut attributes = Attributes::new();
    let all = names[..length].split_inclusive(|byte| *byte == 0);
    for name in all.filter_map(|name| CStr::from_bytes_with_nul(name).ok()) {
        if !wanted(name.to_bytes()) {
            continue;
        }
        let mut value = vec![0_u8; 65_536];
        match fgetxattr(file, name, &mut value[..]) {
            Ok(length) => value.truncate(length),
            // Taken away since, or of a user namespace that is not ours to see.
            Err(Errno::NODATA | Errno::OVERFLOW) => continue,
            Err(e) => return Err(e),
        }
        if name.to_bytes() == CAPABILITY {
            match archived(&value, ids) {
                Some(capability) => value = capability,
                None => continue,
            }
        }
        attributes.push((name.to_bytes().to_vec(), value));
    }
    attributes.sort_unstable();
    Ok(attributes)
}

/// Sets those of `attributes` that an archive may set.
pub(crate) fn write(
    file: BorrowedFd<'_>,
    attributes: &[(Vec<u8>, Vec<u8>)],
    ids: &Ids,
) -> rustix::io::Result<()> {
    for (name, value) in attributes.iter().filter(|(name, _)| wanted(name)) {
        let shifted = match name == CAPABILITY {
            true => Some(placed(value, ids).ok_or(Errno::INVAL)?),
            false => None,
        };
        let value = shifted.as_ref().unwrap_or(value);
        match fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
            Ok(()) => {}
            // Attributes of users are extras; a capability is not.
            Err(Errno::OPNOTSUPP) if name.starts_with(b"user.") => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// A capability as an archive has it; `None` if it counts for nobody inside.
fn archived(value: &[u8], ids: &Ids) -> Option<Vec<u8>> {
    let Some(root) = root_of(value) else { return Some(value.to_vec()) };
    let inside = ids.users.inside(root);
    if ids.users.outside(inside) != Some(root) {
        return None;
    }
    Some(if inside == 0 { without_root(value) } else { with_root(value, inside) })
}

/// A capability as the host is to write it; `None` if it is for somebody who is not inside. One that
/// names nobody is for root inside, and never for the host's.
fn placed(value: &[u8], ids: &Ids) -> Option<Vec<u8>> {
    let short = value.len() == SHORT && value[3] == REVISION_2;
    let Some(root) = root_of(value).or(short.then_some(0)) else { return Some(value.to_vec()) };
    let outside = ids.users.outside(root)?;
    Some(if short && outside == 0 { value.to_vec() } else { with_root(value, outside) })
}

fn root_of(value: &[u8]) -> Option<u32> {
    if value.len() != LONG || value[3] != REVISION_3 {
        return None;
    }
    value[SHORT..].try_into().ok().map(u32::from_le_bytes)
}

fn without_root(value: &[u8]) -> Vec<u8> {
    let mut short = value[..SHORT].to_vec();
    short[3] = REVISION_2;
    short
}

fn with_root(value: &[u8], root: u32) -> Vec<u8> {
    let mut long = value[..SHORT].to_vec();
    long[3] = REVISION_3;
    long.extend_from_slice(&root.to_le_bytes());
    long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_name_ids_of_whoever_has_them() {
        let users = "0 100000 65536".parse().unwrap();
        let ids = Ids { users, ..Ids::default() };
        let mut short = vec![7_u8; SHORT];
        short[3] = REVISION_2;
        let long = |root: u32| with_root(&short, root);
        assert_eq!(archived(&short, &ids), Some(short.clone()));
        assert_eq!(archived(&long(100_000), &ids), Some(short.clone()));
        assert_eq!(archived(&long(100_500), &ids), Some(long(500)));
        assert_eq!(archived(&long(5), &ids), None);
        assert_eq!(placed(&long(500), &ids), Some(long(100_500)));
        assert_eq!(placed(&long(70_000), &ids), None);
        // Of root inside, who is not the host's.
        assert_eq!(placed(&short, &ids), Some(long(100_000)));
        assert_eq!(placed(&short, &Ids::default()), Some(short.clone()));
        for odd in [&b""[..], b"abc", &[3; LONG]] {
            placed(odd, &ids);
            archived(odd, &ids);
        }
    }
}
