//! Listening and being connected to, over real sockets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use super::accept::{Peer, accept};
use super::*;
use crate::http::answer::{Outcome, json};

/// An authority and what it signed, as files.
struct Certificates {
    dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { dir, issuer }
    }

    /// Signs a certificate for `names`; its files are `NAME.pem` and `NAME-key.pem`.
    fn sign(&self, file: &str, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{file}-key.pem")), key.serialize_pem()).unwrap();
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn tls(&self) -> Tls {
        Tls {
            authority: self.path("ca.pem"),
            certificate: self.path("server.pem"),
            key: self.path("server-key.pem"),
        }
    }

    /// A client that trusts this authority and shows `identity`'s certificate.
    fn client(&self, identity: Option<&Self>) -> TlsConnector {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(of) => {
                let own = CertificateDer::from_pem_file(of.path("client.pem")).unwrap();
                let key = PrivateKeyDer::from_pem_file(of.path("client-key.pem")).unwrap();
                builder.with_client_auth_cert(vec![own], key).unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }
}

/// Whether the peer was local, as the answer to everything; checks of remote peers first.
async fn handle(peer: Peer, request: http::Request<hyper::body::Incoming>) -> Outcome {
    match peer {
        Peer::Local(_) => json(&"local"),
        Peer::Remote(guard) => match guard.check(request.headers()) {
            Ok(()) => json(&"remote"),
            Err(failure) => Outcome::Answer(failure.into_response()),
        },
    }
}

/// One request over `stream`; everything that comes back.
async fn ask(
    stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
    headers: &str,
) -> std::io::Result<String> {
    let request = format!("GET / HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn tcp_needs_a_certificate_of_our_authority_and_a_name_of_ours() {
    let ours = Certificates::new();
    ours.sign("server", &["hull.example", "127.0.0.1"]);
    ours.sign("client", &["somebody"]);
    let others = Certificates::new();
    others.sign("client", &["somebody"]);
    let address = Address::parse("tcp://127.0.0.1:0", Path::new("/x")).unwrap();
    let mut listeners = open(&[address], None, Some(&ours.tls())).await.unwrap();
    let Some(Listener::Tcp { listener, tls }) = listeners.pop() else { panic!("tcp") };
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = watch::channel(false);
    let listener = Listener::Tcp { listener, tls };
    let server = tokio::spawn(accept(listener, handle, stopped, Duration::from_secs(1)));
    let request = async |identity: Option<&Certificates>, headers: &str| {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let name = ServerName::try_from("hull.example").unwrap();
        let mut stream = ours.client(identity).connect(name, stream).await?;
        ask(&mut stream, headers).await
    };

    let host = format!("Host: hull.example:{port}\r\n");
    let answer = request(Some(&ours), &host).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\"remote\"\n"), "{answer}");
    for host in ["127.0.0.1", "[::1]:5", "localhost:1", "HULL.example"] {
        let answer = request(Some(&ours), &format!("Host: {host}\r\n")).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
    for host in ["evil.example", "evil.example:2376", "hull.example.evil", "", "a b"] {
        let answer = request(Some(&ours), &format!("Host: {host}\r\n")).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{host}: {answer}");
    }
    let page = format!("{host}Origin: https://evil.example\r\n");
    assert!(request(Some(&ours), &page).await.unwrap().starts_with("HTTP/1.1 403"));

    assert!(request(None, &host).await.is_err(), "no certificate");
    assert!(request(Some(&others), &host).await.is_err(), "a stranger's certificate");
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let answer = ask(&mut plain, &host).await.unwrap_or_default();
    assert!(!answer.contains("HTTP/1.1"), "plain HTTP: {answer:?}");

    stop.send_replace(true);
    server.await.unwrap();
}

#[tokio::test]
async fn an_open_port_is_refused_with_the_reason() {
    let address = Address::parse("tcp://127.0.0.1:0", Path::new("/x")).unwrap();
    let error = open(&[address], None, None).await.unwrap_err().to_string();
    assert!(
        error.starts_with("listen on tcp://127.0.0.1:0: refused without mutual TLS"),
        "{error}"
    );
    assert!(error.contains("--tlsverify"), "{error}");
}

#[tokio::test]
async fn certificates_that_are_missing_or_wrong_are_named() {
    let ours = Certificates::new();
    ours.sign("server", &["a"]);
    ours.sign("client", &["a"]);
    let error = |tls: Tls| tls.load().map(drop).unwrap_err().to_string();
    let tls = ours.tls();
    let missing = error(Tls { certificate: "/nonexistent.pem".into(), ..tls.clone() });
    assert_eq!(missing, "read the certificate (tlscert) /nonexistent.pem");
    std::fs::write(ours.path("empty.pem"), "").unwrap();
    let empty = error(Tls { authority: ours.path("empty.pem"), ..tls.clone() });
    assert!(empty.ends_with("no PEM certificate in it"), "{empty}");
    let pair = error(Tls { key: ours.path("client-key.pem"), ..tls });
    assert!(pair.starts_with("use the certificate "), "{pair}");
}

#[tokio::test]
async fn a_failure_takes_back_what_was_opened_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hull.sock");
    let addresses = [Address::Unix(path.clone()), Address::Tcp("127.0.0.1:0".to_owned())];
    open(&addresses, None, None).await.unwrap_err();
    assert!(!path.exists());
    let nothing = open(&[Address::Inherited(address::Which::All)], None, None).await;
    assert!(matches!(nothing, Err(ListenError::Nowhere)));
}

#[tokio::test]
async fn unix_sockets_serve_until_told_to_stop_and_then_make_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hull.sock");
    let listener = open(&[Address::Unix(path.clone())], None, None).await.unwrap().remove(0);
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(accept(listener, handle, stopped, Duration::from_secs(1)));
    let mut client = UnixStream::connect(&path).await.unwrap();
    // Whatever a local client calls the daemon: the docker CLI sends the socket's path.
    let answer = ask(&mut client, "Host: %2Frun%2Fhull.sock\r\nOrigin: x\r\n").await.unwrap();
    assert!(answer.ends_with("\"local\"\n"), "{answer}");
    let idle = UnixStream::connect(&path).await.unwrap();
    stop.send_replace(true);
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap();
    assert!(!path.exists());
    drop(idle);
}
