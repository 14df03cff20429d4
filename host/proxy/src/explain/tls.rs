//! The handshake of a client that trusts everyone and shows no certificate, with the virtual's own settings, in memory.

use std::sync::Arc;

use shunt_wire::client_hello::{MOST_MESSAGE, Records};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, NoKeyLog, ServerConfig, ServerConnection, crypto,
};

use super::Spoken;
use crate::tls::hello::Hello;
use shunt_runtime::tls::peer;
use shunt_runtime::tls::shown::AnyCertificate;

/// What the two agree on.
pub(super) struct Agreed {
    pub(super) spoken: Spoken,
    pub(super) told: Vec<String>,
}

/// What the client says first.
pub(super) fn hello(host: &str, version: Option<Spoken>) -> Result<Hello, String> {
    let mut client = client(host, version)?;
    let mut received = Vec::new();
    client.write_tls(&mut received).map_err(|error| error.to_string())?;
    let mut message = vec![0; MOST_MESSAGE];
    let length =
        Records::default().take(&received, &mut message).map_err(|error| error.reason().to_owned())?;
    message.truncate(length.ok_or("the client says nothing")?);
    let said = shunt_rules::Hello::new(message).map_err(|error| error.reason().to_owned())?;
    Ok(Hello { received, said: Arc::new(said) })
}

/// # Errors
/// Why there is no connection.
pub(super) fn handshake(
    host: &str,
    version: Option<Spoken>,
    config: &Arc<ServerConfig>,
) -> Result<Agreed, String> {
    let mut apart = ServerConfig::clone(config);
    // Nothing is kept of it.
    apart.key_log = Arc::new(NoKeyLog);
    apart.session_storage = Arc::new(NoServerSessionStorage {});
    let mut client = client(host, version)?;
    let mut server = ServerConnection::new(Arc::new(apart)).map_err(|error| error.to_string())?;
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    for _ in 0..8 {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).map_err(|error| failed(&error))?;
        }
        let mut left = flight.as_slice();
        while !left.is_empty() {
            server.read_tls(&mut left).map_err(|error| failed(&error))?;
            server.process_new_packets().map_err(|error| failed(&error))?;
        }
        let mut flight = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut flight).map_err(|error| failed(&error))?;
        }
        let mut left = flight.as_slice();
        while !left.is_empty() {
            client.read_tls(&mut left).map_err(|error| failed(&error))?;
            client.process_new_packets().map_err(|error| failed(&error))?;
        }
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(agreed(&client));
        }
    }
    Err("it does not come to an end".to_owned())
}

fn agreed(client: &ClientConnection) -> Agreed {
    let spoken = match client.alpn_protocol() {
        Some(b"h2") => Spoken::Http2,
        _ => Spoken::Http1,
    };
    let protocol = client.alpn_protocol().map_or("no ALPN".into(), |it| String::from_utf8_lossy(it));
    let version = client.protocol_version().and_then(|it| it.as_str()).unwrap_or("TLS");
    let mut told = vec![format!("{version}, {protocol}")];
    if let Some(certificate) = client.peer_certificates().and_then(|chain| chain.first()) {
        let facts = shunt_rules::ClientCertificate::facts(&peer::Shown::new(certificate));
        let names = if facts.names.is_empty() { facts.subject } else { facts.names.join(", ") };
        told.push(format!("the certificate for {names}"));
    }
    Agreed { spoken, told }
}

fn client(host: &str, version: Option<Spoken>) -> Result<ClientConnection, String> {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let trusting = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config =
        config.map_err(|error| error.to_string())?.dangerous().with_custom_certificate_verifier(trusting);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = match version {
        Some(Spoken::Http1) => vec![b"http/1.1".to_vec()],
        Some(Spoken::Http2) => vec![b"h2".to_vec()],
        None => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())
}
