//! Which certificates are trusted at which host, as rustls takes them.

use std::collections::HashMap;
use std::sync::Arc;

use http::uri::{Authority, Scheme};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::{Config, ConfigError, Identity, Registry, Roots};
use crate::host::{Hosts, Origin, parse_authority};

/// The TLS settings of every host.
#[derive(Debug)]
pub(crate) struct Tls {
    hosts: Arc<Hosts>,
    strict: Arc<ClientConfig>,
    lenient: Arc<ClientConfig>,
    /// By authority: those with certificates of their own.
    special: HashMap<String, Arc<ClientConfig>>,
}

impl Tls {
    pub(crate) fn new(config: &Config, hosts: Arc<Hosts>) -> Result<Self, ConfigError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let roots = roots(&config.roots)?;
        let mut special = HashMap::new();
        for (registry, settings) in &config.registries {
            let authority =
                parse_authority(registry).ok_or_else(|| ConfigError::Registry(registry.clone()))?;
            if settings.authorities.is_empty() && settings.identity.is_none() {
                continue;
            }
            let build = Build { registry, provider: &provider };
            let roots = match hosts.is_checked(&authority) {
                true => Some(build.with_own(&roots, settings)?),
                false => None,
            };
            let origin = Origin::new(Scheme::HTTPS, &authority);
            special.insert(origin.authority, build.client(roots, settings.identity.as_ref())?);
        }
        let build = Build { registry: "any registry", provider: &provider };
        Ok(Self {
            hosts,
            strict: build.client(Some(roots), None)?,
            lenient: build.client(None, None)?,
            special,
        })
    }

    pub(crate) fn of(&self, authority: &Authority) -> Arc<ClientConfig> {
        let origin = Origin::new(Scheme::HTTPS, authority);
        let usual = || if self.hosts.is_checked(authority) { &self.strict } else { &self.lenient };
        Arc::clone(self.special.get(&origin.authority).unwrap_or_else(usual))
    }
}

fn roots(roots: &Roots) -> Result<RootCertStore, ConfigError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::Only(pem) => add(&mut store, pem, "any registry")?,
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "a system certificate authority cannot be read");
            }
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                tracing::warn!(
                    "the system has no certificate authorities, so no https registry is trusted; \
                     hint: install ca-certificates"
                );
            }
        }
    }
    Ok(store)
}

fn add(store: &mut RootCertStore, pem: &[u8], registry: &str) -> Result<(), ConfigError> {
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|source| bad_pem("certificate authorities", registry, source))?;
        store
            .add(certificate)
            .map_err(|source| bad_pem("certificate authorities", registry, source))?;
    }
    Ok(())
}

fn bad_pem(
    what: &'static str,
    registry: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> ConfigError {
    ConfigError::Pem { what, registry: registry.to_owned(), source: Box::new(source) }
}

struct Build<'a> {
    registry: &'a str,
    provider: &'a Arc<CryptoProvider>,
}

impl Build<'_> {
    fn with_own(
        &self,
        roots: &RootCertStore,
        settings: &Registry,
    ) -> Result<RootCertStore, ConfigError> {
        let mut store = roots.clone();
        add(&mut store, &settings.authorities, self.registry)?;
        Ok(store)
    }

    /// Without `roots`, any certificate will do.
    fn client(
        &self,
        roots: Option<RootCertStore>,
        identity: Option<&Identity>,
    ) -> Result<Arc<ClientConfig>, ConfigError> {
        let failed = |source| ConfigError::Tls { registry: self.registry.to_owned(), source };
        let verifier: Arc<dyn ServerCertVerifier> = match roots {
            // rustls refuses to build a verifier without roots; this one trusts nobody.
            Some(roots) if roots.is_empty() => Arc::new(Nobody(Arc::clone(self.provider))),
            Some(roots) => WebPkiServerVerifier::builder_with_provider(
                Arc::new(roots),
                Arc::clone(self.provider),
            )
            .build()
            .map_err(|error| failed(rustls::Error::General(error.to_string())))?,
            None => Arc::new(Anybody(Arc::clone(self.provider))),
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(self.provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = self.read(identity)?;
                builder.with_client_auth_cert(chain, key).map_err(failed)?
            }
        };
        Ok(Arc::new(config))
    }

    fn read(
        &self,
        identity: &Identity,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ConfigError> {
        let chain = CertificateDer::pem_slice_iter(&identity.chain)
            .collect::<Result<_, _>>()
            .map_err(|source| bad_pem("client certificate", self.registry, source))?;
        let key = PrivateKeyDer::from_pem_slice(&identity.key)
            .map_err(|source| bad_pem("client key", self.registry, source))?;
        Ok((chain, key))
    }
}

/// Trusts every certificate: for registries the administrator listed as insecure. That the other
/// side holds the certificate's key is checked all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

/// Trusts none: for systems without certificate authorities.
#[derive(Debug)]
struct Nobody(Arc<CryptoProvider>);

macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let known = &self.0.signature_verification_algorithms;
            crypto::verify_tls12_signature(message, certificate, signed, known)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let known = &self.0.signature_verification_algorithms;
            crypto::verify_tls13_signature(message, certificate, signed, known)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _stapled: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl ServerCertVerifier for Nobody {
    fn verify_server_cert(
        &self,
        _end: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _stapled: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(rustls::CertificateError::UnknownIssuer.into())
    }

    signatures!();
}
