//! Version 1: a line of text.

use core::fmt::Write;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::v2::Tlvs;
use super::{Header, Origin, ProxyError, agrees};

/// The longest line, with its end (section 2.1).
pub const MOST_V1: usize = 107;

const SIGNATURE: &[u8] = b"PROXY ";

pub(super) fn read(bytes: &[u8]) -> Result<Option<Header<'_>>, ProxyError> {
    if !agrees(bytes, SIGNATURE) {
        return Err(ProxyError::Missing);
    }
    let line = &bytes[..bytes.len().min(MOST_V1)];
    let Some(end) = line.iter().position(|&byte| byte == b'\n') else {
        return if bytes.len() < MOST_V1 { Ok(None) } else { Err(ProxyError::Line) };
    };
    let text = line[..end].strip_suffix(b"\r").ok_or(ProxyError::Line)?;
    let text = text.strip_prefix(SIGNATURE).ok_or(ProxyError::Line)?;
    Ok(Some(Header { origin: origin(text)?, tlvs: Tlvs::default(), length: end + 1 }))
}

fn origin(text: &[u8]) -> Result<Origin, ProxyError> {
    let mut fields = text.split(|&byte| byte == b' ');
    let mut field =
        || fields.next().and_then(|field| core::str::from_utf8(field).ok()).ok_or(ProxyError::Fields);
    let read: fn(&str) -> Option<IpAddr> = match field()? {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        // What follows it is to be ignored.
        "UNKNOWN" => return Ok(Origin::Unknown),
        _ => return Err(ProxyError::Fields),
    };
    let (source, destination) = (field()?, field()?);
    let (source_port, destination_port) = (field()?, field()?);
    if fields.next().is_some() {
        return Err(ProxyError::Fields);
    }
    let endpoint = |address, port| {
        Ok(SocketAddr::new(read(address).ok_or(ProxyError::Address)?, decimal(port).ok_or(ProxyError::Port)?))
    };
    Ok(Origin::Client {
        source: endpoint(source, source_port)?,
        destination: endpoint(destination, destination_port)?,
    })
}

/// Digits without a sign and without a leading zero.
fn decimal(text: &str) -> Option<u16> {
    let sound = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    sound.then(|| text.parse().ok()).flatten()
}

/// Writes a header of version 1 into `out`; returns its length. `None` for the addresses: the client is unknown.
/// Addresses of two families cannot be said in one header: those are unknown, too.
pub fn write_v1(addresses: Option<(SocketAddr, SocketAddr)>, out: &mut [u8; MOST_V1]) -> usize {
    let mut text = Text { out, length: 0 };
    let written =
        match addresses.map(|(source, destination)| (source.ip(), destination.ip(), source, destination)) {
            Some((IpAddr::V4(from), IpAddr::V4(to), source, destination)) => {
                write!(text, "PROXY TCP4 {from} {to} {} {}\r\n", source.port(), destination.port())
            }
            Some((IpAddr::V6(from), IpAddr::V6(to), source, destination)) => {
                write!(text, "PROXY TCP6 {from} {to} {} {}\r\n", source.port(), destination.port())
            }
            _ => write!(text, "PROXY UNKNOWN\r\n"),
        };
    // The longest line has fewer than `MOST_V1` bytes.
    debug_assert!(written.is_ok());
    text.length
}

struct Text<'a> {
    out: &'a mut [u8; MOST_V1],
    length: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.length + text.len();
        let room = self.out.get_mut(self.length..end).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
