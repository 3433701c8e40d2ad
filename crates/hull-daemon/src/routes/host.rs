//! What there is to know of the host for `info` and `version`.

/// What there is to know of the host, read once.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// Processors we may use.
    pub(super) cpus: u32,
    /// Bytes of memory.
    pub(super) memory: u64,
    /// `uname -r`.
    pub(super) kernel: String,
    /// `uname -m`.
    pub(super) machine: String,
    /// The host's name.
    pub(super) name: String,
    /// `PRETTY_NAME` of os-release.
    pub(super) system: String,
    /// `VERSION_ID` of os-release.
    pub(super) system_version: String,
}

impl Host {
    /// Reads it; what cannot be read is empty.
    pub(super) fn read() -> Self {
        let names = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let release = os_release();
        let value = |key: &str| os_release_value(&release, key).unwrap_or_default();
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = rustix::system::sysinfo();
        Self {
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            memory: memory.totalram.saturating_mul(u64::from(memory.mem_unit)),
            kernel: text(names.release()),
            machine: text(names.machine()),
            name: text(names.nodename()),
            system: value("PRETTY_NAME"),
            system_version: value("VERSION_ID"),
        }
    }
}

fn os_release() -> String {
    let read = std::fs::read_to_string("/etc/os-release");
    read.or_else(|_missing| std::fs::read_to_string("/usr/lib/os-release")).unwrap_or_default()
}

/// `KEY="value"` or `KEY=value` (`os-release(5)`).
fn os_release_value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(line.trim().trim_matches(['"', '\'']).to_owned())
}

/// Go's name of the processor.
pub(super) fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_files_are_read_with_quotes_and_without() {
        let text = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=12\nVERSION_ID_X=1\n";
        let value = |key| os_release_value(text, key);
        assert_eq!(value("PRETTY_NAME").as_deref(), Some("Debian GNU/Linux 12"));
        assert_eq!(value("VERSION_ID").as_deref(), Some("12"));
        assert_eq!(value("ABSENT"), None);
    }

    #[test]
    fn the_host_has_processors_and_memory() {
        let host = Host::read();
        assert!(host.cpus > 0 && host.memory > 1 << 20 && !host.kernel.is_empty());
    }
}
