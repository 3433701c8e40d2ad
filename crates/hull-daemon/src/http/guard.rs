//! Refuses what browsers are made to send: requests of foreign pages, and of rebound names.
//!
//! Only remote connections are checked. They have a verified client certificate already; but a
//! browser that holds it would show it for any page that asks. A unix socket is out of its reach.

use http::HeaderMap;
use http::StatusCode;
use http::header::{HOST, ORIGIN};
use rustls::pki_types::{CertificateDer, ServerName};

use super::answer::Failure;

/// The names this daemon may be called by over TCP.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    certificate: CertificateDer<'static>,
}

impl Guard {
    /// Names the daemon by its own certificate.
    pub(crate) fn new(certificate: CertificateDer<'static>) -> Self {
        Self { certificate }
    }

    /// Whether a request with these headers may pass.
    ///
    /// # Errors
    /// 403 if a page sent it, or if it was sent to a name that is not this daemon's.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Failure> {
        if let Some(origin) = headers.get(ORIGIN) {
            return Err(Failure::new(
                StatusCode::FORBIDDEN,
                format!("requests of web pages are refused (Origin: {origin:?})"),
            ));
        }
        let Some(host) = headers.get(HOST) else { return Ok(()) };
        let name = host.to_str().map_or("", without_port);
        if self.is_ours(name) {
            return Ok(());
        }
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            format!(
                "Host {host:?} is not this daemon; hint: it answers to IP addresses, localhost and \
                 the names of its certificate"
            ),
        ))
    }

    /// An address cannot be rebound, nor can a name we have a certificate for.
    fn is_ours(&self, name: &str) -> bool {
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let Ok(name) = ServerName::try_from(name) else { return false };
        if matches!(name, ServerName::IpAddress(_)) {
            return true;
        }
        webpki::EndEntityCert::try_from(&self.certificate)
            .and_then(|certificate| certificate.verify_is_valid_for_subject_name(&name))
            .is_ok()
    }
}

/// `[::1]:2376` is `::1`.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or("", |(address, _)| address);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}
