//! The names by which an archive says that something below is gone (OCI image specification,
//! `layer.md`, "Whiteouts"), and their form on overlayfs.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, XattrFlags, makedev, mknodat, statat};
use rustix::io::Errno;

use super::LayerError;
use super::path::show;

/// What a name stands for.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Name {
    /// Itself.
    Plain,
    /// The absence of this name.
    Gone(CString),
    /// The absence of everything in its directory.
    Opaque,
    /// Housekeeping of aufs, which old images carry along.
    Ignored,
}

impl Name {
    pub(super) fn of(name: &CStr) -> Result<Self, LayerError> {
        let Some(rest) = name.to_bytes().strip_prefix(b".wh.") else { return Ok(Self::Plain) };
        match rest {
            b".wh..opq" => Ok(Self::Opaque),
            b"" | b"." | b".." => Err(LayerError::Path {
                path: show(name.to_bytes()),
                why: "a whiteout must name what is gone",
            }),
            _ if rest.starts_with(b".wh.") => Ok(Self::Ignored),
            _ => Ok(CString::new(rest).map_or(Self::Ignored, Self::Gone)),
        }
    }
}

const OPAQUE: &CStr = c"trusted.overlay.opaque";

/// Hides what is called `name` below. Where this layer has something of that name itself, only
/// what is below must go: a file hides it anyway, a directory becomes opaque.
pub(super) fn hide(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    match mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), makedev(0, 0)) {
        Err(Errno::EXIST) => {
            let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let flags = rustix::fs::OFlags::RDONLY
                    | rustix::fs::OFlags::DIRECTORY
                    | rustix::fs::OFlags::NOFOLLOW
                    | rustix::fs::OFlags::CLOEXEC;
                let inner = rustix::fs::openat(dir, name, flags, Mode::empty())?;
                return make_opaque(inner.as_fd());
            }
            Ok(())
        }
        done => done,
    }
}

/// Hides everything below in this directory.
pub(super) fn make_opaque(dir: BorrowedFd<'_>) -> rustix::io::Result<()> {
    rustix::fs::fsetxattr(dir, OPAQUE, b"y", XattrFlags::empty())
}

pub(crate) fn is_opaque(dir: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let mut value = [0_u8; 2];
    match rustix::fs::fgetxattr(dir, OPAQUE, &mut value[..]) {
        Ok(length) => Ok(&value[..length] == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(e) => Err(e),
    }
}

pub(crate) fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts_are_told_from_names() {
        let name = |text: &str| Name::of(&CString::new(text).unwrap()).ok();
        assert_eq!(name("a"), Some(Name::Plain));
        assert_eq!(name(".wh"), Some(Name::Plain));
        assert_eq!(name(".wh.a"), Some(Name::Gone(c"a".into())));
        assert_eq!(name(".wh..a"), Some(Name::Gone(c".a".into())));
        assert_eq!(name(".wh..wh..opq"), Some(Name::Opaque));
        assert_eq!(name(".wh..wh.plnk"), Some(Name::Ignored));
        for attack in [".wh.", ".wh..", ".wh..."] {
            assert_eq!(name(attack), None, "{attack}");
        }
    }
}
