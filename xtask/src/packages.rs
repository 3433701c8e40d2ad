//! Debian packages that tests and benchmarks need, installed when they are missing.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::run::{find, run};

/// Something that is needed, and the package it is in.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    /// A program; a path if it begins with `/`; a command that must succeed if it has blanks.
    pub(crate) thing: &'static str,
    /// Its package in Debian.
    pub(crate) package: &'static str,
}

const fn need(thing: &'static str, package: &'static str) -> Need {
    Need { thing, package }
}

/// What the tests use. Of these `docker` is the client only: no daemon is started.
pub(crate) const TESTS: [Need; 24] = [
    need("busybox", "busybox-static"),
    need("mmdebstrap", "mmdebstrap"),
    need("ip", "iproute2"),
    need("nft", "nftables"),
    need("ping", "iputils-ping"),
    need("ps", "procps"),
    need("unshare", "util-linux"),
    need("mount", "mount"),
    need("curl", "curl"),
    need("zstd", "zstd"),
    need("openssl", "openssl"),
    need("python3", "python3"),
    need("python3 -m ensurepip --version", "python3-venv"),
    need("docker-registry", "docker-registry"),
    need("htpasswd", "apache2-utils"),
    need("git", "git"),
    need("podman", "podman"),
    need("conmon", "conmon"),
    need("containerd", "containerd"),
    need("runc", "runc"),
    need("python3 -m jsonschema --version", "python3-jsonschema"),
    need("dpkg-deb", "dpkg"),
    need("cc", "gcc"),
    need("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
];

/// What makes and runs the machine of `cargo xtask machine`.
pub(crate) const MACHINE: [Need; 6] = [
    need("qemu-system-x86_64", "qemu-system-x86"),
    need("mmdebstrap", "mmdebstrap"),
    need("mke2fs", "e2fsprogs"),
    need("busybox", "busybox-static"),
    need("strip", "binutils"),
    need("dpkg-deb", "dpkg"),
];

/// The peers of the benchmarks that are small to install.
pub(crate) const PEERS: [Need; 3] =
    [need("crun", "crun"), need("runc", "runc"), need("lxc-start", "lxc")];

impl Need {
    fn is_there(self) -> bool {
        if self.thing.starts_with('/') {
            return Path::new(self.thing).exists();
        }
        if self.thing.contains(' ') {
            let mut words = self.thing.split(' ');
            let mut command = Command::new(words.next().unwrap_or_default());
            return command.args(words).output().is_ok_and(|output| output.status.success());
        }
        find(self.thing).is_some()
    }
}

/// Installs the packages of what is missing.
pub(crate) fn install(needs: &[Need]) -> Outcome {
    let missing: Vec<_> =
        needs.iter().filter(|need| !need.is_there()).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !rustix::process::geteuid().is_root() {
        return Err(format!("missing: {list}; hint: as root, apt-get install {list}").into());
    }
    if find("apt-get").is_none() {
        return Err(format!("missing, and this is no Debian: {list}").into());
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "Acquire::Retries=3"]);
        apt
    };
    run(apt().arg("update"))?;
    run(apt().args(["install", "--yes", "--no-install-recommends"]).args(missing))
}

/// Installs docker's command-line client, unless there is one. `docker.io` of Debian 12 has the
/// client and the daemon in one package; its daemon is kept from starting.
pub(crate) fn install_docker_client() -> Outcome {
    if find("docker").is_some() {
        return Ok(());
    }
    // dpkg asks this program before it starts a service; 101 means no.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let is_ours = !policy.exists() && rustix::process::geteuid().is_root();
    if is_ours {
        std::fs::write(policy, "#!/bin/sh\nexit 101\n")?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(policy, mode)?;
    }
    // Debian 13 has a package of the client alone.
    let client = Command::new("apt-cache").args(["show", "docker-cli"]).output();
    let has_client = client.is_ok_and(|output| output.status.success());
    let package = if has_client { "docker-cli" } else { "docker.io" };
    let installed = install(&[Need { thing: "docker", package }]);
    if is_ours {
        std::fs::remove_file(policy)?;
    }
    installed
}
