//! The PROXY protocol, versions 1 and 2: what a proxy says in front of a connection about the client that it carries
//! ("The PROXY protocol", HAProxy, 2020; sections 2.1 and 2.2).
//!
//! A header is trusted as far as who sent it: which sources may send one is not decided here.

mod crc32c;
mod v1;
mod v2;

use core::net::SocketAddr;

pub use v1::{MOST_V1, write_v1};
pub use v2::{LOCAL_V2, LONGEST_WRITTEN_V2, MOST_V2, TlsFacts, TlvKind, Tlvs, Writer};

/// Why bytes are no PROXY header that can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// The connection does not begin with one.
    Missing,
    /// Version 1: the line does not end within 107 bytes, or with CRLF.
    Line,
    /// Version 1: fields that are missing, too many, or not parted by one space.
    Fields,
    /// An address of another family than the header names, or none.
    Address,
    /// A port that is no number up to 65535.
    Port,
    /// Version 2: another version, or a command that is not LOCAL or PROXY.
    Command,
    /// Version 2: shorter than the addresses of its family need, or longer than [`MOST_V2`].
    Length,
    /// Version 2: a TLV is longer than what holds it.
    Tlv,
    /// Version 2: the checksum is wrong (section 2.2.3).
    Checksum,
}

impl ProxyError {
    /// All of them.
    pub const ALL: [ProxyError; 9] = [
        ProxyError::Missing,
        ProxyError::Line,
        ProxyError::Fields,
        ProxyError::Address,
        ProxyError::Port,
        ProxyError::Command,
        ProxyError::Length,
        ProxyError::Tlv,
        ProxyError::Checksum,
    ];

    /// For logs.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            ProxyError::Missing => "the connection does not begin with a PROXY header",
            ProxyError::Line => "the PROXY line does not end with CRLF within 107 bytes",
            ProxyError::Fields => "the PROXY line has not the six fields of its version",
            ProxyError::Address => "an address of the PROXY header is not of the family that it names",
            ProxyError::Port => "a port of the PROXY header is not a number up to 65535",
            ProxyError::Command => "the PROXY header has an unknown version or command",
            ProxyError::Length => "the PROXY header is shorter than its addresses, or longer than 4 KiB",
            ProxyError::Tlv => "a TLV of the PROXY header is longer than the header",
            ProxyError::Checksum => "the checksum of the PROXY header is wrong",
        }
    }
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The proxy's own, such as a health check: the addresses of the connection itself hold.
    Local,
    /// A client's, of which the proxy does not say the address: those of the connection itself hold.
    Unknown,
    /// A client's. Both addresses are of one family.
    Client { source: SocketAddr, destination: SocketAddr },
}

/// A PROXY header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    pub origin: Origin,
    /// What else it says; nothing in version 1.
    pub tlvs: Tlvs<'a>,
    /// How many bytes it has. The connection's own follow.
    pub length: usize,
}

impl<'a> Header<'a> {
    /// Reads the header in front of `bytes`. `None`: more have to come.
    ///
    /// # Errors
    /// See [`ProxyError`]. No more bytes make it a header.
    pub fn read(bytes: &'a [u8]) -> Result<Option<Self>, ProxyError> {
        match bytes.first() {
            None => Ok(None),
            Some(b'P') => v1::read(bytes),
            Some(_) => v2::read(bytes),
        }
    }
}

/// Whether `bytes` may be the beginning of `prefix`, or begin with it.
fn agrees(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.iter().zip(prefix).all(|(byte, wanted)| byte == wanted)
}

#[cfg(test)]
mod tests;
