//! What of a packet a mapping of addresses has to know.

use super::head::{self, Head};
use super::transport::{self, Kind};
use crate::ethernet;
use crate::{Address, Family, Layout, ip};
use crate::{RewriteError, checksum};

/// The header of an ICMP error, in front of what it quotes.
const ICMP_LEN: usize = 8;

/// A packet to be translated, read as far as that needs: of any transport, with any options, whole or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    pub layout: Layout,
    pub source: Address,
    pub destination: Address,
    /// Source and destination of the packet that an ICMP error is about.
    pub inner: Option<(Address, Address)>,
}

impl Subject {
    /// Reads the datagram of `family` at `l3` in a frame.
    ///
    /// # Errors
    ///
    /// Why it cannot be translated, so far as that does not depend on where it goes: [`RewriteError::Mismatch`] for what
    /// is malformed, which a router drops (RFC 1812 section 5.2.2).
    pub fn read(frame: &[u8], l3: u16, family: Family) -> Result<Self, RewriteError> {
        let at = usize::from(l3);
        if at < ethernet::HEADER_LEN {
            return Err(RewriteError::Mismatch);
        }
        let datagram = frame.get(at..).ok_or(RewriteError::Mismatch)?;
        if family == Family::V4 && !is_sound(datagram) {
            return Err(RewriteError::Mismatch);
        }
        let head = head::read(datagram, family)?;
        let payload = datagram.get(head.len..head.len + head.payload_len).ok_or(RewriteError::Mismatch)?;
        let kind = transport::kind(payload, &head)?;
        transport::check(payload, &head, kind)?;
        let inner = match kind {
            Kind::Error => Some(quoted(payload, family).ok_or(RewriteError::Untranslatable)?),
            _ if head.has_illegal_source() => return Err(RewriteError::Untranslatable),
            _ => None,
        };
        Ok(Self { layout: layout(&head, l3)?, source: head.source, destination: head.destination, inner })
    }
}

/// Does the IPv4 header hold its right checksum? The translation leaves nothing that would tell later.
fn is_sound(datagram: &[u8]) -> bool {
    let len = datagram.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    datagram.get(..len).is_some_and(|header| checksum::sum(header) == 0xffff)
}

/// The addresses of the packet that an error is about.
fn quoted(message: &[u8], family: Family) -> Option<(Address, Address)> {
    let quoted = message.get(ICMP_LEN..)?;
    (quoted.first()? >> 4 == family as u8).then(|| ip::addresses(quoted, family))?
}

fn layout(head: &Head, l3: u16) -> Result<Layout, RewriteError> {
    let offset = |at: usize| u16::try_from(usize::from(l3) + at).map_err(|_| RewriteError::Mismatch);
    Ok(Layout {
        l3,
        l4: offset(head.len)?,
        end: offset(head.len + head.payload_len)?,
        family: head.family,
        protocol: head.protocol,
        part: head.part(),
    })
}
