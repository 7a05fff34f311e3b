//! TLS of a client, with rustls: whose certificate is good, and what a handshake that failed is called. Checks of health and updates of firmware
//! share it; the connection is theirs.
//!
//! Certificates are checked only where the operator names an authority, or asks for a public one. The server proves in any case that it has the
//! key of the certificate it shows. No session is resumed: who asks is to see what a new client sees. Revocation is not looked at.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, client::Resumption,
};
use yoke_config::model::Trust;

/// What shakes hands for somebody who trusts so.
///
/// # Errors
/// What is named is no certificate of an authority.
pub fn client(trust: &Trust) -> Result<Arc<ClientConfig>, String> {
    static ANYBODY: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    static PUBLIC: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    match trust {
        Trust::Any => once(&ANYBODY, || build(provider(), Arc::new(Anybody(provider())))),
        Trust::Public => once(&PUBLIC, || trusting(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())),
        Trust::Authority(der) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from(der.as_slice()))
                .map_err(|error| format!("tls trust ca: no certificate of an authority: {error}"))?;
            trusting(roots)
        }
    }
}

/// One that all have, made for the first of them.
fn once(
    all: &OnceLock<Arc<ClientConfig>>,
    make: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
) -> Result<Arc<ClientConfig>, String> {
    if let Some(client) = all.get() {
        return Ok(client.clone());
    }
    let client = make()?;
    Ok(all.get_or_init(|| client).clone())
}

fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    build(provider(), verifier.build().map_err(|error| format!("tls trust: {error}"))?)
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())).clone()
}

fn build(provider: Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("tls: {error}"))?;
    let mut client = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    client.resumption = Resumption::disabled();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(client))
}

/// Whether the clock of this box has a part in it that a certificate is refused.
#[must_use]
pub fn is_of_time(error: &Error) -> bool {
    use CertificateError as C;
    matches!(
        error,
        Error::InvalidCertificate(
            C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. }
        )
    )
}

/// A failure in few words.
#[must_use]
pub fn reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the certificate has expired".to_owned()
        }
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "the certificate is not valid yet".to_owned()
        }
        // The second: one of the same name has signed it.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the certificate is not signed by a trusted authority".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the certificate is for another name".to_owned(),
        Error::InvalidMessage(_) => "the server does not speak tls".to_owned(),
        Error::AlertReceived(alert) => format!("the server refuses: {alert:?}"),
        other => other.to_string(),
    }
}

/// Takes any certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
