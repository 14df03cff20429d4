//! What the kernel program does with frames, by its test run.

use std::net::IpAddr;

use shunt_sys::xdp::{Mode, Steering, Wanted, XdpError};
use shunt_sys::xsk::{Options, Socket};
use shunt_wire::steering::{self, Outcome, ReturnEndpoint, TunnelEnd};
use shunt_wire::{Address, Mac};

use crate::frames::*;
use crate::namespace::{cable, link, within};

const VIP: &str = "203.0.113.80";
const VIP6: &str = "2001:db8:f::80";
const SNAT: &str = "198.51.100.9";
const HOST: &str = "192.0.2.254";
const HOST6: &str = "2001:db8::fe";
const MEMBER: &str = "10.0.0.1";
const MEMBER6: &str = "2001:db8:a::1";
/// Their virtual forwards every port and every protocol.
const OPEN: &str = "10.0.0.3";
const OPEN6: &str = "2001:db8:a::3";
const CLIENT: &str = "192.0.2.7";
const CLIENT6: &str = "2001:db8::7";
/// The member's port; it has others, which are nothing to Shunt.
const PORT: u16 = 80;
const GUE: u16 = 6080;

/// The actions of linux/bpf.h.
const DROP: u32 = 1;
const PASS: u32 = 2;
const REDIRECT: u32 = 4;

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn wanted() -> Wanted {
    let endpoint = |text, port, protocol| ReturnEndpoint::new(address(text), port, protocol);
    Wanted {
        owned: [VIP, VIP6, SNAT].map(address).into(),
        host: [HOST, HOST6].map(address).into(),
        return_endpoints: [
            endpoint(MEMBER, PORT, TCP),
            endpoint(MEMBER, 0, ICMP),
            endpoint(MEMBER6, PORT, UDP),
            endpoint(MEMBER6, 0, ICMPV6),
            endpoint(OPEN, 0, TCP),
            endpoint(OPEN, 0, UDP),
            ReturnEndpoint::other_protocols(address(OPEN)),
            endpoint(OPEN6, 0, UDP),
            ReturnEndpoint::other_protocols(address(OPEN6)),
        ]
        .into(),
        tunnels: [
            TunnelEnd::of_protocol(address(MEMBER), 4),
            TunnelEnd::of_protocol(address(MEMBER), 47),
            TunnelEnd::udp(address(MEMBER), GUE),
            TunnelEnd::of_protocol(address(MEMBER6), 41),
        ]
        .into(),
        whole: [].into(),
    }
}

/// The program on loopback, where test runs come in, with a socket for its one queue.
fn steering() -> (Steering, Socket) {
    let mut lo = link("lo");
    (lo.mac, lo.mtu) = (Mac(OWN_MAC), 1500);
    let socket = Socket::open(&lo, 0, Options { frames: 64 }).unwrap();
    let mut steering = Steering::load().unwrap();
    let mode = steering.attach(&lo, [&socket]).unwrap();
    assert!(matches!(mode, Mode::Generic { .. }), "loopback has no XDP of its own");
    steering.steer(&wanted()).unwrap();
    (steering, socket)
}

/// What became of the frame: the one outcome that was counted, and the action.
fn run(steering: &mut Steering, frame: &[u8]) -> (Outcome, u32) {
    let before = steering.outcomes().unwrap();
    let ran = steering.test_run(frame, 1).unwrap();
    let after = steering.outcomes().unwrap();
    let counted: Vec<Outcome> =
        before.iter().zip(&after).filter(|(old, new)| old.1 != new.1).map(|(_, new)| new.0).collect();
    let [outcome] = counted[..] else { panic!("counted {counted:?} for {frame:02x?}") };
    (outcome, ran.action)
}

fn cases() -> Vec<(&'static str, Outcome, Vec<u8>)> {
    use Outcome::*;
    let to_member = || ip(CLIENT, MEMBER, TCP, &ports(40000, PORT));
    let to_member6 = || ip(CLIENT6, MEMBER6, UDP, &ports(40000, PORT));
    let reply = || packet(MEMBER, CLIENT, TCP, &ports(PORT, 40000));
    let reply6 = || packet(MEMBER6, CLIENT6, UDP, &ports(PORT, 40000));
    vec![
        ("a client's segment", Owned, packet(CLIENT, VIP, TCP, &ports(40000, 443))),
        ("a client's datagram over IPv6", Owned, packet(CLIENT6, VIP6, UDP, &ports(40000, 53))),
        ("a reply to a SNAT address", Owned, packet(MEMBER, SNAT, TCP, &ports(PORT, 40000))),
        ("a ping of a virtual", Owned, packet(CLIENT, VIP, ICMP, &icmp(8, b"ping"))),
        ("any protocol to a virtual", Owned, packet(CLIENT, VIP, 132, b"sctp")),
        ("a client's segment in a VLAN", Owned, tagged(packet(CLIENT, VIP, TCP, &ports(40000, 443)))),
        ("a segment with options", Owned, with_options(packet(CLIENT, VIP, TCP, &ports(4, 443)), 10)),
        ("a client's later fragment", Owned, fragment_v4(packet(CLIENT, VIP, UDP, b"rest"), 100, false)),
        (
            "an error about an answer",
            Owned,
            packet("192.0.2.1", VIP, ICMP, &icmp(3, &ip(VIP, CLIENT, TCP, &ports(443, 4)))),
        ),
        (
            "a unicast solicitation",
            Owned,
            packet(
                CLIENT6,
                VIP6,
                ICMPV6,
                &icmp(135, &"2001:db8:f::80".parse::<std::net::Ipv6Addr>().unwrap().octets()),
            ),
        ),
        ("ARP for a virtual", Resolution, arp(1, [192, 0, 2, 7], [203, 0, 113, 80])),
        ("ARP for a SNAT address", Resolution, arp(1, [192, 0, 2, 7], [198, 51, 100, 9])),
        ("ARP in a VLAN", Resolution, tagged(arp(1, [192, 0, 2, 7], [203, 0, 113, 80]))),
        ("a solicitation for a virtual", Resolution, solicitation(VIP6)),
        ("ARP for the host", Pass, arp(1, [192, 0, 2, 7], [192, 0, 2, 254])),
        ("an ARP answer", Pass, arp(2, [192, 0, 2, 7], [203, 0, 113, 80])),
        ("a solicitation for the host", Pass, solicitation(HOST6)),
        ("a member's reply", Reply, reply()),
        ("a member's reply over IPv6", Reply, reply6()),
        ("a member's reply in a VLAN", Reply, tagged(reply())),
        ("a member's reply with options", Reply, with_options(reply(), 3)),
        (
            "a member's reply behind hop-by-hop and destination options",
            Reply,
            packet(MEMBER6, CLIENT6, 0, &options_v6(60, &options_v6(UDP, &ports(PORT, 40000)))),
        ),
        ("the first fragment of a member's reply", Reply, fragment_v4(reply(), 0, true)),
        (
            "the first fragment over IPv6",
            Reply,
            packet(MEMBER6, CLIENT6, FRAGMENT, &fragment_v6(UDP, 0, true, &ports(PORT, 40000))),
        ),
        ("a member's echo reply", Reply, packet(MEMBER, CLIENT, ICMP, &icmp(0, b"ping"))),
        ("a member's echo reply over IPv6", Reply, packet(MEMBER6, CLIENT6, ICMPV6, &icmp(129, b"ping"))),
        ("a reply from any port", Reply, packet(OPEN, CLIENT, TCP, &ports(2222, 40000))),
        ("a reply from any port over IPv6", Reply, packet(OPEN6, CLIENT6, UDP, &ports(5060, 40000))),
        ("any port of another protocol", Pass, packet(OPEN6, CLIENT6, TCP, &ports(5060, 40000))),
        ("a reply of another protocol", Reply, packet(OPEN, CLIENT, 132, b"sctp")),
        ("a reply of another protocol over IPv6", Reply, packet(OPEN6, CLIENT6, 50, b"esp")),
        (
            "what is authenticated, which no port tells",
            Reply,
            packet(OPEN6, CLIENT6, 51, &[&[TCP, 4][..], &[0; 22], &ports(PORT, 40000)].concat()),
        ),
        (
            "another protocol behind destination options",
            Reply,
            packet(OPEN6, CLIENT6, 60, &options_v6(132, b"sctp")),
        ),
        ("another protocol of a member of some", Pass, packet(MEMBER, CLIENT, 132, b"sctp")),
        (
            "what is authenticated, of a member of some",
            Pass,
            packet(MEMBER6, CLIENT6, 51, &[&[UDP, 4][..], &[0; 22], &ports(PORT, 40000)].concat()),
        ),
        ("another protocol of somebody", Pass, packet("10.0.0.9", CLIENT, 132, b"sctp")),
        ("any port of somebody", Pass, packet("10.0.0.9", CLIENT, TCP, &ports(2222, 40000))),
        ("another protocol to the host", Pass, packet(OPEN, HOST, 132, b"sctp")),
        ("a ping where none are forwarded", Pass, packet(OPEN, CLIENT, ICMP, &icmp(0, b"ping"))),
        (
            "an error about any port of a member",
            Error,
            packet("10.9.9.9", CLIENT, ICMP, &icmp(3, &ip(CLIENT, OPEN, TCP, &ports(40000, 2222)))),
        ),
        (
            "an error about another protocol to a member",
            Error,
            packet("10.9.9.9", CLIENT, ICMP, &icmp(3, &ip(CLIENT, OPEN, 132, b"sctpsctp"))),
        ),
        (
            "an error about another protocol to a member over IPv6",
            Error,
            packet("2001:db8:9::9", CLIENT6, ICMPV6, &icmp(2, &ip(CLIENT6, OPEN6, 50, b"espespes"))),
        ),
        (
            "an error about another protocol to a member of some",
            Pass,
            packet("10.9.9.9", CLIENT, ICMP, &icmp(3, &ip(CLIENT, MEMBER, 132, b"sctpsctp"))),
        ),
        ("a member's ping", Pass, packet(MEMBER, CLIENT, ICMP, &icmp(8, b"ping"))),
        ("a member's ping over IPv6", Pass, packet(MEMBER6, CLIENT6, ICMPV6, &icmp(128, b"ping"))),
        ("another port of a member", Pass, packet(MEMBER, CLIENT, TCP, &ports(22, 40000))),
        ("another protocol of a member", Pass, packet(MEMBER, CLIENT, UDP, &ports(PORT, 40000))),
        ("a member as a client", Pass, packet(MEMBER, CLIENT, TCP, &ports(40000, PORT))),
        ("the answer to a monitor", Pass, packet(MEMBER, HOST, TCP, &ports(PORT, 40000))),
        ("the answer to a monitor over IPv6", Pass, packet(MEMBER6, HOST6, UDP, &ports(PORT, 40000))),
        (
            "what a member tells a group",
            Pass,
            to([0x33, 0x33, 0, 0, 0, 1], packet(MEMBER6, "ff02::1", UDP, &ports(PORT, 5353))),
        ),
        (
            "a later fragment of a member's",
            Fragment,
            fragment_v4(packet(MEMBER, CLIENT, TCP, b"rest"), 100, false),
        ),
        (
            "a later fragment over IPv6",
            Fragment,
            packet(MEMBER6, CLIENT6, FRAGMENT, &fragment_v6(UDP, 100, false, b"rest")),
        ),
        (
            "a later fragment that looks like a next header",
            Fragment,
            packet(MEMBER6, CLIENT6, FRAGMENT, &fragment_v6(0, 100, true, b"rest")),
        ),
        (
            "a later fragment from an unknown host",
            Pass,
            fragment_v4(packet(CLIENT, "192.0.2.8", TCP, b"rest"), 100, false),
        ),
        (
            "a member's later fragment to the host",
            Pass,
            fragment_v4(packet(MEMBER, HOST, TCP, b"rest"), 100, false),
        ),
        (
            "a router's error about a packet to a member",
            Error,
            packet("10.9.9.9", CLIENT, ICMP, &icmp(3, &to_member())),
        ),
        ("a member's error", Error, packet(MEMBER, CLIENT, ICMP, &icmp(3, &to_member()))),
        ("the same over IPv6", Error, packet(MEMBER6, CLIENT6, ICMPV6, &icmp(2, &to_member6()))),
        (
            "an error about an echo to a member",
            Error,
            packet("10.9.9.9", CLIENT, ICMP, &icmp(11, &ip(CLIENT, MEMBER, ICMP, &icmp(8, b"")))),
        ),
        (
            "an error about a later fragment to a member",
            Error,
            packet(
                MEMBER6,
                CLIENT6,
                ICMPV6,
                &icmp(1, &ip(CLIENT6, MEMBER6, FRAGMENT, &fragment_v6(UDP, 90, false, b"rest"))),
            ),
        ),
        (
            "an error that has lost its way, about a packet of a virtual's",
            Error,
            packet("10.9.9.9", CLIENT, ICMP, &icmp(11, &ip(VIP, CLIENT, TCP, &ports(443, 4)))),
        ),
        (
            "an error about a monitor's packet",
            Pass,
            packet(MEMBER, HOST, ICMP, &icmp(3, &ip(HOST, MEMBER, TCP, &ports(4, PORT)))),
        ),
        (
            "a router's error about a tunnel of the host's to a member",
            Error,
            packet("10.9.9.9", HOST, ICMP, &icmp(3, &ip(HOST, MEMBER, 4, &to_member()))),
        ),
        (
            "a member that takes no GRE",
            Error,
            packet(MEMBER, HOST, ICMP, &icmp(3, &ip(HOST, MEMBER, 47, &[0, 0, 8, 0]))),
        ),
        (
            "a member that takes no GUE",
            Error,
            packet(MEMBER, HOST, ICMP, &icmp(3, &ip(HOST, MEMBER, UDP, &ports(50000, GUE)))),
        ),
        (
            "too big for the way to a member, over IPv6",
            Error,
            packet("2001:db8:9::9", HOST6, ICMPV6, &icmp(2, &ip(HOST6, MEMBER6, 41, &to_member6()))),
        ),
        (
            "an error about a tunnel from an address of Shunt's",
            Error,
            packet("10.9.9.9", HOST, ICMP, &icmp(3, &ip(SNAT, MEMBER, 4, &to_member()))),
        ),
        (
            "an error about a tunnel of the host's own",
            Pass,
            packet("10.9.9.9", HOST, ICMP, &icmp(3, &ip(HOST, "10.0.0.2", 4, &to_member()))),
        ),
        (
            "an error about another protocol to the member of a tunnel",
            Pass,
            packet("10.9.9.9", HOST, ICMP, &icmp(3, &ip(HOST, MEMBER, 41, &to_member6()))),
        ),
        (
            "an error about another port than GUE's",
            Pass,
            packet(MEMBER, HOST, ICMP, &icmp(3, &ip(HOST, MEMBER, UDP, &ports(50000, GUE + 1)))),
        ),
        ("a member that answers a probe as the virtual", Direct, packet(VIP, HOST, TCP, &ports(443, 4))),
        ("the same over IPv6", Direct, packet(VIP6, HOST6, UDP, &ports(53, 4))),
        (
            "a member that asks the host for its MAC as the virtual",
            Pass,
            packet(
                VIP6,
                HOST6,
                ICMPV6,
                &icmp(135, &"2001:db8::fe".parse::<std::net::Ipv6Addr>().unwrap().octets()),
            ),
        ),
        ("a member that tells the host its MAC", Pass, packet(VIP6, HOST6, ICMPV6, &icmp(136, &[0; 16]))),
        (
            "an error about somebody's packet",
            Pass,
            packet("10.9.9.9", CLIENT, ICMP, &icmp(3, &ip(CLIENT, "10.0.0.2", TCP, &ports(4, PORT)))),
        ),
        (
            "an error about a packet to another port",
            Pass,
            packet(MEMBER, CLIENT, ICMP, &icmp(3, &ip(CLIENT, MEMBER, TCP, &ports(4, 22)))),
        ),
        ("an error that says nothing", Pass, packet(MEMBER, CLIENT, ICMP, &icmp(3, b""))),
        ("somebody's segment", Pass, packet(CLIENT, "192.0.2.8", TCP, &ports(1, 2))),
        ("the host's own", Pass, packet(CLIENT, HOST, TCP, &ports(40000, 22))),
        (
            "a frame to another station",
            Pass,
            to([2, 0, 0, 0, 0, 9], packet(CLIENT, VIP, TCP, &ports(40000, 443))),
        ),
        ("another network protocol", Pass, ethernet(0x88cc, b"a station tells of itself")),
        ("two VLAN tags", Pass, tagged(tagged(packet(CLIENT, VIP, TCP, &ports(40000, 443))))),
        ("half an IPv4 header", Unreadable, packet(CLIENT, VIP, TCP, b"")[..24].to_vec()),
        ("half an IPv6 header", Unreadable, packet(CLIENT6, VIP6, TCP, b"")[..50].to_vec()),
        ("a header of 16 bytes", Unreadable, {
            let mut frame = packet(CLIENT, "192.0.2.8", TCP, &ports(1, 2));
            frame[14] = 0x44;
            frame
        }),
        ("half an ARP packet", Unreadable, arp(1, [192, 0, 2, 7], [203, 0, 113, 80])[..30].to_vec()),
        ("options that never end", Unreadable, packet(MEMBER6, CLIENT6, 0, &[60, 200, 0, 0, 0, 0, 0, 0])),
    ]
}

#[test]
fn each_frame_goes_where_it_belongs() {
    within("a BPF program", || {
        let (mut steering, _socket) = steering();
        let cases = cases();
        for (story, expected, frame) in &cases {
            let action = match expected {
                Outcome::Pass | Outcome::Unreadable => PASS,
                _ => REDIRECT,
            };
            assert_eq!(run(&mut steering, frame), (*expected, action), "{story}");
        }
        for outcome in Outcome::ALL {
            let has_case = cases.iter().any(|(_, expected, _)| *expected == outcome);
            let elsewhere = [Outcome::NoSocket, Outcome::Segment].contains(&outcome);
            assert!(has_case || elsewhere, "no case for {}", outcome.name());
        }
    });
}

/// Loopback is interface 1 in every namespace. Its untagged frames are Shunt's, those of VLAN 7 are not,
/// and the other way round.
#[test]
fn a_segment_is_taken_whole_but_for_the_hosts_own_and_what_stays_on_the_link() {
    use Outcome::*;
    let segment = packet(CLIENT, "198.18.0.1", TCP, &ports(40000, 443));
    let over_ipv6 = packet(CLIENT6, "2001:db8:77::1", 132, b"sctp");
    let to_all = packet(CLIENT, "192.0.2.255", UDP, &ports(4, 67));
    let discovery = |from, target: &str, kind| packet(from, target, ICMPV6, &icmp(kind, &[0; 16]));
    let cases = [
        ("somebody's segment", Segment, segment.clone()),
        ("any protocol over IPv6", Segment, over_ipv6.clone()),
        ("a later fragment", Segment, fragment_v4(segment.clone(), 100, false)),
        ("somebody's error", Segment, packet("10.9.9.9", "198.18.0.1", ICMP, &icmp(3, b""))),
        (
            "an error from an address that no router forwards from",
            Segment,
            packet("127.0.0.1", "198.18.0.1", ICMP, &icmp(3, b"")),
        ),
        ("the same over IPv6", Segment, packet("fe80::7", "2001:db8:77::1", ICMPV6, &icmp(1, b""))),
        ("a ping from there", Pass, packet("127.0.0.1", "198.18.0.1", ICMP, &icmp(8, b""))),
        ("an error to a link-local address", Pass, packet("10.9.9.9", "169.254.1.1", ICMP, &icmp(3, b""))),
        ("options that never end", Segment, {
            packet(CLIENT6, "2001:db8:77::1", 0, &[60, 200, 0, 0, 0, 0, 0, 0])
        }),
        ("a client's segment to a virtual", Owned, packet(CLIENT, VIP, TCP, &ports(40000, 443))),
        ("a member's reply", Reply, packet(MEMBER, CLIENT, TCP, &ports(PORT, 40000))),
        ("the host's own", Pass, packet(CLIENT, HOST, TCP, &ports(40000, 22))),
        ("the host's own over IPv6", Pass, packet(CLIENT6, HOST6, UDP, &ports(40000, 53))),
        ("to all on the link", Pass, to([0xff; 6], to_all)),
        ("to all, in a frame to this station", Pass, packet(CLIENT, "255.255.255.255", UDP, &ports(4, 67))),
        ("to a group, in a frame to this station", Pass, packet(CLIENT, "224.0.0.5", 89, b"ospf")),
        ("to a group over IPv6, in a frame to this station", Pass, packet(CLIENT6, "ff05::2", 89, b"ospf")),
        ("link-local", Pass, packet("169.254.1.2", "169.254.1.1", TCP, &ports(4, 5))),
        ("from a link-local address", Pass, packet("fe80::7", "2001:db8:77::1", UDP, &ports(4, 5))),
        ("to a link-local address", Pass, packet("2001:db8:77::1", "fe80::7", UDP, &ports(4, 5))),
        ("from nobody", Pass, packet("0.0.0.0", "198.18.0.1", UDP, &ports(68, 67))),
        ("from nobody over IPv6", Pass, packet("::", "2001:db8:77::1", UDP, &ports(4, 5))),
        ("loopback from outside", Pass, packet("127.0.0.1", "198.18.0.1", TCP, &ports(4, 5))),
        ("a solicitation of a neighbour's", Pass, discovery("fe80::7", "fe80::1", 135)),
        ("a frame to another station", Pass, to([2, 0, 0, 0, 0, 9], segment.clone())),
        ("ARP for somebody", Pass, arp(1, [192, 0, 2, 7], [192, 0, 2, 8])),
    ];
    within("a BPF program", || {
        let (mut steering, _socket) = steering();
        let (whole, vlan) = (Wanted { whole: [segment_of(0)].into(), ..wanted() }, segment_of(7));
        steering.steer(&whole).unwrap();
        for (story, expected, frame) in &cases {
            let action = if *expected == Pass { PASS } else { REDIRECT };
            assert_eq!(run(&mut steering, frame), (*expected, action), "{story}");
        }
        assert_eq!(run(&mut steering, &tagged(segment.clone())).0, Pass, "another segment");

        steering.steer(&Wanted { whole: [vlan].into(), ..wanted() }).unwrap();
        assert_eq!(run(&mut steering, &segment).0, Pass);
        assert_eq!(run(&mut steering, &tagged(segment)).0, Segment);
        assert_eq!(run(&mut steering, &tagged(over_ipv6)).0, Segment);
    });
}

fn segment_of(vlan: u16) -> steering::Segment {
    steering::Segment::new(1, vlan)
}

#[test]
fn without_a_socket_shunts_frames_are_dropped_and_others_pass() {
    within("a BPF program", || {
        let (mut steering, socket) = steering();
        drop(socket);
        let mine = packet(CLIENT, VIP, TCP, &ports(40000, 443));
        assert_eq!(run(&mut steering, &mine), (Outcome::NoSocket, DROP));
        let others = packet(CLIENT, HOST, TCP, &ports(40000, 22));
        assert_eq!(run(&mut steering, &others), (Outcome::Pass, PASS));
    });
}

#[test]
fn what_is_wanted_replaces_what_was() {
    within("a BPF program", || {
        let (mut steering, _socket) = steering();
        let to_vip = packet(CLIENT, VIP, TCP, &ports(40000, 443));
        let to_host = packet(CLIENT, HOST, TCP, &ports(40000, 443));
        let reply = packet(MEMBER, CLIENT, TCP, &ports(PORT, 40000));
        let fragment = fragment_v4(packet(MEMBER, CLIENT, TCP, b"rest"), 100, false);

        // The host gives its address to Shunt, the virtual moves to the host, the member loses a port.
        let mut other = wanted();
        other.owned = [HOST].map(address).into();
        other.host = [VIP].map(address).into();
        other.return_endpoints.remove(&ReturnEndpoint::new(address(MEMBER), PORT, TCP));
        steering.steer(&other).unwrap();
        assert_eq!(run(&mut steering, &to_vip).0, Outcome::Pass);
        assert_eq!(run(&mut steering, &to_host).0, Outcome::Owned);
        assert_eq!(run(&mut steering, &reply).0, Outcome::Pass);
        assert_eq!(run(&mut steering, &fragment).0, Outcome::Fragment, "it has another endpoint");

        steering.steer(&Wanted::default()).unwrap();
        for frame in [&to_vip, &to_host, &reply, &fragment] {
            assert_eq!(run(&mut steering, frame).0, Outcome::Pass);
        }
        steering.steer(&wanted()).unwrap();
        assert_eq!(run(&mut steering, &to_vip).0, Outcome::Owned);
    });
}

#[test]
fn a_full_table_can_be_replaced_and_not_exceeded() {
    within("a BPF program", || {
        let mut steering = Steering::load().unwrap();
        let most = u64::from(steering::MAX_ADDRESSES);
        let many = |first| (first..first + most).map(|lo| Address { hi: 1, lo });
        let all = |owned| Wanted { owned, ..Wanted::default() };
        steering.steer(&all(many(0).collect())).unwrap();
        steering.steer(&all(many(most / 2).collect())).unwrap();
        let error = steering.steer(&all(many(0).chain([address(VIP)]).collect())).unwrap_err();
        assert_eq!(error.to_string(), "too many addresses for the XDP program: it has room for 65536");
    });
}

#[test]
fn another_mac_of_the_interface_is_followed() {
    within("a BPF program", || {
        let (mut steering, _socket) = steering();
        let frame = packet(CLIENT, VIP, TCP, &ports(40000, 443));
        steering.set_mac(1, Mac([2, 0, 0, 0, 0, 7])).unwrap();
        assert_eq!(run(&mut steering, &frame).0, Outcome::Pass);
        assert_eq!(run(&mut steering, &to([2, 0, 0, 0, 0, 7], frame)).0, Outcome::Owned);
        // Not attached there: nothing to follow.
        steering.set_mac(99, Mac(OWN_MAC)).unwrap();
    });
}

#[test]
fn a_program_that_is_there_is_left_there() {
    within("a BPF program", || {
        let (left, _right) = cable();
        let mut first = Steering::load().unwrap();
        assert!(matches!(first.attach(&left, []).unwrap(), Mode::Native));

        let mut second = Steering::load().unwrap();
        let error = second.attach(&left, []).unwrap_err();
        assert!(matches!(error, XdpError::OtherProgram { .. }), "{error}");
        assert!(error.to_string().contains("ip link set dev left xdp off"), "{error}");

        first.detach(left.index);
        second.attach(&left, []).unwrap();
        drop(second);
        first.attach(&left, []).unwrap();
    });
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    within("a BPF program", || {
        let mut gone = link("lo");
        (gone.index, gone.name) = (4711, "gone".to_owned());
        let error = Steering::load().unwrap().attach(&gone, []).unwrap_err();
        assert_eq!(error.to_string(), "there is no interface gone");
    });
}

/// Prints what a frame costs (`--nocapture`), for whoever measures: the book's figures come from here.
#[test]
fn a_million_frames_are_judged_alike() {
    within("a BPF program", || {
        let (mut steering, _socket) = steering();
        let others = [0x02, 0, 0, 0, 0, 9];
        for (story, action, frame) in [
            ("another station's", PASS, to(others, packet(CLIENT, VIP, TCP, &ports(40000, 443)))),
            ("somebody's", PASS, packet(CLIENT, "192.0.2.8", TCP, &ports(1, 2))),
            ("to a virtual", REDIRECT, packet(CLIENT, VIP, TCP, &ports(40000, 443))),
            ("a reply from any port", REDIRECT, packet(OPEN6, CLIENT6, UDP, &ports(PORT, 40000))),
            ("a member's reply", REDIRECT, packet(MEMBER6, CLIENT6, UDP, &ports(PORT, 40000))),
        ] {
            let ran = steering.test_run(&frame, 1_000_000).unwrap();
            println!("{story}: {} ns", ran.nanoseconds);
            assert_eq!(ran.action, action, "{story}");
        }
    });
}
