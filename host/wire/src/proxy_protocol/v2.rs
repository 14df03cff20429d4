//! Version 2: binary, with more about the connection behind the addresses.

use core::net::{IpAddr, SocketAddr};

use super::crc32c::{self, crc32c};
use super::{Header, Origin, ProxyError, agrees};
use crate::bytes::{array_at, u16_at};

/// The longest header that is read. Addresses take 36 bytes; names and certificates' facts the rest.
pub const MOST_V2: usize = HEAD + (4 << 10);

/// The longest header that is written: no longer than one with addresses of Unix sockets, the longest of section 2.2.
/// Of receivers some refuse the connection beyond it (Apache 2.4, Exim 4.96), others little beyond it.
pub const LONGEST_WRITTEN_V2: usize = HEAD + 216;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const HEAD: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Of the families and transports those that a TCP connection can come from (section 2.2, bytes 14).
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

/// Types of TLVs (section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TlvKind {
    /// The protocol that the client and the proxy agreed on by ALPN.
    Alpn = 0x01,
    /// The host that the client named by SNI.
    Authority = 0x02,
    Crc32c = 0x03,
    Noop = 0x04,
    /// At most 128 bytes.
    UniqueId = 0x05,
    /// See [`TlsFacts`].
    Tls = 0x20,
    /// Inside of `Tls`: `TLSv1.3`.
    TlsVersion = 0x21,
    /// Inside of `Tls`: the common name of the client's certificate.
    TlsCommonName = 0x22,
    /// Inside of `Tls`: the cipher suite.
    TlsCipher = 0x23,
}

pub(super) fn read(bytes: &[u8]) -> Result<Option<Header<'_>>, ProxyError> {
    if !agrees(bytes, SIGNATURE) {
        return Err(ProxyError::Missing);
    }
    // As much as is sure may be refused at once.
    if bytes.get(12).is_some_and(|command| !matches!(*command, LOCAL | PROXY)) {
        return Err(ProxyError::Command);
    }
    let Some(behind) = u16_at(bytes, HEAD - 2) else { return Ok(None) };
    let length = HEAD + usize::from(behind);
    let addresses = match (bytes[12], bytes[13]) {
        (PROXY, TCP4) => 12,
        (PROXY, TCP6) => 36,
        (PROXY, UNIX_STREAM) => 216,
        // Addresses of a local connection, and of families that are unknown, are skipped with all that follows.
        _ => usize::from(behind),
    };
    if length > MOST_V2 || usize::from(behind) < addresses {
        return Err(ProxyError::Length);
    }
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    let tlvs = Tlvs(&header[HEAD + addresses..]);
    tlvs.check()?;
    check_sum(header, tlvs)?;
    let origin = match (header[12], header[13]) {
        (LOCAL, _) => Origin::Local,
        (_, TCP4) => client::<4>(header)?,
        (_, TCP6) => client::<16>(header)?,
        _ => Origin::Unknown,
    };
    Ok(Some(Header { origin, tlvs, length }))
}

/// Addresses of `N` bytes, and the ports behind them.
fn client<const N: usize>(header: &[u8]) -> Result<Origin, ProxyError>
where
    IpAddr: From<[u8; N]>,
{
    let endpoint = |which: usize| {
        let address: [u8; N] = array_at(header, HEAD + which * N)?;
        Some(SocketAddr::new(address.into(), u16_at(header, HEAD + 2 * N + 2 * which)?))
    };
    match (endpoint(0), endpoint(1)) {
        (Some(source), Some(destination)) => Ok(Origin::Client { source, destination }),
        _ => Err(ProxyError::Length),
    }
}

/// The checksum is that of the whole header with zeros in its place (section 2.2.3).
fn check_sum(header: &[u8], tlvs: Tlvs<'_>) -> Result<(), ProxyError> {
    let Some(said) = tlvs.value(TlvKind::Crc32c) else { return Ok(()) };
    let sum: [u8; 4] = said.try_into().map_err(|_| ProxyError::Checksum)?;
    let at = said.as_ptr() as usize - header.as_ptr() as usize;
    let mut register = crc32c::START;
    for part in [&header[..at], &[0; 4], &header[at + 4..]] {
        register = crc32c(register, part);
    }
    if crc32c::end(register) == u32::from_be_bytes(sum) { Ok(()) } else { Err(ProxyError::Checksum) }
}

/// Types with values, one behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    fn check(self) -> Result<(), ProxyError> {
        let read: usize = self.map(|(_, value)| 3 + value.len()).sum();
        if read == self.0.len() { Ok(()) } else { Err(ProxyError::Tlv) }
    }

    /// The first value of a type.
    #[must_use]
    pub fn value(mut self, kind: TlvKind) -> Option<&'a [u8]> {
        self.find(|(it, _)| *it == kind as u8).map(|(_, value)| value)
    }

    /// What the proxy says of TLS; `None` where it says nothing, or nothing that can be read.
    #[must_use]
    pub fn tls(self) -> Option<TlsFacts<'a>> {
        let value = self.value(TlvKind::Tls)?;
        let (&[client], value) = value.split_first_chunk()?;
        let (verify, value) = value.split_first_chunk()?;
        let inside = Tlvs(value);
        inside.check().ok()?;
        let text = |kind| inside.value(kind).and_then(|value| core::str::from_utf8(value).ok());
        Some(TlsFacts {
            over_tls: client & OVER_TLS != 0,
            certificate: client & CERTIFICATE != 0,
            verified: u32::from_be_bytes(*verify) == 0,
            version: text(TlvKind::TlsVersion),
            cipher: text(TlvKind::TlsCipher),
            common_name: text(TlvKind::TlsCommonName),
        })
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let kind = *self.0.first()?;
        let length = usize::from(u16_at(self.0, 1)?);
        let value = self.0.get(3..3 + length)?;
        self.0 = &self.0[3 + length..];
        Some((kind, value))
    }
}

/// Bits of the first byte of `PP2_TYPE_SSL` (section 2.2.6).
const OVER_TLS: u8 = 0x01;
const CERTIFICATE: u8 = 0x02;

/// The header of a connection of the proxy's own.
pub const LOCAL_V2: [u8; HEAD] = {
    let mut header = [0; HEAD];
    let (signature, _) = header.split_at_mut(SIGNATURE.len());
    signature.copy_from_slice(SIGNATURE);
    header[SIGNATURE.len()] = LOCAL;
    header
};

/// What is said of the TLS connection between the client and the proxy (section 2.2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts<'a> {
    pub over_tls: bool,
    /// The client showed a certificate on this connection.
    pub certificate: bool,
    /// The certificate was verified.
    pub verified: bool,
    /// `TLSv1.3`.
    pub version: Option<&'a str>,
    pub cipher: Option<&'a str>,
    pub common_name: Option<&'a str>,
}

/// Writes a header of version 2.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8; LONGEST_WRITTEN_V2],
    length: usize,
}

impl<'a> Writer<'a> {
    /// Begins a header about a client; `None`, or addresses of two families: about one that is unknown.
    pub fn new(addresses: Option<(SocketAddr, SocketAddr)>, out: &'a mut [u8; LONGEST_WRITTEN_V2]) -> Self {
        let mut writer = Writer { out, length: 0 };
        writer.put(SIGNATURE);
        match addresses.map(|(source, destination)| (source.ip(), destination.ip(), source, destination)) {
            Some((IpAddr::V4(from), IpAddr::V4(to), source, destination)) => {
                writer.put(&[PROXY, TCP4, 0, 0]);
                writer.addresses(&from.octets(), &to.octets(), source, destination);
            }
            Some((IpAddr::V6(from), IpAddr::V6(to), source, destination)) => {
                writer.put(&[PROXY, TCP6, 0, 0]);
                writer.addresses(&from.octets(), &to.octets(), source, destination);
            }
            _ => drop(writer.put(&[PROXY, 0, 0, 0])),
        }
        writer
    }

    fn addresses(&mut self, from: &[u8], to: &[u8], source: SocketAddr, destination: SocketAddr) {
        self.put(from);
        self.put(to);
        self.put(&source.port().to_be_bytes());
        self.put(&destination.port().to_be_bytes());
    }

    /// Whether there was room for it; nothing is written where there was not.
    fn put(&mut self, bytes: &[u8]) -> bool {
        let end = self.length + bytes.len();
        match self.out.get_mut(self.length..end) {
            Some(room) => room.copy_from_slice(bytes),
            None => return false,
        }
        self.length = end;
        true
    }

    /// Adds a TLV. One for which there is no room is left out: all of them may be.
    pub fn tlv(&mut self, kind: TlvKind, value: &[u8]) -> &mut Self {
        let begin = self.length;
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes();
        if !(self.put(&[kind as u8, length[0], length[1]]) && self.put(value)) {
            self.length = begin;
        }
        self
    }

    /// Adds what is known of the client's TLS.
    pub fn tls(&mut self, facts: &TlsFacts<'_>) -> &mut Self {
        let begin = self.length;
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let client = bit(facts.over_tls, OVER_TLS) | bit(facts.certificate, CERTIFICATE);
        let verify = u32::from(!facts.verified).to_be_bytes();
        if !(self.put(&[TlvKind::Tls as u8, 0, 0, client]) && self.put(&verify)) {
            self.length = begin;
            return self;
        }
        let inside = [
            (TlvKind::TlsVersion, facts.version),
            (TlvKind::TlsCommonName, facts.common_name),
            (TlvKind::TlsCipher, facts.cipher),
        ];
        for (kind, value) in inside.into_iter().filter_map(|(kind, value)| Some((kind, value?))) {
            self.tlv(kind, value.as_bytes());
        }
        let length = (self.length - begin - 3) as u16;
        self.out[begin + 1..begin + 3].copy_from_slice(&length.to_be_bytes());
        self
    }

    /// Ends the header; returns its length.
    #[must_use]
    pub fn end(&mut self) -> usize {
        let behind = (self.length - HEAD) as u16;
        self.out[HEAD - 2..HEAD].copy_from_slice(&behind.to_be_bytes());
        self.length
    }
}
