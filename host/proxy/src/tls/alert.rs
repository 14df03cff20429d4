//! What a client is told whose connection ends before its handshake (RFC 8446 section 6.2).

use shunt_wire::client_hello::HelloError;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// `AlertDescription`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Alert {
    UnexpectedMessage = 10,
    IllegalParameter = 47,
    DecodeError = 50,
    InternalError = 80,
}

impl Alert {
    /// What a message gets that is no ClientHello; `None`: what came is no TLS at all.
    pub(crate) fn of(error: HelloError) -> Option<Self> {
        match error {
            HelloError::NotHandshake => None,
            HelloError::NotClientHello | HelloError::Interleaved => Some(Alert::UnexpectedMessage),
            HelloError::ExtensionOrder => Some(Alert::IllegalParameter),
            HelloError::RecordLength
            | HelloError::TooLong
            | HelloError::Trailing
            | HelloError::Malformed
            | HelloError::TooManyExtensions
            | HelloError::ServerName => Some(Alert::DecodeError),
        }
    }

    /// Sends it and ends the connection. Best effort: whoever does not take two dozen bytes misses them.
    pub(crate) async fn send(self, stream: &mut TcpStream) {
        const ALERT: u8 = 21;
        const FATAL: u8 = 2;
        let record = [ALERT, 3, 3, 0, 2, FATAL, self as u8];
        if stream.try_write(&record).is_ok() {
            // Sends no more than FIN: it does not wait.
            let _ = stream.shutdown().await;
        }
    }
}
