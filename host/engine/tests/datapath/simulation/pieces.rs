//! Fragments, as simulated hosts cut packets and put them together again: by etherparse alone.

use std::collections::BTreeMap;

use etherparse::{
    IpFragOffset, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, NetSlice, SlicedPacket, ip_number,
};

const ETHERNET: usize = 14;

/// The fragments of a frame with a plain IP header, of at most `size` bytes each.
pub(super) fn cut(frame: &[u8], identification: u32, size: usize) -> Vec<Vec<u8>> {
    let (ethernet, datagram) = frame.split_at(ETHERNET);
    let fragments = |payload: &[u8], header: &dyn Fn(IpFragOffset, bool, usize) -> Vec<u8>| {
        let count = payload.len().div_ceil(size);
        let pieces = payload.chunks(size).enumerate();
        let piece = |(at, piece): (usize, &[u8])| {
            let offset = IpFragOffset::try_new((at * size / 8) as u16).unwrap();
            [ethernet, &header(offset, at + 1 < count, piece.len()), piece].concat()
        };
        pieces.map(piece).collect()
    };
    if datagram[0] >> 4 == 4 {
        let (whole, payload) = Ipv4Header::from_slice(datagram).unwrap();
        fragments(payload, &|offset, more, len| {
            let mut header = whole.clone();
            (header.fragment_offset, header.more_fragments) = (offset, more);
            (header.identification, header.dont_fragment) = (identification as u16, false);
            header.set_payload_len(len).unwrap();
            header.header_checksum = header.calc_header_checksum();
            header.to_bytes().to_vec()
        })
    } else {
        let (whole, payload) = Ipv6Header::from_slice(datagram).unwrap();
        fragments(payload, &|offset, more, len| {
            let part = Ipv6FragmentHeader::new(whole.next_header, offset, more, identification);
            let mut header = whole.clone();
            header.next_header = ip_number::IPV6_FRAG;
            header.set_payload_length(Ipv6FragmentHeader::LEN + len).unwrap();
            [&header.to_bytes()[..], &part.to_bytes()].concat()
        })
    }
}

/// What the fragments of a packet share: addresses and identification.
type PacketId = (Vec<u8>, u32);

/// Where a host puts packets together.
#[derive(Default)]
pub(super) struct Joined {
    /// By where they stand: does more follow, and what they hold.
    packets: BTreeMap<PacketId, BTreeMap<u16, (bool, Vec<u8>)>>,
    /// How many packets became whole.
    pub(super) count: u64,
}

impl Joined {
    /// A frame that is whole as it is; the whole of one whose last missing fragment this is, without its tunnel; else
    /// none.
    pub(super) fn take(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let datagram = match packet.net.as_ref()? {
            NetSlice::Ipv4(ip) if ip.payload().ip_number == ip_number::IPV4 => ip.payload().payload,
            NetSlice::Ipv6(ip) if ip.payload().ip_number == ip_number::IPV6 => ip.payload().payload,
            _ => &frame[ETHERNET..],
        };
        let packet = SlicedPacket::from_ip(datagram).ok()?;
        let (id, place, more, payload) = match packet.net.as_ref()? {
            NetSlice::Ipv4(ip) if ip.payload().fragmented => {
                let header = ip.header();
                let id = ([header.source(), header.destination()].concat(), header.identification().into());
                let place = header.fragments_offset().value();
                (id, place, header.more_fragments(), ip.payload().payload)
            }
            NetSlice::Ipv6(ip) if ip.payload().fragmented => {
                let (part, _) = Ipv6FragmentHeader::from_slice(ip.extensions().slice()).ok()?;
                let header = ip.header();
                let id = ([header.source(), header.destination()].concat(), part.identification);
                (id, part.fragment_offset.value(), part.more_fragments, ip.payload().payload)
            }
            _ => return Some(frame.to_vec()),
        };
        let pieces = self.packets.entry(id.clone()).or_default();
        let before = pieces.insert(place, (more, payload.to_vec()));
        assert!(before.is_none(), "two packets have one identification");
        let mut whole = Vec::new();
        let is_whole = pieces.iter().all(|(place, (_, piece))| {
            let follows = usize::from(*place) * 8 == whole.len();
            whole.extend(piece);
            follows
        });
        if !is_whole || pieces.last_key_value().is_some_and(|(_, (more, _))| *more) {
            return None;
        }
        self.packets.remove(&id);
        self.count += 1;
        let header = if datagram[0] >> 4 == 4 {
            let (mut header, _) = Ipv4Header::from_slice(datagram).ok()?;
            (header.fragment_offset, header.more_fragments) = (IpFragOffset::ZERO, false);
            header.set_payload_len(whole.len()).ok()?;
            header.header_checksum = header.calc_header_checksum();
            header.to_bytes().to_vec()
        } else {
            let (mut header, _) = Ipv6Header::from_slice(datagram).ok()?;
            header.next_header = ip_number::UDP;
            header.set_payload_length(whole.len()).ok()?;
            header.to_bytes().to_vec()
        };
        Some([&frame[..ETHERNET], &header, &whole].concat())
    }
}
