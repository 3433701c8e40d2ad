//! The Debian package, by dpkg-deb.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::Release;
use super::tree::EXPECTED;
use crate::Outcome;
use crate::run::{output, run};

/// Packs everything below `root`, which gets a `DEBIAN` folder for that.
pub(crate) fn write(package: &Path, root: &Path, release: &Release) -> Outcome {
    let control_dir = root.join("DEBIAN");
    fs::create_dir_all(&control_dir)?;
    let size = output(Command::new("du").args(["--summarize", "--block-size=1024"]).arg(root))?;
    let size = size.split_whitespace().next().unwrap_or_default().to_owned();
    let control = fs::read_to_string("packaging/debian/control")?
        .replace("@VERSION@", &release.version)
        .replace("@ARCHITECTURE@", release.architecture)
        .replace("@SIZE@", &size);
    fs::write(control_dir.join("control"), control)?;
    for (name, mode) in [("conffiles", 0o644), ("postinst", 0o755), ("prerm", 0o755)] {
        let to = control_dir.join(name);
        fs::copy(Path::new("packaging/debian").join(name), &to)?;
        fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    }
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "--build"]).arg(root).arg(package);
    run(build.env("SOURCE_DATE_EPOCH", release.time.to_string()))?;
    fs::remove_dir_all(control_dir)?;
    Ok(())
}

/// Whether the package has what it should.
pub(crate) fn check(package: &Path) -> Outcome {
    let contents = output(Command::new("dpkg-deb").arg("--contents").arg(package))?;
    for expected in EXPECTED {
        let is_it = |line: &str| line.split(' ').any(|word| word == format!("./{expected}"));
        if !contents.lines().any(is_it) {
            return Err(format!("{} lacks {expected}", package.display()).into());
        }
    }
    let conffiles =
        output(Command::new("dpkg-deb").args(["--info"]).arg(package).arg("conffiles"))?;
    if conffiles != "/etc/hull/daemon.json" {
        return Err(format!("conffiles of {}: {conffiles:?}", package.display()).into());
    }
    Ok(())
}
