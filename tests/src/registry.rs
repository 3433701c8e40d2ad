//! Docker's own registry (Debian's `docker-registry`), one for each test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::command::Tool;
use crate::need::find;
use crate::wait::eventually;

/// The account of a registry that wants one.
pub const ACCOUNT: (&str, &str) = ("alice", "open sesame");

/// How a registry is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Plain HTTP, open to all.
    Http,
    /// Plain HTTP with basic authentication.
    Password,
    /// HTTPS with a certificate nobody has signed.
    Https,
}

/// A running registry. Ended when dropped.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Registry {
    /// Starts a registry on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start(access: Access) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  \
             delete: {{enabled: true}}\nhttp:\n  addr: 127.0.0.1:{port}\n  secret: x\n",
            path("data")
        );
        if access == Access::Https {
            certificate(&path("cert.pem"), &path("key.pem"));
            let (cert, key) = (path("cert.pem"), path("key.pem"));
            config.push_str(&format!("  tls: {{certificate: {cert}, key: {key}}}\n"));
        }
        if access == Access::Password {
            let (name, password) = ACCOUNT;
            let file = Tool::new("htpasswd", &format!("-nbB {name} '{password}'")).ok();
            fs::write(path("htpasswd"), file + "\n").unwrap();
            config.push_str(&format!(
                "auth:\n  htpasswd: {{realm: hull, path: {}}}\n",
                path("htpasswd")
            ));
        }
        fs::write(path("config.yml"), config).unwrap();
        let child = Command::new(find("docker-registry").expect("docker-registry is installed"))
            .args(["serve", &path("config.yml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let registry = Self { child, dir, port };
        eventually("the registry listens", || TcpStream::connect(registry.address()).ok());
        registry
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it keeps its blobs.
    pub fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().ok();
    }
}

fn certificate(cert: &str, key: &str) {
    let names = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1";
    let kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    Tool::new("openssl", &format!("{kind} {names} -keyout {key} -out {cert}")).ok();
}
