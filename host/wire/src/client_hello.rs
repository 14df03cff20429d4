//! The first message of a TLS client, as it is read before anything answers it (RFC 8446 section 4.1.2, RFC 5246
//! section 7.4.1.2): by what it asks for, a balancer chooses where the connection goes.
//!
//! [`Records`] puts the message together from the records that it comes in, [`ClientHello`] reads it. Both refuse what
//! a TLS server must refuse as well, so that no two readers see different names in one hello.

mod cursor;
mod extensions;
mod records;

pub use extensions::{Protocols, U16s};
pub use records::Records;

use cursor::Cursor;
use extensions::Extensions;

/// The longest message that is read, with its header. Hellos with post-quantum key shares have about 2 KiB.
pub const MOST_MESSAGE: usize = 64 << 10;

/// Why bytes are no ClientHello that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloError {
    /// The first record is not one of the handshake: no TLS, or the hello of SSL 2.
    NotHandshake,
    /// A record without a byte of the handshake, or one longer than 2^14 bytes (RFC 8446 section 5.1).
    RecordLength,
    /// Another record stands between those of the message (RFC 8446 section 5.1).
    Interleaved,
    /// The message is not a ClientHello.
    NotClientHello,
    /// The message is longer than [`MOST_MESSAGE`].
    TooLong,
    /// The last record holds more than the message (RFC 8446 section 5.1).
    Trailing,
    /// A field is longer than what holds it, or shorter than it may be.
    Malformed,
    /// An extension stands twice, or behind `pre_shared_key` (RFC 8446 sections 4.2 and 4.2.11).
    ExtensionOrder,
    /// More extensions than any client sends.
    TooManyExtensions,
    /// The server name is not one host name of letters, digits, hyphens, underscores and dots (RFC 6066 section 3).
    ServerName,
}

impl HelloError {
    /// All of them.
    pub const ALL: [HelloError; 10] = [
        HelloError::NotHandshake,
        HelloError::RecordLength,
        HelloError::Interleaved,
        HelloError::NotClientHello,
        HelloError::TooLong,
        HelloError::Trailing,
        HelloError::Malformed,
        HelloError::ExtensionOrder,
        HelloError::TooManyExtensions,
        HelloError::ServerName,
    ];

    /// For logs.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            HelloError::NotHandshake => "the first bytes are not a TLS handshake record",
            HelloError::RecordLength => "a TLS record is empty or longer than 2^14 bytes",
            HelloError::Interleaved => "another TLS record stands inside the ClientHello",
            HelloError::NotClientHello => "the first handshake message is not a ClientHello",
            HelloError::TooLong => "the ClientHello is longer than 64 KiB",
            HelloError::Trailing => "the record of the ClientHello holds more than it",
            HelloError::Malformed => "a length in the ClientHello is wrong",
            HelloError::ExtensionOrder => "a TLS extension stands twice, or behind pre_shared_key",
            HelloError::TooManyExtensions => "the ClientHello has more than 256 extensions",
            HelloError::ServerName => "the server name (SNI) is not a host name",
        }
    }
}

/// A ClientHello whose fields were checked once; what they hold is read from the message when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    /// `legacy_version`: 0x0303 in TLS 1.2 and 1.3.
    pub legacy_version: u16,
    pub session_id: &'a [u8],
    ciphers: &'a [u8],
    extensions: Extensions<'a>,
}

impl<'a> ClientHello<'a> {
    /// Reads a message, with its header of four bytes and nothing behind it.
    ///
    /// # Errors
    /// See [`HelloError`].
    pub fn read(message: &'a [u8]) -> Result<Self, HelloError> {
        if message.len() > MOST_MESSAGE {
            return Err(HelloError::TooLong);
        }
        let mut cursor = Cursor(message);
        if cursor.u8()? != CLIENT_HELLO {
            return Err(HelloError::NotClientHello);
        }
        let mut body = Cursor(cursor.vec24()?);
        cursor.end()?;

        let legacy_version = body.u16()?;
        body.take(RANDOM)?;
        let session_id = body.vec8()?;
        let ciphers = body.vec16()?;
        let compressions = body.vec8()?;
        if session_id.len() > MOST_SESSION_ID || !is_list(ciphers) || compressions.is_empty() {
            return Err(HelloError::Malformed);
        }
        // A client of old may send none at all (RFC 5246 section 7.4.1.2).
        let extensions = if body.0.is_empty() { &[] } else { body.vec16()? };
        body.end()?;
        Ok(ClientHello { legacy_version, session_id, ciphers, extensions: Extensions::read(extensions)? })
    }

    /// The host that the client names (RFC 6066 section 3), without a dot at its end, which means the same name.
    #[must_use]
    pub fn server_name(&self) -> Option<&'a str> {
        self.extensions.server_name
    }

    /// The protocols that the client speaks over TLS, the one that it likes best first (RFC 7301 section 3.1).
    #[must_use]
    pub fn protocols(&self) -> Protocols<'a> {
        Protocols(self.extensions.protocols)
    }

    /// The versions of TLS that the client speaks; the legacy one where it lists none (RFC 8446 section 4.2.1).
    #[must_use]
    pub fn versions(&self) -> U16s<'a> {
        U16s(self.extensions.versions)
    }

    /// The latest version that the client speaks, whatever GREASE stands in between.
    #[must_use]
    pub fn latest_version(&self) -> u16 {
        self.versions().filter(|&version| !is_grease(version)).max().unwrap_or(self.legacy_version)
    }

    /// Cipher suites as sent, with GREASE.
    #[must_use]
    pub fn ciphers(&self) -> U16s<'a> {
        U16s(self.ciphers)
    }

    /// Key exchange groups as sent, with GREASE (RFC 8446 section 4.2.7).
    #[must_use]
    pub fn groups(&self) -> U16s<'a> {
        U16s(self.extensions.groups)
    }

    /// Signature schemes as sent, with GREASE (RFC 8446 section 4.2.3).
    #[must_use]
    pub fn signature_schemes(&self) -> U16s<'a> {
        U16s(self.extensions.signature_schemes)
    }

    /// The types of the extensions as sent, with GREASE.
    pub fn extensions(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.extensions.types()
    }

    /// Whether early data follows (RFC 8446 section 4.2.10).
    #[must_use]
    pub fn offers_early_data(&self) -> bool {
        self.extensions.early_data
    }
}

/// Whether a value says nothing, and is there so that servers stay tolerant (RFC 8701 section 2).
#[must_use]
pub const fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// The type of the message (RFC 8446 section 4).
const CLIENT_HELLO: u8 = 1;
const RANDOM: usize = 32;
const MOST_SESSION_ID: usize = 32;

/// Whether these are numbers of two bytes, one at least.
fn is_list(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len().is_multiple_of(2)
}

#[cfg(test)]
mod tests;
