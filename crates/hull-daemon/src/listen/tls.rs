//! Mutual TLS for TCP: both sides show a certificate of the same authority.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::RemoteTls;
use crate::http::guard::Guard;

/// The files of `--tlscacert`, `--tlscert` and `--tlskey`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tls {
    /// Who signs clients.
    pub(crate) authority: PathBuf,
    /// Our certificate, then those up to the authority.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read.
    #[error("read {what} {}", path.display())]
    File {
        /// Which.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// There is nothing in it.
    #[error("read {what} {}: no PEM certificate in it", path.display())]
    Empty {
        /// Which.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// They do not fit together or are not understood.
    #[error("use the certificate {} with the key {}", certificate.display(), key.display())]
    Pair {
        /// Our certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The authority is of no use.
    #[error("trust the certificate authority {}", path.display())]
    Authority {
        /// Where.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The verifier of clients cannot be made.
    #[error("verify clients by the certificate authority {}", path.display())]
    Verifier {
        /// Where.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file that is missing or wrong.
    pub(crate) fn load(&self) -> Result<RemoteTls, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authority, "the certificate authority (tlscacert)")? {
            roots
                .add(certificate)
                .map_err(|source| TlsError::Authority { path: self.authority.clone(), source })?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|source| TlsError::Verifier { path: self.authority.clone(), source })?;
        let own = certificates(&self.certificate, "the certificate (tlscert)")?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|source| TlsError::File {
            what: "the key (tlskey)",
            path: self.key.clone(),
            source,
        })?;
        let guard = own.first().cloned().map(Guard::new).ok_or_else(|| TlsError::Empty {
            what: "the certificate (tlscert)",
            path: self.certificate.clone(),
        })?;
        let pair = |source| TlsError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(pair)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(own, key)
            .map_err(pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(RemoteTls { acceptor: TlsAcceptor::from(Arc::new(config)), guard: Arc::new(guard) })
    }
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|source| TlsError::File { what, path: path.to_owned(), source })?;
    if found.is_empty() { Err(TlsError::Empty { what, path: path.to_owned() }) } else { Ok(found) }
}
