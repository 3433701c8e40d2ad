//! The smallest useful image: busybox and a handful of files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::archive::Description;
use super::layer::{Layer, LayerWriter};
use super::{BootstrapError, epoch_of};

const PLACES: [&str; 3] = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];

/// Makes the image of this machine's static busybox.
///
/// The image's moment is `SOURCE_DATE_EPOCH`, else the time of the program itself, which comes
/// from its package: the same package gives the same image.
///
/// # Errors
/// When busybox is missing or not static, or the layer cannot be written.
pub(crate) fn make(name: &str) -> Result<(Layer, Description), BootstrapError> {
    let path = PLACES.iter().map(PathBuf::from).find(|path| path.is_file());
    let path =
        path.ok_or(BootstrapError::Missing { program: "busybox", package: "busybox-static" })?;
    let read = |source| BootstrapError::Read { path: path.clone(), source };
    let program = fs::read(&path).map_err(read)?;
    if !is_static(&program) {
        return Err(BootstrapError::Dynamic { path });
    }
    let modified = fs::metadata(&path).map_err(read)?.mtime();
    let epoch = match epoch_of(std::env::var("SOURCE_DATE_EPOCH").ok())? {
        Some(epoch) => epoch,
        None => u64::try_from(modified).unwrap_or(0),
    };
    let layer = layer(&program, &applets(&path)?, epoch).map_err(BootstrapError::Layer)?;
    let made_by = "hull image bootstrap busybox".to_owned();
    Ok((layer, Description { name: name.to_owned(), command: "sh", made_by, epoch }))
}

/// The names busybox answers to, in order.
#[expect(clippy::disallowed_methods, reason = "a short run of the user's own busybox")]
fn applets(path: &Path) -> Result<Vec<String>, BootstrapError> {
    let output = Command::new(path)
        .arg("--list")
        .output()
        .map_err(|source| BootstrapError::Run { program: "busybox", source })?;
    if !output.status.success() {
        let tail = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BootstrapError::Ended { program: "busybox", status: output.status, tail });
    }
    let is_plain = |name: &&str| !name.is_empty() && !name.contains('/') && *name != "busybox";
    let text = String::from_utf8_lossy(&output.stdout);
    let mut names: Vec<String> = text.lines().filter(is_plain).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn layer(program: &[u8], applets: &[String], epoch: u64) -> std::io::Result<Layer> {
    let mut layer = LayerWriter::new(epoch)?;
    layer.directory("bin", 0o755)?;
    layer.file("bin/busybox", 0o755, program)?;
    for applet in applets {
        layer.hard_link(&format!("bin/{applet}"), "bin/busybox")?;
    }
    for (path, mode) in [("dev", 0o755), ("etc", 0o755)] {
        layer.directory(path, mode)?;
    }
    let users = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
                 www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n";
    let groups = "root:x:0:\ndaemon:x:1:\ntty:x:5:\naudio:x:29:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n";
    layer.file("etc/group", 0o644, groups.as_bytes())?;
    layer.file("etc/passwd", 0o644, users.as_bytes())?;
    layer.file("etc/shadow", 0o640, b"root:*:19000:0:99999:7:::\n")?;
    for (path, mode) in [
        ("home", 0o755),
        ("proc", 0o755),
        ("root", 0o700),
        ("sys", 0o755),
        ("tmp", 0o1777),
        ("usr", 0o755),
        ("usr/bin", 0o755),
    ] {
        layer.directory(path, mode)?;
    }
    // Where scripts look for it: #!/usr/bin/env sh
    layer.hard_link("usr/bin/env", "bin/busybox")?;
    for (path, mode) in
        [("usr/sbin", 0o755), ("var", 0o755), ("var/spool", 0o755), ("var/www", 0o755)]
    {
        layer.directory(path, mode)?;
    }
    layer.finish()
}

/// Whether an ELF program runs without an interpreter: it has no `PT_INTERP` segment.
fn is_static(program: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, length: usize| {
        let bytes = program.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0_usize, |all, byte| all << 8 | usize::from(*byte)))
    };
    // 64 bits, little-endian: elf(5). What hull runs on has no others.
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return false;
    }
    let headers = || Some((number(32, 8)?, number(54, 2)?, number(56, 2)?));
    let Some((start, size, count)) = headers() else { return false };
    (0..count).all(|index| {
        let at = size.checked_mul(index).and_then(|offset| start.checked_add(offset));
        let kind = at.and_then(|at| number(at, 4));
        kind.is_some_and(|kind| kind != PT_INTERP as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::archive;

    fn image(epoch: u64) -> (Vec<u8>, String) {
        let applets = ["ls".to_owned(), "sh".to_owned()];
        let layer = layer(b"program", &applets, epoch).unwrap();
        let description = Description {
            name: "busybox:latest".to_owned(),
            command: "sh",
            made_by: "test".to_owned(),
            epoch,
        };
        let (stream, id) = archive::archive(layer, &description).unwrap();
        (archive::read_all(stream), id)
    }

    #[test]
    fn the_same_program_gives_the_same_bytes() {
        let (first, second, later) = (image(1000), image(1000), image(2000));
        assert!(first == second);
        assert_ne!(first.1, later.1);
    }

    #[test]
    fn the_archive_is_whole_and_its_digests_are_true() {
        use sha2::Digest as _;
        use std::io::Read as _;
        let (bytes, id) = image(1000);
        let mut names = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            if let Some(digest) = name.strip_prefix("blobs/sha256/") {
                let hash = sha2::Sha256::digest(&content);
                assert_eq!(crate::bootstrap::layer::hex(&hash), digest);
            }
            names.push(name);
        }
        assert!(names.contains(&format!("blobs/sha256/{}", &id["sha256:".len()..])));
        for name in ["index.json", "manifest.json", "oci-layout"] {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
        assert_eq!(names.len(), 6);
    }

    #[test]
    fn a_program_with_an_interpreter_is_not_static() {
        assert!(!is_static(&fs::read("/proc/self/exe").unwrap()));
        for cut in [&b""[..], b"\x7fELF", b"\x7fELF\x02\x01aaaaaaaaaaaaaaaaaaa", &[0xff; 100]] {
            assert!(!is_static(cut));
        }
    }
}
