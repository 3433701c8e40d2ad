//! TLS to a remote daemon: `--tls`, `--tlsverify` and their files, as Docker names them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("read the certificate or key {}", path.display())]
    File { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("use the client certificate and key")]
    Config(#[source] rustls::Error),
    #[error("{name:?} is not a name a certificate can be checked against")]
    Name { name: String },
    #[error("TLS handshake with {name}")]
    Handshake { name: String, source: io::Error },
}

/// The files of a TLS connection.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Whether the daemon's certificate is checked against the CA.
    pub(crate) verify: bool,
}

/// A ready TLS configuration.
pub(crate) struct Tls(TlsConnector);

impl Tls {
    /// Reads the files. Client certificate and key are used when both exist.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub(crate) fn load(files: &Files) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Config)?;
        let builder = if files.verify {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&files.ca)? {
                roots.add(certificate).map_err(TlsError::Config)?;
            }
            builder.with_root_certificates(roots)
        } else {
            // `--tls` without `--tlsverify` asks for encryption without knowing the other side.
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        };
        let config = if files.certificate.exists() || files.key.exists() {
            let key = PrivateKeyDer::from_pem_file(&files.key)
                .map_err(|source| TlsError::File { path: files.key.clone(), source })?;
            builder
                .with_client_auth_cert(certificates(&files.certificate)?, key)
                .map_err(TlsError::Config)?
        } else {
            builder.with_no_client_auth()
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Speaks TLS on a connection to `host:port`.
    pub(crate) async fn connect(
        &self,
        authority: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = match ServerName::try_from(bare.to_owned()) {
            Ok(name) => name,
            Err(_) => return Err(TlsError::Name { name: bare.to_owned() }),
        };
        let handshake = self.0.connect(name, stream).await;
        handshake.map_err(|source| TlsError::Handshake { name: bare.to_owned(), source })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|source| TlsError::File { path: path.to_owned(), source })
}

/// Accepts any certificate, but only with a valid signature of the handshake.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
