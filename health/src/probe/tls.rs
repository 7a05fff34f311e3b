//! TLS around a probe: the name that is asked for. Whose certificate is good is `yoke_tls`'s.

use std::net::IpAddr;

use rustls::Error;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use yoke_config::model::Trust;

use super::{Stage, words};

/// Shakes hands. `name` is asked for, and expected where somebody is trusted; without one that is the address.
pub(super) async fn connect(
    stream: TcpStream,
    address: IpAddr,
    name: Option<&str>,
    trust: &Trust,
    stage: &Stage,
) -> Result<TlsStream<TcpStream>, String> {
    stage.set("tls handshake");
    let name = match name {
        Some(name) => ServerName::try_from(name.to_owned()).map_err(|_| format!("tls: {name} is no server name"))?,
        None => ServerName::IpAddress(address.into()),
    };
    let connector = TlsConnector::from(yoke_tls::client(trust)?);
    connector.connect(name, stream).await.map_err(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        inner.map_or_else(|| format!("tls: {}", words(&error)), |inner| format!("tls: {}", yoke_tls::reason(inner)))
    })
}
