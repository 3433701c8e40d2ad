//! Debian's `docker-registry` (distribution 2.8), each with a port and a folder of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PROGRAM: &str = "/usr/bin/docker-registry";

/// A running registry; it ends with this value.
pub(crate) struct Registry {
    pub(crate) address: String,
    child: Child,
    _folder: TempDir,
}

impl Registry {
    /// `extra` is added to its configuration; `{}` in it stands for its folder. `None`, with the
    /// reason printed, where the program is not installed.
    pub(crate) fn start(extra: &str, http: &str, files: &[(&str, &str)]) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            eprintln_skip();
            return None;
        }
        // Between finding a free port and using it another program may take it: try again.
        (0..5)
            .find_map(|_| Self::try_start(extra, http, files))
            .or_else(|| panic!("{PROGRAM} does not start"))
    }

    fn try_start(extra: &str, http: &str, files: &[(&str, &str)]) -> Option<Self> {
        let folder = TempDir::with_prefix("hull-registry-test").unwrap();
        let path = folder.path().to_str().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {path}/data}}}}\n\
             http:\n  addr: {address}\n{http}\n{extra}\n"
        )
        .replace("{}", path);
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let mut child = command(&file).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            if std::net::TcpStream::connect(&address).is_ok() {
                return Some(Self { address, child, _folder: folder });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().ok();
        child.wait().unwrap();
        None
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test may start a program; hull-sys is out of reach"
)]
fn command(config: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("serve").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn eprintln_skip() {
    eprintln!("skipped: {PROGRAM} is not installed (apt-get install docker-registry)");
}
