//! What a client is told whose connection ends before its handshake (RFC 8446 section 6.2).

use std::time::Duration;

use shunt_wire::client_hello::HelloError;
use tokio::net::TcpStream;

use crate::client::linger;

/// `AlertDescription`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Alert {
    UnexpectedMessage = 10,
    HandshakeFailure = 40,
    IllegalParameter = 47,
    AccessDenied = 49,
    DecodeError = 50,
    ProtocolVersion = 70,
    InternalError = 80,
    UnrecognizedName = 112,
    NoApplicationProtocol = 120,
}

impl From<shunt_rules::Alert> for Alert {
    fn from(alert: shunt_rules::Alert) -> Self {
        match alert {
            shunt_rules::Alert::HandshakeFailure => Alert::HandshakeFailure,
            shunt_rules::Alert::AccessDenied => Alert::AccessDenied,
            shunt_rules::Alert::ProtocolVersion => Alert::ProtocolVersion,
            shunt_rules::Alert::UnrecognizedName => Alert::UnrecognizedName,
            shunt_rules::Alert::NoApplicationProtocol => Alert::NoApplicationProtocol,
        }
    }
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

    /// Sends it and ends the connection, whose client is listened to for `most` at most. Best effort: whoever does not
    /// take a few bytes misses them.
    pub(crate) async fn send(self, stream: TcpStream, most: Duration) {
        const ALERT: u8 = 21;
        const FATAL: u8 = 2;
        let record = [ALERT, 3, 3, 0, 2, FATAL, self as u8];
        if stream.try_write(&record).is_ok() {
            linger(stream, most).await;
        }
    }
}
