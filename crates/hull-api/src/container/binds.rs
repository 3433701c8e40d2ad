//! Mounts in the short form: `Binds` (`-v`), `Volumes` and `Tmpfs`.

use hull_model::bytes::Bytes;
use hull_model::mount::{Mount, Origin, Propagation, Source, Target};
use hull_model::name::Name;

use super::life::binary_size;
use crate::refusal::{Refusal, Result, quote};

/// Reads `source:target[:options]`, or a target alone for an anonymous volume.
///
/// The grammar and its texts are moby's (`volume/mounts/linux_parser.go`).
pub fn read(text: &str) -> Result<Mount> {
    let bad = |why: &str| {
        let text = quote(text);
        Refusal::invalid(match why {
            "" => format!("invalid volume specification: '{text}'"),
            why => format!("invalid volume specification: '{text}': {why}"),
        })
    };
    let parts: Vec<&str> = text.splitn(4, ':').collect();
    let (source, target, words) = match parts[..] {
        ["", ..] => return Err(bad("")),
        [target] => (None, target, ""),
        [_, mode] if !mode.starts_with('/') && Mode::parse(mode).is_some() => return Err(bad("")),
        [source, target] => (Some(source), target, ""),
        [source, target, mode] => (Some(source), target, mode),
        _ => return Err(bad("")),
    };
    let wrong_mode = || Refusal::invalid(format_args!("invalid mode: {}", quote(words)));
    let mode = Mode::parse(words).ok_or_else(wrong_mode)?;
    let target = Target::new(target).map_err(|e| bad(&e.to_string()))?;
    let source = match source {
        Some(path) if path.starts_with('/') => {
            if mode.no_copy {
                return Err(wrong_mode());
            }
            Source::Bind {
                path: host_path(path).map_err(|why| bad(&why))?,
                create: true,
                propagation: mode.propagation.unwrap_or_default(),
                non_recursive: false,
            }
        }
        volume => {
            if mode.propagation.is_some() {
                return Err(wrong_mode());
            }
            Source::Volume { name: volume.map(volume_name).transpose()?, copy: !mode.no_copy }
        }
    };
    Ok(Mount { target, source, read_only: mode.read_only, origin: Origin::Binds })
}

/// Writes `mount` as [`read`] reads it.
pub(super) fn write(mount: &Mount) -> String {
    let target = mount.target.as_str();
    let mut words: Vec<&str> = Vec::new();
    if mount.read_only {
        words.push("ro");
    }
    let source = match &mount.source {
        Source::Bind { path, propagation, .. } => {
            if *propagation != Propagation::default() {
                words.push(propagation.name());
            }
            format!("{path}:")
        }
        Source::Volume { name, copy } => {
            if !copy {
                words.push("nocopy");
            }
            name.as_ref().map(|name| format!("{}:", name.as_str())).unwrap_or_default()
        }
        Source::Tmpfs { .. } => String::new(),
    };
    match words.is_empty() || source.is_empty() {
        true => format!("{source}{target}"),
        false => format!("{source}{target}:{}", words.join(",")),
    }
}

/// The options of a mount. `z`, `Z` (SELinux) and the consistency words (macOS) have no effect.
#[derive(Default)]
struct Mode {
    read_only: bool,
    no_copy: bool,
    propagation: Option<Propagation>,
}

impl Mode {
    /// `None` for an unknown word or two words about the same thing.
    fn parse(text: &str) -> Option<Self> {
        let mut mode = Self::default();
        let mut seen = [false; 5];
        for word in text.split(',').filter(|_| !text.is_empty()) {
            let kind = match word {
                "ro" | "rw" => {
                    mode.read_only = word == "ro";
                    0
                }
                "z" | "Z" => 1,
                "nocopy" => {
                    mode.no_copy = true;
                    2
                }
                "consistent" | "cached" | "delegated" => 3,
                name => {
                    mode.propagation = Some(Propagation::from_name(name)?);
                    4
                }
            };
            if std::mem::replace(&mut seen[kind], true) {
                return None;
            }
        }
        Some(mode)
    }
}

/// An absolute path of the host without `.`, `..` and double slashes; `/` itself is allowed.
pub(super) fn host_path(text: &str) -> Result<String, String> {
    match Target::new(text) {
        Ok(path) => Ok(path.into()),
        Err(hull_model::mount::BadTarget::Root) => Ok("/".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

/// A volume's name; what looks like a relative path gets Docker's hint.
pub(crate) fn volume_name(text: &str) -> Result<Name> {
    Name::new(text).map_err(|_bad_name| {
        Refusal::invalid(format_args!(
            "{:?} includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, \
             use absolute path",
            quote(text)
        ))
    })
}

/// A path of `Config.Volumes`: an anonymous volume.
pub(super) fn read_volume(path: &str) -> Result<Mount> {
    let bad = |why: &str| Refusal::invalid(format_args!("invalid volume {:?}: {why}", quote(path)));
    if path.contains(':') {
        return Err(bad("it must be a path alone; a source belongs to HostConfig.Binds"));
    }
    Ok(Mount {
        target: Target::new(path).map_err(|e| bad(&e.to_string()))?,
        source: Source::Volume { name: None, copy: true },
        read_only: false,
        origin: Origin::Volumes,
    })
}

/// A member of `Tmpfs`: a path and `mount(8)` options.
pub(super) fn read_tmpfs(path: &str, options: &str) -> Result<Mount> {
    let target = Target::new(path)
        .map_err(|e| Refusal::invalid(format_args!("invalid tmpfs {:?}: {e}", quote(path))))?;
    let (mut size, mut mode, mut read_only, mut rest) = (None, None, false, Vec::new());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let bad = || Refusal::invalid(format_args!("invalid tmpfs option {:?}", quote(option)));
        match option.split_once('=').unwrap_or((option, "")) {
            ("ro", "") => read_only = true,
            ("rw", "") => read_only = false,
            ("size", percent) if is_percent(percent) => rest.push(option.to_owned()),
            ("size", value) => size = Some(Bytes::new(binary_size(value).ok_or_else(bad)?)),
            ("mode", value) => mode = Some(octal_mode(value).ok_or_else(bad)?),
            _ if is_tmpfs_option(option) => rest.push(option.to_owned()),
            _ => return Err(bad()),
        }
    }
    let source = Source::Tmpfs { size, mode, options: rest };
    Ok(Mount { target, source, read_only, origin: Origin::Tmpfs })
}

/// Writes the options of a tmpfs as [`read_tmpfs`] reads them.
pub(super) fn write_tmpfs(mount: &Mount) -> String {
    let mut words = Vec::new();
    if mount.read_only {
        words.push("ro".to_owned());
    }
    if let Source::Tmpfs { size, mode, options } = &mount.source {
        words.extend(size.map(|size| format!("size={}", size.get())));
        words.extend(mode.map(|mode| format!("mode={mode:o}")));
        words.extend(options.iter().cloned());
    }
    words.join(",")
}

fn is_percent(text: &str) -> bool {
    let number = text.strip_suffix('%').and_then(|digits| digits.parse::<u16>().ok());
    number.is_some_and(|percent| percent <= 100)
}

fn octal_mode(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o7777)
}

/// Options of `tmpfs(5)` and flags of `mount(8)` that Docker lets through (moby
/// `pkg/mount/flags_linux.go`), `size` and `mode` apart.
pub(super) fn is_tmpfs_option(option: &str) -> bool {
    match option.split_once('=') {
        Some(("uid" | "gid", value)) => value.parse::<u32>().is_ok(),
        Some(("nr_inodes" | "nr_blocks", value)) => binary_size(value).is_some(),
        Some(_) => false,
        None => matches!(
            option,
            "suid"
                | "nosuid"
                | "dev"
                | "nodev"
                | "exec"
                | "noexec"
                | "sync"
                | "async"
                | "dirsync"
                | "atime"
                | "noatime"
                | "diratime"
                | "nodiratime"
                | "relatime"
                | "norelatime"
                | "strictatime"
                | "nostrictatime"
                | "defaults"
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round(text: &str) -> String {
        match read(text) {
            Ok(mount) => write(&mount),
            Err(refusal) => refusal.message,
        }
    }

    #[test]
    fn binds_survive_the_way_there_and_back() {
        for good in [
            "/a:/b",
            "/a:/b:ro",
            "/:/host",
            "vol:/data",
            "vol:/data:ro,nocopy",
            "/a:/b:rshared",
            "/a:/b:ro,slave",
            "/data",
        ] {
            assert_eq!(round(good), good);
        }
        for (sent, shown) in [
            ("/a/../c//d:/b/.", "/c/d:/b"),
            ("/a:/b:rw,z", "/a:/b"),
            ("/a:/b:Z,ro,cached", "/a:/b:ro"),
            ("/a:/b:", "/a:/b"),
            ("/a:/b:rprivate", "/a:/b"),
        ] {
            assert_eq!(round(sent), shown);
        }
    }

    #[test]
    fn what_is_no_bind_is_refused_in_dockers_words() {
        for bad in ["", ":", ":/b", "/a:ro", "/a:/b:ro:x", "vol:rw"] {
            assert_eq!(round(bad), format!("invalid volume specification: '{bad}'"));
        }
        for bad in [
            "/a:/b:x",
            "/a:/b:ro,rw",
            "/a:/b:z,Z",
            "/a:/b:shared,slave",
            "/a:/b:nocopy",
            "/a:/b:ro,,",
        ] {
            assert!(round(bad).starts_with("invalid mode: "), "{bad}: {}", round(bad));
        }
        assert_eq!(round("vol:/b:rshared"), "invalid mode: rshared");
        assert!(round("/a:b").contains("mount path must be absolute"));
        assert!(round("/a:/").contains("destination can't be '/'"));
        assert!(round("/a:/b/../..").contains("destination can't be '/'"));
        assert!(
            round("./a:/b").starts_with("\"./a\" includes invalid characters for a local volume")
        );
        assert!(round("../../etc:/b").contains("includes invalid characters"));
        assert!(round(&format!("/{}:/b", "x".repeat(5_000))).len() < 500);
    }

    fn tmpfs(options: &str) -> String {
        read_tmpfs("/t", options)
            .map_or_else(|refusal| refusal.message, |mount| write_tmpfs(&mount))
    }

    #[test]
    fn tmpfs_options_are_those_of_mount() {
        assert_eq!(tmpfs(""), "");
        assert_eq!(tmpfs("rw,noexec,nosuid,size=65536k"), "size=67108864,noexec,nosuid");
        assert_eq!(tmpfs("ro,mode=1777,uid=1000"), "ro,mode=1777,uid=1000");
        assert_eq!(tmpfs("size=50%"), "size=50%");
        for bad in [
            "x",
            "size=",
            "size=x",
            "size=200%",
            "mode=9",
            "mode=77777",
            "mode=+7",
            "uid=-1",
            "lowerdir=/",
            "remount",
            "bind",
            "ro=1",
            "context=x",
        ] {
            assert!(tmpfs(bad).starts_with("invalid tmpfs option"), "{bad}");
        }
        assert!(read_tmpfs("t", "").is_err() && read_tmpfs("/", "").is_err());
        assert!(read_volume("/a:/b").is_err() && read_volume("a").is_err());
    }

    proptest! {
        #[test]
        fn no_bind_panics_and_what_is_read_reads_back(text in "[a-z/.:,é-]{0,30}") {
            if let Ok(mount) = read(&text) {
                prop_assert_eq!(read(&write(&mount)), Ok(mount));
            }
        }

        #[test]
        fn no_tmpfs_panics_and_what_is_read_reads_back(text in "[a-z0-9=,%é]{0,30}") {
            if let Ok(mount) = read_tmpfs("/t", &text) {
                prop_assert_eq!(read_tmpfs("/t", &write_tmpfs(&mount)), Ok(mount));
            }
        }
    }
}
