//! Translation from outside: packets of random flows between IPv4 and IPv6, and the answers to them, leave as a router
//! would have left them, but for what RFC 7915 changes; in parts as in one piece, by flows as packet by packet.

use etherparse::{NetSlice, SlicedPacket};
use proptest::prelude::*;
use proptest::sample::select;
use shunt_engine::datapath::{DropReason, Verdict};
use shunt_wire::Frame;
use shunt_wire::frame::HEADROOM;

use crate::driver::Recorder;
use crate::fragments::{Part, Workers, part, whole};
use crate::frame;
use crate::lab::{ETH0, ETH1, Lab};

const CLIENT: &str = "eth 02:00:00:00:0a:01 > 02:00:00:00:00:01";
const MEMBER: &str = "eth 02:00:00:00:0b:01 > 02:00:00:00:00:02";
const KNOWS: &str = "prefix 2001:db8:64::/96 map 192.0.2.0/24=2001:db8:c::/120";

/// The longest datagram that Ethernet carries in frames of a lab.
const WIDE: u16 = 9000;

/// A conversation between the families.
#[derive(Clone, Debug)]
struct Talk {
    /// The client is of IPv6.
    from_v6: bool,
    snat: bool,
    kind: Kind,
    /// The last byte of the client's address; above 127 it is known by the prefix, else by the map.
    host: u8,
    port: u16,
    hops: u8,
    class: u8,
    lowest: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    Udp,
    Unsummed,
    Echo,
}

/// Which half of a conversation a packet is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Question,
    Answer,
}

fn talks() -> impl Strategy<Value = Talk> {
    let kind = select(&[Kind::Tcp, Kind::Udp, Kind::Unsummed, Kind::Echo][..]);
    let numbers = (1u8..=254, 1024u16..=65535, 2u8..=255, any::<u8>());
    let lowest = select(&[1280u16, 1400, 1500, WIDE][..]);
    (any::<bool>(), any::<bool>(), kind, numbers, lowest).prop_map(
        |(from_v6, snat, kind, (host, port, hops, class), lowest)| Talk {
            from_v6,
            snat,
            // The sum may be left out in IPv4 only.
            kind: if kind == Kind::Unsummed && from_v6 { Kind::Udp } else { kind },
            host,
            // That of GUE would be read as a tunnel.
            port: if port == 6080 { 6081 } else { port },
            hops,
            class,
            lowest,
        },
    )
}

impl Talk {
    fn lab(&self) -> Lab {
        let mut lab = Lab::default();
        let mode = if self.snat { "snat snat" } else { "nat" };
        let (vip, member) = if self.from_v6 {
            ("[2001:db8:f::1]:80", "10.0.0.1:8080")
        } else {
            ("203.0.113.1:80", "[2001:db8:a::1]:8080")
        };
        lab.set("mtu", &format!("eth0 {WIDE}")).unwrap();
        lab.set("mtu", &format!("eth1 {WIDE}")).unwrap();
        lab.set("snat", "1024-65535 10.0.0.100 2001:db8:a::100").unwrap();
        lab.set("virtual", &format!("shop {vip} any {mode} {KNOWS} lowest {}", self.lowest)).unwrap();
        lab.set("member", member).unwrap();
        lab
    }

    /// The client in its own family, or in the other one.
    fn client(&self, v6: bool) -> String {
        match (v6, self.host > 127) {
            (true, false) => format!("2001:db8:c::{:x}", self.host),
            (false, false) => format!("192.0.2.{}", self.host),
            (true, true) => format!("2001:db8:64::198.51.100.{}", self.host),
            (false, true) => format!("198.51.100.{}", self.host),
        }
    }

    fn service(&self, v6: bool) -> &'static str {
        match (self.from_v6, v6) {
            (true, true) => "2001:db8:f::1",
            (true, false) => "10.0.0.1",
            (false, true) => "2001:db8:a::1",
            (false, false) => "203.0.113.1",
        }
    }

    /// The source and destination of a packet on the client's or on the member's side.
    fn ends(&self, half: Half, v6: bool, seen: &Seen) -> (String, String) {
        let client = if v6 == self.from_v6 { self.client(v6) } else { seen.address.clone() };
        match half {
            Half::Question => (client, self.service(v6).to_owned()),
            Half::Answer => (self.service(v6).to_owned(), client),
        }
    }

    /// The IP header in front of a packet, without a fragment's place.
    fn header(&self, half: Half, v6: bool, hops: u8, seen: &Seen) -> String {
        let (source, destination) = self.ends(half, v6, seen);
        let class = self.class;
        if v6 {
            format!("ip6 {source} > {destination} hop {hops} class {class} flow 7")
        } else {
            format!("ip4 {source} > {destination} ttl {hops} tos {class} id 9")
        }
    }

    /// What follows the IP header.
    fn transport(&self, half: Half, v6: bool, len: usize, seen: &Seen, opens: bool) -> String {
        let at_client = v6 == self.from_v6;
        let client = if at_client { self.port } else { seen.port };
        let service = if at_client { 80 } else { 8080 };
        let ports = match half {
            Half::Question => format!("{client} > {service}"),
            Half::Answer => format!("{service} > {client}"),
        };
        match self.kind {
            Kind::Tcp if opens && half == Half::Question => format!("tcp {ports} S seq 1 win 9"),
            Kind::Tcp if opens => format!("tcp {ports} SA seq 70 ack 2 win 9"),
            Kind::Tcp if half == Half::Question => format!("tcp {ports} A seq 2 ack 71 win 9 | bytes {len}"),
            Kind::Tcp => format!("tcp {ports} A seq 71 ack 2 win 9 | bytes {len}"),
            Kind::Unsummed if !v6 => format!("udp {ports} no-checksum | bytes {len}"),
            Kind::Udp | Kind::Unsummed => format!("udp {ports} | bytes {len}"),
            Kind::Echo => {
                let family = if v6 { "icmp6" } else { "icmp4" };
                let word = if half == Half::Question { "echo-request" } else { "echo-reply" };
                format!("{family} {word} id {client} seq 1 | bytes {len}")
            }
        }
    }

    /// How long the transport header is.
    fn header_len(&self) -> usize {
        if self.kind == Kind::Tcp { 20 } else { 8 }
    }
}

/// As whom the member sees the client.
#[derive(Clone, Debug)]
struct Seen {
    address: String,
    port: u16,
}

/// A lab of workers in which the flow has begun.
fn begin(talk: &Talk, workers: usize) -> (Workers, Seen) {
    let mut running = Workers::of(talk.lab(), workers);
    let mut seen = Seen { address: String::new(), port: 0 };
    let v6 = talk.from_v6;
    let question = talk.header(Half::Question, v6, 64, &seen);
    let text = format!("{CLIENT} | {question} | {}", talk.transport(Half::Question, v6, 24, &seen, true));
    running.receive_frame(0, ETH0, &frame::read(&text).unwrap());
    let left = running.frames();
    assert_eq!(left.len(), 1, "{text}");
    let got = part(&left[0]);
    let half = got.addresses.len() / 2;
    seen.address = address(&got.addresses[..half]);
    let at = if talk.kind == Kind::Echo { 4 } else { 0 };
    seen.port = u16::from_be_bytes([got.bytes[at], got.bytes[at + 1]]);
    if talk.snat {
        assert!(["10.0.0.100", "2001:db8:a::100"].contains(&&*seen.address));
    } else {
        let expected: std::net::IpAddr = talk.client(!v6).parse().unwrap();
        assert_eq!((&*seen.address, seen.port), (&*expected.to_string(), talk.port));
    }
    (running, seen)
}

fn address(octets: &[u8]) -> String {
    match <[u8; 4]>::try_from(octets) {
        Ok(v4) => std::net::Ipv4Addr::from(v4).to_string(),
        Err(_) => std::net::Ipv6Addr::from(<[u8; 16]>::try_from(octets).unwrap()).to_string(),
    }
}

/// Puts together what left, which has right checksums, and in which no frame is longer than the way is wide.
fn arrived(frames: &[Vec<u8>], longest: u16) -> Part {
    for frame in frames {
        let len = datagram_len(frame);
        assert!(len <= usize::from(longest), "{len} bytes for {longest}");
    }
    let parts: Vec<_> = frames.iter().map(|frame| part(frame)).collect();
    let mut whole = whole(&parts);
    unsum(&mut whole);
    whole
}

/// What was expected, written by the tests' own writer, in the same words.
fn expected(text: &str) -> Part {
    let mut part = part(&frame::read(text).unwrap());
    assert!(!part.more && part.offset == 0);
    part.identification = 0;
    unsum(&mut part);
    part
}

/// Checks the sum, and takes it out: two numbers are the same sum.
fn unsum(part: &mut Part) {
    let at = match part.protocol {
        6 => 16,
        17 => 6,
        1 | 58 => 2,
        // A transport that nobody knows.
        _ => return,
    };
    let left_out = part.protocol == 17 && part.addresses.len() == 8 && part.bytes[at..at + 2] == [0, 0];
    if !left_out {
        let mut sum = etherparse::checksum::Sum16BitWords::new().add_slice(&part.bytes);
        if part.protocol != 1 {
            sum = sum
                .add_slice(&part.addresses)
                .add_4bytes((part.bytes.len() as u32).to_be_bytes())
                .add_2bytes([0, part.protocol]);
        }
        assert_eq!(sum.ones_complement(), 0, "a wrong checksum");
    }
    part.bytes[at..at + 2].fill(0);
}

fn datagram_len(frame: &[u8]) -> usize {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    match packet.net.unwrap() {
        NetSlice::Ipv4(ip) => usize::from(ip.header().total_len()),
        NetSlice::Ipv6(ip) => 40 + usize::from(ip.header().payload_length()),
        NetSlice::Arp(_) => panic!("ARP"),
    }
}

/// Where a packet of so many bytes is cut, behind its transport header: places and lengths, in some order.
fn pieces(total: usize, cuts: &[usize], order: &[u32]) -> Vec<(usize, usize)> {
    let mut bounds: Vec<usize> = cuts.iter().map(|cut| 16 + cut * 8).filter(|cut| *cut < total).collect();
    bounds.insert(0, 0);
    bounds.push(total);
    let mut pieces: Vec<_> = bounds.windows(2).map(|pair| (pair[0], pair[1] - pair[0])).collect();
    let mut keys = order.iter();
    pieces.sort_by_cached_key(|_| keys.next());
    pieces
}

/// The text of one piece.
fn piece(header: &str, v6: bool, (from, len): (usize, usize), total: usize, transport: &str) -> String {
    if len == total {
        return format!("{header} | {transport}");
    }
    let place = if from == 0 { String::new() } else { format!(" off {from}") };
    let more = if from + len < total { " mf" } else { "" };
    let header =
        if v6 { format!("{header} | fragment id 9{place}{more}") } else { format!("{header}{place}{more}") };
    format!("{header} | part {from} {len} | {transport}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Both ways, whole and in fragments, whoever of several workers gets them.
    #[test]
    fn packets_of_flows_cross_and_answers_come_back(
        talk in talks(),
        len in 24usize..4_000,
        cuts in proptest::collection::btree_set(1usize..500, 0..6),
        order in proptest::collection::vec(any::<(u32, usize)>(), 8),
        workers in 1usize..4,
    ) {
        let (mut running, seen) = begin(&talk, workers);
        let total = len + talk.header_len();
        let cuts: Vec<usize> = cuts.into_iter().collect();
        let keys: Vec<u32> = order.iter().map(|key| key.0).collect();
        // What the sender did not sum cannot be summed from parts, and ICMP is summed over the whole.
        let cuts: &[usize] = if matches!(talk.kind, Kind::Echo | Kind::Unsummed) { &[] } else { &cuts };
        for (half, opens) in [(Half::Answer, true), (Half::Question, false), (Half::Answer, false)] {
            // The first answer goes in one piece, for a connection to be open.
            let cuts = if opens { &[] } else { cuts };
            let from_client = half == Half::Question;
            let came_as_v6 = talk.from_v6 == from_client;
            let (link, ingress) = if from_client { (CLIENT, ETH0) } else { (MEMBER, ETH1) };
            let header = talk.header(half, came_as_v6, talk.hops, &seen);
            let transport = talk.transport(half, came_as_v6, len, &seen, opens);
            let total = if opens && talk.kind == Kind::Tcp { 20 } else { total };
            for (number, at) in pieces(total, cuts, &keys).into_iter().enumerate() {
                let text = piece(&header, came_as_v6, at, total, &transport);
                let worker = order[number].1 % workers;
                running.receive_frame(worker, ingress, &frame::read(&format!("{link} | {text}")).unwrap());
            }
            let longest = if came_as_v6 { WIDE } else { talk.lowest };
            let header = talk.header(half, !came_as_v6, talk.hops - 1, &seen);
            let transport = talk.transport(half, !came_as_v6, len, &seen, opens);
            let wanted = expected(&format!("{link} | {header} | {transport}"));
            prop_assert_eq!(arrived(&running.frames(), longest), wanted);
        }
        let flows: u64 = running.datapaths.iter().map(|it| it.counters().flows).sum();
        prop_assert_eq!(flows, 1, "one flow, at one worker");
        prop_assert!(running.datapaths.iter().all(|it| it.counters().fragments_pending == 0));
    }

    /// Two translators in a row (RFC 6877) are two routers: what left comes back as it was, two hops later.
    #[test]
    fn packets_without_flows_cross_there_and_back(
        (host, other, hops, class) in (1u8..=254, 1u8..=254, 3u8..=255, any::<u8>()),
        (len, kind) in (24usize..4_000, 0usize..4),
        cuts in proptest::collection::btree_set(1usize..500, 0..6),
        keys in proptest::collection::vec(any::<u32>(), 8),
        options in any::<bool>(),
    ) {
        let mut lab = Lab::default();
        for line in [format!("eth0 {WIDE}"), format!("eth1 {WIDE}")] {
            lab.set("mtu", &line).unwrap();
        }
        lab.set("siit", &format!("clat {KNOWS}")).unwrap();
        lab.set("route", "2001:db8:c::/64 eth1 2001:db8:a::1").unwrap();
        let mut running = Workers::of(lab, 1);
        // ICMP that one translator has cut the next one does not take (RFC 7915 section 1.2).
        let len = if kind == 2 { len.min(1280 - 40 - 8) } else { len };
        let transport = match kind {
            0 => format!("udp 40000 > 53 | bytes {len}"),
            1 => format!("tcp 40000 > 80 A seq 1 ack 2 win 9 | bytes {len}"),
            2 => format!("icmp4 echo-request id 5 seq 1 | bytes {len}"),
            _ => format!("bytes {len}"),
        };
        let next = if kind == 3 { " proto 132" } else { "" };
        let header = |hops: u8| {
            format!("ip4 198.51.100.{other} > 192.0.2.{host} ttl {hops} tos {class} id 9{next}")
        };
        let came = if options { format!("{} options 01010100", header(hops)) } else { header(hops) };
        let total = len + [8, 20, 8, 0][kind];
        let cuts: Vec<usize> = if kind == 2 { Vec::new() } else { cuts.into_iter().collect() };
        for at in pieces(total, &cuts, &keys) {
            let text = piece(&came, false, at, total, &transport);
            running.receive_frame(0, ETH0, &frame::read(&format!("{CLIENT} | {text}")).unwrap());
        }
        let across = running.frames();
        for frame in &across {
            prop_assert!(datagram_len(frame) <= 1280);
            let packet = part(frame);
            prop_assert_eq!(address(&packet.addresses[..16]), format!("2001:db8:64::c633:64{other:02x}"));
            prop_assert_eq!(address(&packet.addresses[16..]), format!("2001:db8:c::{host:x}"));
            // By the router that it went to.
            let mut back = frame.clone();
            back[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
            running.receive_frame(0, ETH1, &back);
        }
        let wanted = expected(&format!("{CLIENT} | {} | {transport}", header(hops - 2)));
        prop_assert_eq!(arrived(&running.frames(), WIDE), wanted);
    }

    /// Hosts of IPv6 that know each other by their IPv4 addresses (RFC 7757 section 4): a question and its answer,
    /// each behind the prefix.
    #[test]
    fn hairpins_are_one_hop(
        (one, other, hops, class) in (1u8..=254, 1u8..=254, 2u8..=255, any::<u8>()),
        (len, echo, answers) in (24usize..4_000, any::<bool>(), any::<bool>()),
        cuts in proptest::collection::btree_set(1usize..500, 0..6),
        keys in proptest::collection::vec(any::<u32>(), 8),
    ) {
        prop_assume!(one != other);
        let mut lab = Lab::default();
        for line in [format!("eth0 {WIDE}"), format!("eth1 {WIDE}")] {
            lab.set("mtu", &line).unwrap();
        }
        lab.set("siit", &format!("clat {KNOWS}")).unwrap();
        lab.set("route", "2001:db8:c::/64 eth1 2001:db8:a::1").unwrap();
        let mut running = Workers::of(lab, 1);
        let (one, other) = if answers { (other, one) } else { (one, other) };
        let transport = match echo {
            true => format!("icmp6 echo-request id 5 seq 1 | bytes {len}"),
            false => format!("udp 40000 > 53 | bytes {len}"),
        };
        let came = format!("ip6 2001:db8:c::{one:x} > 2001:db8:64::192.0.2.{other} hop {hops} class {class}");
        let cuts: Vec<usize> = if echo { Vec::new() } else { cuts.into_iter().collect() };
        for at in pieces(len + 8, &cuts, &keys) {
            let text = piece(&came, true, at, len + 8, &transport);
            running.receive_frame(0, ETH1, &frame::read(&format!("{MEMBER} | {text}")).unwrap());
        }
        let (source, destination) = (format!("2001:db8:64::192.0.2.{one}"), format!("2001:db8:c::{other:x}"));
        let leaves = format!("ip6 {source} > {destination} hop {} class {class}", hops - 1);
        let wanted = expected(&format!("{MEMBER} | {leaves} | {transport}"));
        prop_assert_eq!(arrived(&running.frames(), WIDE), wanted);
    }

    /// A sender that believes what it is told gets through, and nothing leaves that the way does not carry.
    #[test]
    fn who_is_told_of_a_size_gets_through_with_it(
        talk in talks(),
        mtu in 1280u16..1600,
        narrow in 600u16..1600,
        len in 24usize..3_000,
    ) {
        let mut lab = talk.lab();
        // IPv6 links carry 1280 bytes at least.
        let mtu = if talk.from_v6 { narrow } else { mtu };
        lab.set("mtu", &format!("eth1 {mtu}")).unwrap();
        let mut datapath = lab.datapath(0).unwrap();
        let mut driver = Recorder::default();
        let seen = Seen { address: String::new(), port: 0 };
        let ip = if talk.from_v6 { 40 } else { 20 };
        let dont_fragment = if talk.from_v6 { "" } else { " df" };
        let mut send = |len: usize, opens: bool| {
            let header = talk.header(Half::Question, talk.from_v6, 64, &seen);
            let transport = talk.transport(Half::Question, talk.from_v6, len, &seen, opens);
            let bytes = frame::read(&format!("{CLIENT} | {header}{dont_fragment} | {transport}")).unwrap();
            let end = HEADROOM + bytes.len();
            let mut buffer = vec![0; end + HEADROOM];
            buffer[HEADROOM..end].copy_from_slice(&bytes);
            let mut frame = Frame::new(&mut buffer, HEADROOM, end);
            let verdict = datapath.receive(1, ETH0, &mut frame, &mut driver);
            let mut left: Vec<_> = driver.sent.drain(..).map(|(_, frame)| frame).collect();
            left.push(frame.bytes().to_vec());
            (verdict, left)
        };
        assert!(matches!(send(24, true).0, Verdict::Send { .. }));
        let (mut verdict, mut left) = send(len, false);
        if let Verdict::Refuse { reason, .. } = verdict {
            prop_assert_eq!(reason, DropReason::TooBig);
            let told = told(&left[0], talk.from_v6);
            prop_assert!(told < ip + talk.header_len() + len, "no more than it sent: {told}");
            prop_assert!(!talk.from_v6 || told >= 1280, "no less than every link of IPv6 carries");
            (verdict, left) = send(told - ip - talk.header_len(), false);
        }
        prop_assert!(matches!(verdict, Verdict::Send { interface: ETH1 }), "{verdict:?}");
        for frame in &left {
            prop_assert!(datagram_len(frame) <= usize::from(mtu));
        }
    }
}

/// The size that an ICMP error tells.
fn told(frame: &[u8], v6: bool) -> usize {
    let packet = part(frame);
    if v6 {
        assert_eq!(packet.bytes[..2], [2, 0]);
        u32::from_be_bytes(packet.bytes[4..8].try_into().unwrap()) as usize
    } else {
        assert_eq!(packet.bytes[..2], [3, 4]);
        usize::from(u16::from_be_bytes([packet.bytes[6], packet.bytes[7]]))
    }
}
