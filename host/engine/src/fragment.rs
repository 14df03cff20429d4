//! Fragments: which of them are of one packet, whose packet that is, and those that came before anybody knew.
//!
//! Nothing is put together here. A fragment that comes after the first of its packet continues at once; only
//! one that comes before it waits. What is remembered of a packet is small: which bytes of it were seen, so
//! that no byte is taken twice.

mod packet;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use shunt_wire::{Address, Family, FlowKey};

use crate::hash::Keyed;
use crate::packet::Fragment;
use packet::{Packet, State};
pub use packet::{PendingFragment, Why};

/// How long a packet is remembered after the last of its fragments, in milliseconds: what a translator has to
/// grant at least (RFC 6146 section 4, `FRAGMENT_MIN`). Longer is worse: a sender uses an identification
/// again after 65,536 packets, and one that is remembered for want of a lost fragment spoils the next packet
/// with its number (RFC 4963 section 3).
pub const TIME_OUT: u64 = 2_000;
/// A packet is given up so long after the first of its fragments that came, in milliseconds: receivers do the
/// same (RFC 8200 section 4.5, RFC 1122 section 3.3.2).
pub const REASSEMBLY: u64 = 60_000;
/// Fragments of one packet at most. The longest packet over links of 576 bytes, which every host takes (RFC
/// 791 section 3.1), comes in 119.
pub const PIECES: usize = 128;
/// Packets of which fragments are known at most.
pub const PACKETS: usize = 8_192;
/// The same from one source, so that no source takes it all.
pub const PACKETS_OF_SOURCE: usize = PACKETS / 8;
/// Bytes of pending fragments at most: as many as Linux holds (`ipfrag_high_thresh`).
pub const BYTES: usize = 4 << 20;
/// The same from one source: four of the longest packets.
pub const BYTES_OF_SOURCE: usize = 4 << 16;

/// Every packet of which fragments were seen and some are missing.
#[derive(Clone, Debug)]
pub struct Fragments {
    packets: HashMap<PacketId, Packet, Keyed>,
    sources: HashMap<Address, Share, Keyed>,
    /// When each packet is looked at next.
    due: BTreeSet<(u64, PacketId)>,
    pending: usize,
    bytes: usize,
}

/// What the fragments of a packet share, and those of no other (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId {
    source: Address,
    destination: Address,
    identification: u32,
    /// In IPv4. Fragments of one IPv6 packet may have different next headers.
    protocol: u8,
}

/// The packet that a fragment is of, learned from the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentOf {
    pub flow: FlowKey,
    /// What the packet gets for its identification where it leaves under other addresses: those of several
    /// senders become one's, and their numbers must not meet at the receiver (RFC 6864 section 5.3.1). IPv4
    /// takes the low 16 bits.
    pub identification: u32,
}

/// How a fragment that fits its packet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The first fragment has not come: this one is it, or has to be [deferred](Fragments::defer).
    Unknown,
    Known(FragmentOf),
}

/// A fragment that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub why: Why,
    /// How many that waited went with it: a packet that misses a part is of no use.
    pub pending: usize,
}

/// What one source takes up.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    packets: usize,
    bytes: usize,
}

impl PacketId {
    #[must_use]
    pub const fn of(fragment: &Fragment) -> Self {
        let protocol = match fragment.source.family() {
            Family::V4 => fragment.protocol,
            Family::V6 => 0,
        };
        let Fragment { source, destination, identification, .. } = *fragment;
        Self { source, destination, identification, protocol }
    }
}

impl Fragments {
    #[must_use]
    pub fn new(hash: Keyed) -> Self {
        Self {
            packets: HashMap::with_hasher(hash),
            sources: HashMap::with_hasher(hash),
            due: BTreeSet::new(),
            pending: 0,
            bytes: 0,
        }
    }

    /// Takes a fragment into what is known of its packet.
    ///
    /// # Errors
    /// Why it does not fit. If it contradicts another, the whole packet is refused, and so is everything of
    /// it that is still to come (RFC 5722 section 4, for IPv4 too).
    pub fn take(&mut self, now: u64, fragment: &Fragment) -> Result<Standing, Refused> {
        let id = PacketId::of(fragment);
        if !self.packets.contains_key(&id) {
            self.begin(now, id).map_err(|why| Refused { why, pending: 0 })?;
        }
        let Some(packet) = self.packets.get_mut(&id) else { return Ok(Standing::Unknown) };
        match packet.fit(now, fragment) {
            Ok(()) => {}
            Err(why) if why.is_of_packet() => return Err(Refused { why, pending: self.refuse(&id) }),
            Err(why) => return Err(Refused { why, pending: 0 }),
        }
        let State::Known(part) = packet.state else { return Ok(Standing::Unknown) };
        self.end_if_complete(&id);
        Ok(Standing::Known(part))
    }

    /// The flow of a fragment, if that is known now: from its own words, or those of the first one.
    #[must_use]
    pub fn flow_of(&self, fragment: &Fragment) -> Option<FlowKey> {
        match self.packets.get(&PacketId::of(fragment)).map(|packet| &packet.state) {
            Some(State::Known(part)) => Some(part.flow),
            Some(State::Refused) => None,
            Some(State::Pending(_)) | None => fragment.head.map(|head| head.key),
        }
    }

    /// The first fragment says whose packet it is. Returns those that waited for it, by their place in the
    /// packet.
    pub fn learn(&mut self, id: &PacketId, part: FragmentOf) -> Vec<PendingFragment> {
        let Some(packet) = self.packets.get_mut(id) else { return Vec::new() };
        let mut pending = packet.become_known(part);
        self.let_go(id, &pending);
        self.end_if_complete(id);
        pending.sort_by_key(|pending| pending.offset);
        pending
    }

    /// Keeps a copy of a fragment until the first one comes.
    ///
    /// # Errors
    /// There is no room, and the packet is refused.
    pub fn defer(&mut self, fragment: &Fragment, ingress: u32, frame: &[u8]) -> Result<(), Refused> {
        let id = PacketId::of(fragment);
        let of_source = self.sources.get(&fragment.source).map_or(0, |share| share.bytes);
        if self.bytes + frame.len() > BYTES || of_source + frame.len() > BYTES_OF_SOURCE {
            return Err(Refused { why: Why::Full, pending: self.refuse(&id) });
        }
        if let Some(Packet { state: State::Pending(pending), .. }) = self.packets.get_mut(&id) {
            pending.push(PendingFragment { offset: fragment.offset, ingress, bytes: frame.into() });
            self.pending += 1;
            self.bytes += frame.len();
            self.sources.entry(fragment.source).or_default().bytes += frame.len();
        }
        Ok(())
    }

    /// Nothing more of a packet is forwarded. Returns how many of its fragments waited.
    pub fn refuse(&mut self, id: &PacketId) -> usize {
        let pending = self.packets.get_mut(id).map(Packet::become_refused).unwrap_or_default();
        self.let_go(id, &pending);
        pending.len()
    }

    /// Forgets packets whose fragments stopped coming. Returns how many fragments had waited for a first one.
    pub fn give_up(&mut self, now: u64) -> usize {
        let mut orphans = 0;
        while let Some((due, id)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            let Some(packet) = self.packets.get_mut(&id).filter(|packet| packet.deadline() > now) else {
                orphans += self.end(&id);
                self.due.remove(&(due, id));
                continue;
            };
            // Fragments do not move it: it is moved when it comes.
            packet.due = packet.deadline();
            self.due.insert((packet.due, id));
            self.due.remove(&(due, id));
        }
        orphans
    }

    /// Pending fragments.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.pending
    }

    /// Packets of which something is missing.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Bytes that it holds, roughly.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes
            + self.packets.capacity() * size_of::<(PacketId, Packet)>()
            + self.sources.capacity() * size_of::<(Address, Share)>()
            + self.due.len() * size_of::<(u64, PacketId)>()
    }

    fn begin(&mut self, now: u64, id: PacketId) -> Result<(), Why> {
        let of_source = self.sources.get(&id.source).map_or(0, |share| share.packets);
        if self.packets.len() >= PACKETS || of_source >= PACKETS_OF_SOURCE {
            return Err(Why::Full);
        }
        let packet = Packet::new(now);
        self.due.insert((packet.due, id));
        self.packets.insert(id, packet);
        self.sources.entry(id.source).or_default().packets += 1;
        Ok(())
    }

    fn end_if_complete(&mut self, id: &PacketId) {
        if self.packets.get(id).is_some_and(Packet::is_complete) {
            self.end(id);
        }
    }

    /// Forgets a packet. Returns how many of its fragments waited.
    fn end(&mut self, id: &PacketId) -> usize {
        let pending = self.refuse(id);
        if let Some(packet) = self.packets.remove(id) {
            self.due.remove(&(packet.due, *id));
            if let Some(share) = self.sources.get_mut(&id.source) {
                share.packets -= 1;
                if share.packets == 0 {
                    self.sources.remove(&id.source);
                }
            }
        }
        pending
    }

    /// These wait no longer.
    fn let_go(&mut self, id: &PacketId, pending: &[PendingFragment]) {
        let bytes: usize = pending.iter().map(|pending| pending.bytes.len()).sum();
        self.pending -= pending.len();
        self.bytes -= bytes;
        if let Some(share) = self.sources.get_mut(&id.source) {
            share.bytes -= bytes;
        }
    }
}
