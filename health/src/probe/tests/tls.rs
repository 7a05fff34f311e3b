//! Certificates: a real handshake with a server whose certificate an authority of this test has signed, or has not.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// Who signs certificates.
struct Authority {
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).expect("a certificate").der().to_vec();
        Self { der, issuer: Issuer::new(params, key) }
    }

    /// A server for www.example.net, whose certificate ends in that year.
    fn server(&self, last_year: i32) -> SocketAddr {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["www.example.net".to_owned()]).expect("parameters");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("signed").der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![certificate], key);
        let config = Arc::new(config.expect("the key is the certificate's"));
        server(move |stream| {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = StreamOwned::new(connection, stream);
            let _ = stream.read(&mut [0; 2048]);
            let _ = stream.write_all(GOOD);
            stream.conn.send_close_notify();
            let _ = stream.flush();
        })
    }
}

fn ask(server: SocketAddr, name: &str, trust: Trust) -> Outcome {
    let Check::Http(check) = https() else { unreachable!("it is") };
    attempt_at(server, Check::Http(HttpCheck { tls: Some(Tls { name: Some(name.into()), trust }), ..check }))
}

#[test]
fn a_certificate_has_to_be_signed_valid_and_for_the_name() {
    let authority = Authority::new();
    let trusted = || Trust::Authority(authority.der.clone());
    let good = authority.server(4000);
    assert!(ask(good, "www.example.net", trusted()).is_ok());
    fails(ask(good, "www.example.org", trusted()), "tls: the certificate is for another name");
    let stranger = Trust::Authority(Authority::new().der);
    fails(ask(good, "www.example.net", stranger), "tls: the certificate is not signed by a trusted authority");
    let expired = authority.server(2021);
    fails(ask(expired, "www.example.net", trusted()), "tls: the certificate has expired");
    fails(ask(good, "www.example.net", Trust::Public), "tls: the certificate is not signed by a trusted authority");
    for server in [good, expired] {
        assert!(ask(server, "www.example.org", Trust::Any).is_ok(), "anybody is trusted");
    }
}

#[test]
fn a_server_that_resets_in_the_handshake_has_a_reason() {
    let resets = server(|mut stream| {
        let _ = stream.read(&mut [0; 16]);
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    });
    fails(ask(resets, "www.example.net", Trust::Any), "tls: reset");
}
