//! Fragments of a packet leave as the bytes of the packet would: cut anywhere, in any order, whoever gets
//! them.

use std::collections::BTreeMap;

use etherparse::{NetSlice, SlicedPacket, ip_number};
use proptest::prelude::*;
use shunt_engine::datapath::{Datapath, DropReason, Verdict};
use shunt_engine::fragment::FragmentOf;
use shunt_wire::Frame;
use shunt_wire::frame::HEADROOM;

use crate::driver::{HandedOver, Recorder};
use crate::frame;
use crate::lab::{ETH0, Lab};

const CLIENT: &str = "eth 02:00:00:00:0a:01 > 02:00:00:00:00:01";
const MODES: [&str; 7] =
    ["nat", "snat snat", "l2dsr", "l3dsr-dscp dscp 9", "l3dsr-ipip", "l3dsr-gre", "l3dsr-gue"];

/// A datagram as it leaves, whole or in part, without tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Source and destination.
    pub(crate) addresses: Vec<u8>,
    pub(crate) hops: u8,
    pub(crate) class: u8,
    pub(crate) protocol: u8,
    pub(crate) identification: u32,
    pub(crate) offset: usize,
    pub(crate) more: bool,
    /// What stands behind the headers of IP.
    pub(crate) bytes: Vec<u8>,
}

/// Workers that share a lab, as a driver runs them.
pub(crate) struct Workers {
    pub(crate) datapaths: Vec<Datapath>,
    driver: Recorder,
    sent: Vec<Vec<u8>>,
}

impl Workers {
    fn new(mode: &str, workers: usize, v6: bool) -> Self {
        let mut lab = Lab::default();
        for line in ["mtu eth0 9000", "mtu eth1 9000", "snat 1024-65535 10.0.0.100 2001:db8:a::100"] {
            let (word, rest) = line.split_once(' ').unwrap();
            lab.set(word, rest).unwrap();
        }
        for (name, vip, member) in
            [("v4", "203.0.113.1:80", "10.0.0.1:8080"), ("v6", "[2001:db8:f::1]:80", "[2001:db8:a::1]:8080")]
        {
            lab.set("virtual", &format!("{name} {vip} any {mode}")).unwrap();
            // With members of both families packets would be translated, and cut for that.
            if v6 == (name == "v6") {
                lab.set("member", member).unwrap();
            }
        }
        Self::of(lab, workers)
    }

    pub(crate) fn of(mut lab: Lab, workers: usize) -> Self {
        lab.options.workers = workers;
        let mut datapaths = Vec::new();
        for worker in 0..workers {
            lab.options.worker = worker;
            datapaths.push(lab.datapath(0).unwrap());
        }
        Self { datapaths, driver: Recorder { random: 300, ..Recorder::default() }, sent: Vec::new() }
    }

    fn receive(&mut self, worker: usize, text: &str) {
        self.receive_frame(worker, ETH0, &frame::read(&format!("{CLIENT} | {text}")).unwrap());
    }

    /// A frame comes in, and is forwarded, whichever worker has to.
    pub(crate) fn receive_frame(&mut self, worker: usize, ingress: u32, bytes: &[u8]) {
        self.take(worker, ingress, bytes, None, false);
        for _ in 0..2 {
            for HandedOver { worker, ingress, frame, part } in std::mem::take(&mut self.driver.handed_over) {
                self.take(worker, ingress, &frame, part, true);
            }
        }
        assert!(self.driver.handed_over.is_empty());
    }

    fn take(&mut self, worker: usize, ingress: u32, bytes: &[u8], part: Option<FragmentOf>, again: bool) {
        let end = HEADROOM + bytes.len();
        let mut buffer = vec![0xee; end + HEADROOM];
        buffer[HEADROOM..end].copy_from_slice(bytes);
        let mut frame = Frame::new(&mut buffer, HEADROOM, end);
        let (datapath, driver) = (&mut self.datapaths[worker], &mut self.driver);
        let verdict = match again {
            true => datapath.receive_handed_over(1, ingress, &mut frame, part, driver),
            false => datapath.receive(1, ingress, &mut frame, driver),
        };
        let expected = matches!(
            verdict,
            Verdict::Send { .. } | Verdict::Sent | Verdict::Pending | Verdict::HandOver { .. }
        );
        assert!(expected, "{verdict:?}");
        self.sent.extend(std::mem::take(&mut self.driver.sent).into_iter().map(|(_, frame)| frame));
        if verdict.interface().is_some() {
            self.sent.push(frame.bytes().to_vec());
        }
    }

    /// The frames that left since this was asked for.
    pub(crate) fn frames(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.sent)
    }

    fn left(&mut self) -> Vec<Part> {
        self.frames().iter().map(|frame| part(frame)).collect()
    }
}

pub(crate) fn part(frame: &[u8]) -> Part {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let payload = match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => ip.payload(),
        NetSlice::Ipv6(ip) => ip.payload(),
        NetSlice::Arp(_) => panic!("ARP"),
    };
    let inner = match payload.ip_number {
        _ if payload.fragmented => None,
        ip_number::IPV4 | ip_number::IPV6 => Some(payload.payload),
        ip_number::GRE => payload.payload.get(4..),
        ip_number::UDP if payload.payload[2..4] == 6080u16.to_be_bytes() => payload.payload.get(12..),
        _ => None,
    };
    match inner {
        Some(inner) => of_datagram(&SlicedPacket::from_ip(inner).unwrap()),
        None => of_datagram(&packet),
    }
}

fn of_datagram(packet: &SlicedPacket<'_>) -> Part {
    match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
            Part {
                addresses: [header.source(), header.destination()].concat(),
                hops: header.ttl(),
                class: header.dcp().value(),
                protocol: header.protocol().0,
                identification: header.identification().into(),
                offset: usize::from(header.fragments_offset().value()) * 8,
                more: header.more_fragments(),
                bytes: ip.payload().payload.to_vec(),
            }
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            let extensions = ip.extensions().slice();
            let fragment = extensions.first_chunk::<8>().copied().unwrap_or_default();
            let [.., high, low, a, b, c, d] = fragment;
            let place = u16::from_be_bytes([high, low]);
            Part {
                addresses: [header.source(), header.destination()].concat(),
                hops: header.hop_limit(),
                class: header.traffic_class() >> 2,
                protocol: ip.payload().ip_number.0,
                identification: u32::from_be_bytes([a, b, c, d]),
                offset: usize::from(place & !7),
                more: place & 1 != 0,
                bytes: ip.payload().payload.to_vec(),
            }
        }
        NetSlice::Arp(_) => panic!("ARP"),
    }
}

/// Puts together what left.
pub(crate) fn whole(parts: &[Part]) -> Part {
    let by_place: BTreeMap<usize, &Part> = parts.iter().map(|part| (part.offset, part)).collect();
    assert_eq!(by_place.len(), parts.len(), "none left twice");
    let mut bytes = Vec::new();
    for (at, (offset, part)) in by_place.iter().enumerate() {
        assert_eq!((*offset, part.more), (bytes.len(), at + 1 < parts.len()));
        assert_eq!(part.identification, parts[0].identification);
        bytes.extend(&part.bytes);
    }
    Part { offset: 0, more: false, identification: 0, bytes, ..parts[0].clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn they_leave_as_the_bytes_of_the_whole(
        (mode, v6, echo) in (0..MODES.len(), any::<bool>(), any::<bool>()),
        len in 24usize..6_000,
        cuts in proptest::collection::btree_set(1usize..750, 1..12),
        order in proptest::collection::vec(any::<(u32, usize)>(), 13),
        workers in 1usize..4,
    ) {
        let headers = if v6 { "ip6 2001:db8:c::7 > 2001:db8:f::1" } else { "ip4 192.0.2.7 > 203.0.113.1" };
        let transport = match (echo, v6) {
            (false, _) => format!("udp 40000 > 80 | bytes {len}"),
            (true, false) => format!("icmp4 echo-request id 5 seq 1 | bytes {len}"),
            (true, true) => format!("icmp6 echo-request id 5 seq 1 | bytes {len}"),
        };
        let mut reference = Workers::new(MODES[mode], workers, v6);
        reference.receive(0, &format!("{headers} | {transport}"));
        let expected = reference.left();
        prop_assert_eq!(expected.len(), 1);

        let total = len + 8;
        let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut * 8).filter(|cut| *cut < total).collect();
        prop_assume!(!bounds.is_empty());
        bounds.insert(0, 0);
        bounds.push(total);
        let mut pieces: Vec<_> = bounds.windows(2).map(|pair| (pair[0], pair[1] - pair[0])).collect();
        let count = pieces.len();
        let mut keys = order.iter();
        pieces.sort_by_cached_key(|_| keys.next().map(|key| key.0));
        let mut parallel = Workers::new(MODES[mode], workers, v6);
        for ((from, size), (_, worker)) in pieces.iter().zip(&order) {
            let place = if *from == 0 { String::new() } else { format!(" off {from}") };
            let more = if from + size < total { " mf" } else { "" };
            let header = if v6 {
                format!("{headers} | fragment id 9{place}{more}")
            } else {
                format!("{headers} id 9{place}{more}")
            };
            parallel.receive(worker % workers, &format!("{header} | part {from} {size} | {transport}"));
        }
        let parts = parallel.left();
        prop_assert_eq!(parts.len(), count);
        prop_assert_eq!(parts[0].offset, 0, "the first one leaves first");
        let renamed = MODES[mode].starts_with("nat") || MODES[mode].starts_with("snat") || mode == 3;
        prop_assert_eq!(parts[0].identification, if renamed { 300 } else { 9 });
        prop_assert_eq!(whole(&parts), Part { identification: 0, ..expected[0].clone() });
        for datapath in &parallel.datapaths {
            prop_assert_eq!(datapath.counters().fragments_pending, 0);
        }
    }
}

/// What another worker has no room for is lost, and counted.
#[test]
fn a_worker_without_room_takes_nothing() {
    let mut workers = Workers::new("nat", 2, false);
    workers.driver.has_room = false;
    let bytes =
        frame::read(&format!("{CLIENT} | ip4 192.0.2.7 > 203.0.113.1 | udp 40000 > 80 | \"x\"")).unwrap();
    let end = HEADROOM + bytes.len();
    let mut buffer = vec![0; end + HEADROOM];
    let mut verdicts = Vec::new();
    for datapath in &mut workers.datapaths {
        buffer[HEADROOM..end].copy_from_slice(&bytes);
        let mut frame = Frame::new(&mut buffer, HEADROOM, end);
        verdicts.push(datapath.receive(1, ETH0, &mut frame, &mut workers.driver));
    }
    verdicts.sort_by_key(|verdict| verdict.reason());
    assert!(matches!(verdicts[..], [Verdict::Send { .. }, Verdict::Drop(DropReason::HandOverFull)]));
}
