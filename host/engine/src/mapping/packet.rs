//! The addresses that a packet gets, and those that the packet in an ICMP error gets.

use shunt_wire::{Address, Family};

use super::{By, Mapping, is_illegal};

/// Source and destination of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub source: Address,
    pub destination: Address,
}

/// A packet's addresses in the other family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Across {
    /// Where a router says that something went wrong and has no address in the other family, `None`: whoever
    /// translates says it under an address of its own (RFC 6791 section 3).
    pub source: Option<Address>,
    pub destination: Address,
    /// Of the packet in an ICMP error.
    pub inner: Option<Pair>,
    /// The packet goes back to the family that it came from: both ends have IPv6, and one knows the other by
    /// its IPv4 address only (RFC 7757 section 4). Only of packets that came as IPv6.
    pub hairpin: bool,
}

/// Why a packet's addresses cannot be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untranslatable {
    /// No packet may come from its source, or go to its destination.
    Illegal,
    Source,
    Destination,
    /// An address of the packet in an ICMP error.
    Inner,
}

/// Which half of the way a packet is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The only one, or the first of a hairpin.
    First,
    /// It was IPv6 before, and becomes IPv6 again.
    Hairpin,
}

impl Mapping {
    /// The addresses of a packet in the other family. `inner` is there if it is an ICMP error: the addresses of
    /// the packet that it is about.
    ///
    /// # Errors
    /// What cannot be translated.
    pub fn packet(&self, outer: Pair, inner: Option<Pair>, half: Half) -> Result<Across, Untranslatable> {
        // Errors are translated whatever their source, for those who search for trouble (RFC 7915 section 4.1).
        if is_illegal(outer.destination) || (inner.is_none() && is_illegal(outer.source)) {
            return Err(Untranslatable::Illegal);
        }
        match outer.destination.family() {
            Family::V4 => self.packet_to_v6(outer, inner, half),
            Family::V6 => self.packet_to_v4(outer, inner),
        }
    }

    /// On the second half of a hairpin, the end that sent the packet must be known to the other as the one that
    /// it asked: by its embedded address, not by its own (RFC 7757 section 4.2.2).
    fn packet_to_v6(&self, outer: Pair, inner: Option<Pair>, half: Half) -> Result<Across, Untranslatable> {
        let hairpin = half == Half::Hairpin;
        let destination = self.to_v6(outer.destination).ok_or(Untranslatable::Destination)?;
        let stands_in = hairpin && inner.is_none_or(|inner| inner.destination == outer.source);
        let source = if stands_in { self.embed(outer.source) } else { self.to_v6(outer.source) };
        if source.is_none() && inner.is_none() {
            return Err(Untranslatable::Source);
        }
        let inner = match inner {
            Some(Pair { source, destination }) => {
                let source = self.to_v6(source).ok_or(Untranslatable::Inner)?;
                let destination = if hairpin { self.embed(destination) } else { self.to_v6(destination) };
                Some(Pair { source, destination: destination.ok_or(Untranslatable::Inner)? })
            }
            None => None,
        };
        Ok(Across { source, destination, inner, hairpin: false })
    }

    fn packet_to_v4(&self, outer: Pair, inner: Option<Pair>) -> Result<Across, Untranslatable> {
        let (destination, by) = self.to_v4_by(outer.destination).ok_or(Untranslatable::Destination)?;
        let source = self.to_v4_by(outer.source).map(|(address, _)| address);
        // What is legal as IPv6 can hold an address of IPv4 that is not (RFC 6052 section 5.1).
        if is_illegal(destination) || (inner.is_none() && source.is_some_and(is_illegal)) {
            return Err(Untranslatable::Illegal);
        }
        let mut source = source.filter(|address| !is_illegal(*address));
        let Some(inner) = inner else {
            let source = Some(source.ok_or(Untranslatable::Source)?);
            let hairpin = by == By::Embedding && self.maps.to_v6(destination).is_some();
            return Ok(Across { source, destination, inner: None, hairpin });
        };
        source = source.or_else(|| self.routers.stand_in(outer.source));
        let (asked, by) = self.to_v4_by(inner.source).ok_or(Untranslatable::Inner)?;
        let hairpin = by == By::Embedding && self.maps.to_v6(asked).is_some();
        let inner =
            Pair { source: asked, destination: self.to_v4(inner.destination).ok_or(Untranslatable::Inner)? };
        Ok(Across { source, destination, inner: Some(inner), hairpin })
    }
}
