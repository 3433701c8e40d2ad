//! Whether the owners of a file system's files can be mapped (`mount_setattr(2)`,
//! `MOUNT_ATTR_IDMAP`), so that a user namespace sees the same numbers as are on disk.

use std::io;
use std::path::Path;

/// What is known of a file system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owners {
    /// They can be mapped.
    Mappable,
    /// They cannot, by this kernel or by none: the file system's name.
    Fixed(&'static str),
    /// A file system that is not in our list; trying tells.
    Unknown,
}

/// A file system: its magic number of `linux/magic.h`, its name, and since which kernel it maps owners
/// (`FS_ALLOW_IDMAP` in its source); 0 for none yet.
const FILE_SYSTEMS: [(u32, &str, (u32, u32)); 24] = [
    (0xef53, "ext4", (5, 12)),
    (0x5846_5342, "xfs", (5, 12)),
    (0x4d44, "vfat", (5, 12)),
    (0x9123_683e, "btrfs", (5, 15)),
    (0xf2f5_2010, "f2fs", (5, 18)),
    (0xe0f5_e1e2, "erofs", (5, 19)),
    (0x7371_7368, "squashfs", (6, 2)),
    (0x0102_1994, "tmpfs", (6, 3)),
    (0x00c3_6400, "ceph", (6, 7)),
    (0x9584_58f6, "hugetlbfs", (6, 9)),
    (0x8584_58f6, "ramfs", (0, 0)),
    (0x794c_7630, "overlay", (0, 0)),
    (0x6969, "nfs", (0, 0)),
    (0xff53_4d42, "cifs", (0, 0)),
    (0xfe53_4d42, "smb", (0, 0)),
    (0x0102_1997, "9p", (0, 0)),
    (0x9fa0, "proc", (0, 0)),
    (0x6265_6572, "sysfs", (0, 0)),
    (0x0027_e0eb, "cgroup", (0, 0)),
    (0x6367_7270, "cgroup2", (0, 0)),
    (0x0187, "autofs", (0, 0)),
    (0x6462_6720, "debugfs", (0, 0)),
    (0x7472_6163, "tracefs", (0, 0)),
    (0xf15f, "ecryptfs", (0, 0)),
];

/// The first kernel whose overlayfs takes layers with mapped owners.
const LAYERS_SINCE: (u32, u32) = (5, 19);

/// What is known of the file system that `path` is on.
pub fn of(path: &Path, kernel: (u32, u32)) -> io::Result<Owners> {
    let magic = rustix::fs::statfs(path)?.f_type;
    // Its width depends on the architecture; the numbers are 32 bits wide.
    let [.., a, b, c, d] = i128::from(magic).to_be_bytes();
    Ok(judge(u32::from_be_bytes([a, b, c, d]), kernel))
}

/// Why guests whose layers are at `data_root` cannot have their owners mapped, if they cannot.
pub fn obstacle(data_root: &Path, kernel: (u32, u32)) -> io::Result<Option<String>> {
    if kernel < LAYERS_SINCE {
        let ((major, minor), (own_major, own_minor)) = (LAYERS_SINCE, kernel);
        return Ok(Some(format!(
            "overlayfs maps the owners of its layers since Linux {major}.{minor}, this is \
             {own_major}.{own_minor}"
        )));
    }
    let fixed = match of(data_root, kernel)? {
        Owners::Fixed(name) => Some(name),
        Owners::Mappable | Owners::Unknown => None,
    };
    Ok(fixed.map(|name| {
        format!("{} is on {name}, which cannot map owners of files", data_root.display())
    }))
}

fn judge(magic: u32, kernel: (u32, u32)) -> Owners {
    match FILE_SYSTEMS.iter().find(|(known, ..)| *known == magic) {
        Some((_, _, since)) if *since > (0, 0) && kernel >= *since => Owners::Mappable,
        Some((_, name, _)) => Owners::Fixed(name),
        None => Owners::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_learned_it_one_by_one() {
        assert_eq!(judge(0xef53, (5, 12)), Owners::Mappable);
        assert_eq!(judge(0xef53, (5, 11)), Owners::Fixed("ext4"));
        assert_eq!(judge(0x0102_1994, (5, 19)), Owners::Fixed("tmpfs"));
        assert_eq!(judge(0x0102_1994, (6, 3)), Owners::Mappable);
        assert_eq!(judge(0x8584_58f6, (6, 18)), Owners::Fixed("ramfs"));
        // FUSE: its server decides.
        assert_eq!(judge(0x6573_5546, (6, 18)), Owners::Unknown);
    }

    #[test]
    fn old_kernels_and_stubborn_file_systems_are_obstacles() {
        let proc = Path::new("/proc");
        assert!(obstacle(proc, (5, 18)).unwrap().unwrap().contains("since Linux 5.19"));
        assert!(obstacle(proc, (6, 18)).unwrap().unwrap().contains("/proc is on proc"));
        assert!(obstacle(Path::new("/no/such"), (6, 18)).is_err());
    }
}
