//! The files of a release where they belong, below a root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::run::{output, run};

/// Where each shell looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/hull"),
    ("zsh", "usr/share/zsh/vendor-completions/_hull"),
    ("fish", "usr/share/fish/vendor_completions.d/hull.fish"),
];

/// What every release has, besides a man page for each command.
pub(crate) const EXPECTED: [&str; 13] = [
    "usr/bin/hull",
    "usr/sbin/hulld",
    "usr/lib/systemd/system/hull.service",
    "usr/lib/systemd/system/hull.socket",
    "usr/share/man/man1/hull.1",
    "usr/share/man/man1/hull-run.1",
    "usr/share/bash-completion/completions/hull",
    "usr/share/zsh/vendor-completions/_hull",
    "usr/share/fish/vendor_completions.d/hull.fish",
    "usr/share/doc/hull/README.md",
    "usr/share/doc/hull/guide.md",
    "usr/share/doc/hull/CHANGELOG.md",
    "etc/hull/daemon.json",
];

/// Fills `root` anew.
pub(crate) fn make(root: &Path, binary: &Path) -> Outcome {
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    let copies = [
        (binary, "usr/bin/hull", 0o755),
        (Path::new("packaging/systemd/hull.service"), "usr/lib/systemd/system/hull.service", 0o644),
        (Path::new("packaging/systemd/hull.socket"), "usr/lib/systemd/system/hull.socket", 0o644),
        (Path::new("packaging/daemon.json"), "etc/hull/daemon.json", 0o644),
        (Path::new("README.md"), "usr/share/doc/hull/README.md", 0o644),
        (Path::new("docs/guide.md"), "usr/share/doc/hull/guide.md", 0o644),
        (Path::new("CHANGELOG.md"), "usr/share/doc/hull/CHANGELOG.md", 0o644),
    ];
    for (from, to, mode) in copies {
        let bytes = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
        place(&root.join(to), &bytes, mode)?;
    }
    fs::create_dir_all(root.join("usr/sbin"))?;
    std::os::unix::fs::symlink("../bin/hull", root.join("usr/sbin/hulld"))?;
    for (shell, path) in COMPLETIONS {
        let script = output(Command::new(binary).args(["completion", shell]))?;
        place(&root.join(path), script.as_bytes(), 0o644)?;
    }
    let pages = root.join("usr/share/man/man1");
    fs::create_dir_all(&pages)?;
    run(Command::new(binary).arg("man").arg(&pages))
}

fn place(path: &Path, bytes: &[u8], mode: u32) -> Outcome {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}
