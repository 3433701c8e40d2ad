//! Network settings of the kernel that netlink cannot set: files under `/proc/sys/net`, which show
//! the network namespace of the calling thread.

use std::io;
use std::path::{Path, PathBuf};

const ROOT: &str = "/proc/sys/net";

/// A setting could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("set {} to {value:?}", path.display())]
pub struct SysctlError {
    path: PathBuf,
    value: &'static str,
    source: io::Error,
}

/// Whether the kernel has IPv6, and has it switched on.
pub(crate) fn has_ipv6() -> bool {
    Path::new(ROOT).join("ipv6/conf").exists()
}

/// Gives a setting a value if it has another: some settings reset others whenever they are written.
pub(crate) fn set(setting: &str, value: &'static str) -> Result<(), SysctlError> {
    let path = Path::new(ROOT).join(setting);
    let done = match std::fs::read_to_string(&path) {
        Ok(found) if found.trim() == value => return Ok(()),
        Ok(_) => std::fs::write(&path, value),
        Err(error) => Err(error),
    };
    done.map_err(|source| SysctlError { path, value, source })
}

/// Lets the host forward IPv4 packets between its links.
pub(crate) fn forward_ipv4() -> Result<(), SysctlError> {
    set("ipv4/ip_forward", "1")
}

/// Lets the host forward IPv6 packets between its links, and go on to learn its own routes.
pub(crate) fn forward_ipv6() -> Result<(), SysctlError> {
    let all = Path::new(ROOT).join("ipv6/conf");
    let failed = |source| SysctlError { path: all.clone(), value: "2", source };
    // A host that forwards ignores router advertisements unless accept_ra is 2; one that has its
    // default route from them would lose it minutes later.
    for entry in std::fs::read_dir(&all).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = all.join(name).join("accept_ra");
        // A link may vanish while we look.
        if std::fs::read_to_string(&path).is_ok_and(|value| value.trim() == "1") {
            set(&format!("ipv6/conf/{name}/accept_ra"), "2")?;
        }
    }
    set("ipv6/conf/all/forwarding", "1")
}
