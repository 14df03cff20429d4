//! Mode `siit` with the kernels' own TCP, UDP and ICMP: a host that has IPv6 only and one that has IPv4 only, with a
//! router on each side of the translator.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use etherparse::{Icmpv6Type, IpNumber, PacketBuilder, SlicedPacket, TransportSlice};
use shunt_lab::{Answer, Family, Lab, Line, Member, Offloads, Request, Shunt, Siit, Through};
use shunt_tests::packet::{LARGE, MTU, assert_offloads, until};
use shunt_tests::program;

use crate::has_labs;

/// The least that every link of IPv6 carries (RFC 8200 section 5).
const LEAST_OF_V6: u32 = 1_280;
/// What a header of IPv6 is longer than one of IPv4.
const LONGER: u32 = 20;

struct Site {
    // Ended before its network goes.
    shunt: Shunt,
    lab: Siit,
}

impl Site {
    #[track_caller]
    fn start(story: &str, through: Through, workers: usize) -> Site {
        Site::with(story, through, workers, Offloads::On)
    }

    #[track_caller]
    fn with(story: &str, through: Through, workers: usize, offloads: Offloads) -> Site {
        let lab = Siit::with(&format!("siit-{story}"), through, offloads).unwrap();
        let config = Siit::configured(through, workers);
        let shunt = Shunt::start(&lab.shunt, &program::path(), &config);
        let shunt = shunt.unwrap_or_else(|error| panic!("{error:?}\n{config}"));
        lab.wait_ready().unwrap();
        Site { shunt, lab }
    }

    fn request(&self, family: Family) -> Request {
        let (from, to) = self.lab.ends(family);
        Request::new(from, SocketAddr::new(to, Member::HTTP[0]))
    }

    #[track_caller]
    fn fetch(&self, family: Family, upload: usize, download: usize) -> Answer {
        let request = self.request(family).upload(upload).download(download);
        let answer = self.lab.client_of(family).fetch(&request);
        let answer = answer.unwrap_or_else(|error| {
            panic!("{family}: {error:?}\n{}", self.shunt.client(&["status"]).unwrap_or_default())
        });
        assert_eq!(answer.client.ip(), self.lab.seen(family), "{family}");
        answer
    }

    #[track_caller]
    fn ask(&self, family: Family, question: &[u8]) {
        let (from, to) = self.lab.ends(family);
        let answer = self.lab.client_of(family).ask(from, SocketAddr::new(to, Member::ECHO[0]), question);
        let answer = answer.unwrap_or_else(|error| {
            panic!("{family}: {error:#}\n{}", self.shunt.client(&["status"]).unwrap_or_default())
        });
        assert_eq!(answer.client.ip(), self.lab.seen(family), "{family}");
    }

    /// What whoever asks in a family knows of the way to the other end.
    fn learned(&self, family: Family) -> Option<u32> {
        let (from, to) = self.lab.ends(family);
        self.lab.client_of(family).path_mtu(from, to).unwrap()
    }

    fn exchange(&self) {
        for family in Family::BOTH {
            self.fetch(family, LARGE, LARGE);
            self.ask(family, b"hello");
            let (from, to) = self.lab.ends(family);
            assert_eq!(self.lab.client_of(family).ping(from, to, 5, 56).ok(), Some(5), "{family}: ping");
        }
    }
}

#[test]
fn traffic_through_a_tun() {
    if has_labs() {
        Site::start("tun", Through::Tun, 1).exchange();
    }
}

#[test]
fn traffic_through_links() {
    if has_labs() {
        for offloads in Offloads::BOTH {
            let site = Site::with("links", Through::Links, 2, offloads);
            site.exchange();
            let status = site.shunt.client(&["status", "-o", "json"]).unwrap();
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            assert_offloads(offloads, &status["packets"]);
        }
    }
}

/// Every hop of the way says that it was one, and those of the other family do so under an address that this one
/// knows: a router of IPv6 that has none toward IPv4 under one of those that stand in (RFC 6791).
#[test]
fn each_hop_is_seen() {
    if !has_labs() {
        return;
    }
    for through in [Through::Tun, Through::Links] {
        let site = Site::start("hops", through, 1);
        for family in Family::BOTH {
            let (from, to) = site.lab.ends(family);
            for (hops, [first, last]) in (1..).zip(site.lab.hops(family)) {
                let heard = site.lab.client_of(family).ping_hops(from, to, hops).unwrap();
                assert!((first..=last).contains(&heard), "{through:?}, {family}, hop {hops}: {heard}");
            }
        }
    }
}

/// A narrow link of the other family is heard of by its own measure: 20 bytes more or less, and never under what IPv6
/// must carry (RFC 7915 sections 4.2, 5.1 and 5.2). Under that the routers of IPv4 cut the packets.
#[test]
fn narrow_links_are_heard_of() {
    if !has_labs() {
        return;
    }
    for through in [Through::Tun, Through::Links] {
        for (narrow, toward, heard) in [
            (1_400, Family::V4, 1_400 + LONGER),
            (1_000, Family::V4, LEAST_OF_V6),
            (576, Family::V4, LEAST_OF_V6),
            (1_400, Family::V6, 1_400 - LONGER),
            (LEAST_OF_V6, Family::V6, LEAST_OF_V6 - LONGER),
        ] {
            let site = Site::start("narrow", through, 1);
            site.lab.narrow(toward, narrow).unwrap();
            // Whoever is on the other side sends large packets that way, as the one who asks and who answers.
            let sender = toward.other();
            site.fetch(sender, LARGE, 0);
            assert_eq!(site.learned(sender), Some(heard), "{through:?}, {narrow} toward {toward}");
            site.fetch(toward, 0, LARGE);
            site.fetch(sender, 1_000, 1_000);
        }
    }
}

/// The translator's own links are too narrow, and it says so itself: to IPv6 20 bytes more fit than it takes there,
/// to IPv4 20 less.
#[test]
fn the_translators_own_link_is_narrow() {
    if !has_labs() {
        return;
    }
    for (toward, narrow, heard) in [(Family::V4, 1_400, 1_420), (Family::V6, 1_300, 1_280)] {
        let site = Site::start("own-link", Through::Tun, 1);
        let link = site.lab.segment(toward).name();
        site.lab.shunt.run(&format!("ip link set dev {link} mtu {narrow}")).unwrap();
        site.fetch(toward.other(), LARGE, 0);
        assert_eq!(site.learned(toward.other()), Some(heard), "{narrow} toward {toward}");
    }
}

/// Datagrams that are larger than any link: fragments of either family become those of the other. ICMP in fragments does
/// not: its checksum is over a length that the first of them does not say (RFC 7915 section 1.2).
#[test]
fn fragments_go_both_ways() {
    if !has_labs() {
        return;
    }
    for through in [Through::Tun, Through::Links] {
        let site = Site::start("fragments", through, 2);
        for family in Family::BOTH {
            let (from, to) = site.lab.ends(family);
            let client = site.lab.client_of(family);
            // A large question, and a large answer to it.
            let mut question = b"answer 4000 ".to_vec();
            question.resize(4_000, b'?');
            site.ask(family, &question);
            let answered = client.ping_that_may_be_cut(from, to, 1, 4_000).unwrap();
            assert_eq!(answered, 0, "{through:?}, {family}: ping");
        }
        let status = site.shunt.client(&["status"]).unwrap();
        assert!(status.contains("untranslatable"), "{through:?}: {status}");
    }
}

/// Packets of IPv4 whose sender lets routers cut them (DF clear) and that are larger than every network of IPv6 takes: the
/// translator cuts them (RFC 7915 section 4.1), up to those whose answers would come in fragments of ICMP.
#[test]
fn what_may_be_cut_is_cut() {
    if !has_labs() {
        return;
    }
    let site = Site::start("cut", Through::Tun, 1);
    let (from, to) = site.lab.ends(Family::V4);
    for size in [1_232, 1_252, MTU - 40 - 8] {
        let answered = site.lab.server.ping_that_may_be_cut(from, to, 3, size).unwrap();
        assert_eq!(answered, 3, "{size} bytes");
    }
}

/// Nobody listens on the port: the one who asked is told so in its own family.
#[test]
fn a_closed_port_is_told() {
    if !has_labs() {
        return;
    }
    let site = Site::start("closed", Through::Tun, 1);
    for family in Family::BOTH {
        let (from, to) = site.lab.ends(family);
        let closed = SocketAddr::new(to, 9);
        let socket = site.lab.client_of(family).datagrams(from, closed).unwrap();
        socket.send(b"is anybody there?").unwrap();
        let error = socket.recv(&mut [0; 64]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{family}: {error}");
        let error = site.lab.client_of(family).connect(from, closed).unwrap_err();
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        assert_eq!(kind, Some(ErrorKind::ConnectionRefused), "{family}: {error:?}");
    }
}

/// Two addresses of IPv6 talk to each other by those that stand for them in IPv4, which both see (RFC 7757 section 4).
#[test]
fn what_is_for_a_neighbour_turns_round() {
    if !has_labs() {
        return;
    }
    let site = Site::start("hairpin", Through::Tun, 1);
    let behind_prefix = |v4: IpAddr| -> IpAddr { format!("2001:db8:64::{v4}").parse().unwrap() };
    let from = site.lab.client_address(Family::V6);
    let to = behind_prefix(site.lab.second_address(Family::V4));
    let client = &site.lab.client;
    let answer = client.ask(from, SocketAddr::new(to, Member::ECHO[0]), b"who is there?").unwrap();
    assert_eq!(answer.client.ip(), behind_prefix(site.lab.client_address(Family::V4)));
    let request = Request::new(from, SocketAddr::new(to, Member::HTTP[0]));
    let answer = client.fetch(&request.upload(LARGE).download(LARGE)).unwrap();
    assert_eq!(answer.client.ip(), behind_prefix(site.lab.client_address(Family::V4)));
    assert_eq!(client.ping(from, to, 3, 56).unwrap(), 3);
}

/// The device is the operator's: where it is missing that is said, also when it goes later.
#[test]
fn a_device_that_is_not_there() {
    if !has_labs() {
        return;
    }
    let lab = Lab::new("siit-gone").unwrap();
    let host = lab.host("suite").unwrap();
    let config = Siit::configured(Through::Tun, 1);
    let error = Shunt::start(&host, &program::path(), &config).map(drop).unwrap_err();
    assert!(format!("{error:?}").contains("`ip tuntap add mode tun dev siit`"), "{error:?}");

    let make = ["ip tuntap add mode tun dev siit", "ip link set dev siit up"];
    host.all(&make).unwrap();
    let shunt = Shunt::start(&host, &program::path(), &config).unwrap_or_else(|error| panic!("{error:?}"));
    let finds = |mode: &str| {
        let status = || shunt.client(&["status", "-o", "json"]).unwrap();
        let is_so = || {
            let told: serde_json::Value = serde_json::from_str(&status()).unwrap();
            told["packets"]["interfaces"][0]["mode"] == mode
        };
        until(is_so, || format!("the device is {mode}\n{}", status()));
    };
    finds("tun");
    host.run("ip link del siit").unwrap();
    finds("gone");
    host.all(&make).unwrap();
    shunt.client(&["reload"]).unwrap();
    finds("tun");
}

/// What a suite does that is both sides itself: one namespace, both families routed to the device, and a packet socket on it.
#[test]
fn a_suite_is_both_sides() {
    if !has_labs() {
        return;
    }
    let lab = Lab::new("siit-suite").unwrap();
    let host = lab.host("suite").unwrap();
    host.all(&[
        "ip tuntap add mode tun dev siit",
        "ip link set dev siit up",
        "ip route add default dev siit",
        "ip -6 route add default dev siit",
        "ip address add 203.0.113.254/32 dev siit",
        "ip address add 2001:db8:600::fe/128 dev siit",
    ])
    .unwrap();
    let config = Siit::configured(Through::Tun, 1);
    let shunt = Shunt::start(&host, &program::path(), &config).unwrap_or_else(|error| panic!("{error:?}"));
    host.wait_carrier("siit").unwrap();
    let line = Line::open(&host).unwrap();
    let [client, server] = ["2001:db8:6::5", "2001:db8:64::198.51.100.5"].map(v6);
    let question = |hops| {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv6(client, server, hops).udp(40_000, 53);
        builder.write(&mut bytes, b"hello").unwrap();
        bytes
    };

    // To IPv4, under the addresses that stand for them, one hop later, and with a checksum that is right.
    line.send(&question(64)).unwrap();
    let is_udp_of = |version: u8, datagram: &[u8]| {
        datagram[0] >> 4 == version && datagram[if version == 4 { 9 } else { 6 }] == IpNumber::UDP.0
    };
    let crossed = line.receive(|it| is_udp_of(4, it)).unwrap();
    let mut expected = Vec::new();
    let builder = PacketBuilder::ipv4([192, 0, 2, 5], [198, 51, 100, 5], 63).udp(40_000, 53);
    builder.write(&mut expected, b"hello").unwrap();
    assert_eq!(crossed[12..], expected[12..], "addresses, ports, checksum, data");
    assert_eq!((crossed[8], crossed[1]), (63, 0), "hops, traffic class");

    // And the answer back.
    let mut answer = Vec::new();
    let builder = PacketBuilder::ipv4([198, 51, 100, 5], [192, 0, 2, 5], 64).udp(53, 40_000);
    builder.write(&mut answer, b"hello yourself").unwrap();
    line.send(&answer).unwrap();
    let crossed = line.receive(|it| is_udp_of(6, it) && it[8..24] == server).unwrap();
    let mut expected = Vec::new();
    let builder = PacketBuilder::ipv6(server, client, 63).udp(53, 40_000);
    builder.write(&mut expected, b"hello yourself").unwrap();
    assert_eq!(crossed, expected);

    // An error of Shunt's own comes by the device as well.
    line.send(&question(1)).unwrap();
    let error =
        line.receive(|it| it[0] >> 4 == 6 && it[6] == IpNumber::IPV6_ICMP.0 && it[24..40] == client).unwrap();
    let read = SlicedPacket::from_ip(&error).unwrap();
    let Some(TransportSlice::Icmpv6(icmp)) = read.transport else { panic!("{read:?}") };
    assert!(matches!(icmp.icmp_type(), Icmpv6Type::TimeExceeded(_)), "{icmp:?}");
    assert_eq!(error[8..24], v6("2001:db8:600::fe"));
    drop(shunt);
}

fn v6(text: &str) -> [u8; 16] {
    text.parse::<std::net::Ipv6Addr>().unwrap().octets()
}

/// What has no address on the other side is refused by name, and its sender is told.
#[test]
fn what_has_no_address_there_is_refused() {
    if !has_labs() {
        return;
    }
    let site = Site::start("unmapped", Through::Tun, 1);
    // On the client's segment, and in no map.
    let unmapped: IpAddr = "2001:db8:6::1:77".parse().unwrap();
    site.lab.client.run(&format!("ip address add {unmapped}/64 dev six nodad")).unwrap();
    let server = SocketAddr::new(site.lab.server_address(Family::V6), Member::HTTP[0]);
    let error = site.lab.client.connect(unmapped, server).unwrap_err();
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    assert_eq!(kind, Some(ErrorKind::PermissionDenied), "{error:?}");
    let refused = || site.shunt.client(&["status"]).unwrap_or_default();
    until(|| refused().contains("no-mapping"), refused);
}
