//! A handshake that goes on behind a ClientHello that was read.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::{Accepted, Acceptor};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{StartHandshake, TlsAcceptor};

use super::hello::Hello;

/// Makes the handshake; `hello` is what was read of it.
///
/// # Errors
/// There is none. The client was told, and has not been listened to since.
pub(crate) async fn handshake(
    stream: TcpStream,
    hello: Option<Hello>,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<TcpStream>, (io::Error, TcpStream)> {
    let Some(hello) = hello else {
        return TlsAcceptor::from(config).accept(stream).into_fallible().await;
    };
    match accepted(&hello.received) {
        Ok(accepted) => {
            StartHandshake::from_parts(accepted, stream).into_stream(config).into_fallible().await
        }
        Err((error, alert)) => {
            // Best effort: whoever does not take a few bytes misses them.
            let _ = stream.try_write(&alert);
            Err((error, stream))
        }
    }
}

/// Gives rustls what was read; else the error and what the client is to be sent.
fn accepted(mut received: &[u8]) -> Result<Accepted, (io::Error, Vec<u8>)> {
    let mut acceptor = Acceptor::default();
    loop {
        // It takes as much as it has room for.
        let taken = acceptor.read_tls(&mut received).map_err(|error| (error, Vec::new()))?;
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) if taken > 0 => {}
            Ok(None) => return Err((io::ErrorKind::InvalidData.into(), Vec::new())),
            Err((error, mut alert)) => {
                let mut told = Vec::new();
                // Writing to memory does not fail.
                let _ = alert.write_all(&mut told);
                return Err((io::Error::new(io::ErrorKind::InvalidData, error), told));
            }
        }
    }
}
