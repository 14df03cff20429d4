//! The text form reads what it writes, and says what it does not understand.

use std::path::Path;

use proptest::prelude::*;

use crate::case::{Case, Step, all};
use crate::frame::{read, write};

const ETH: &str = "eth 02:00:00:00:00:01 > 02:00:00:00:00:02";

/// Written out and summed by hand.
#[test]
fn a_frame_is_the_bytes_of_the_wire() {
    let text = format!("{ETH} | ip4 192.168.0.1 > 192.168.0.2 ttl 64 id 7 df | udp 1024 > 53 | \"hi\"");
    let expected = [
        0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00, // Ethernet
        0x45, 0, 0, 30, 0, 7, 0x40, 0, 64, 17, 0xb9, 0x74, 192, 168, 0, 1, 192, 168, 0, 2, // IPv4
        0x04, 0x00, 0, 53, 0, 10, 0x11, 0xe8, b'h', b'i', // UDP
    ];
    assert_eq!(read(&text).unwrap(), expected);
    assert_eq!(write(&expected), text);
}

/// Every layer, in the one form that the writer has for it.
#[test]
fn every_layer_comes_back() {
    for text in [
        "ip4 192.0.2.7 > 203.0.113.1 ttl 64 tos 184 id 7 df options 94040000 | tcp 40000 > 80 S seq 1 win 65535 mss 1460",
        "ip4 192.0.2.7 > 203.0.113.1 ttl 1 | tcp 1 > 2 FRPAUEC seq 4294967295 ack 9 win 0 urg 3 options 01010101 | \"x y\"",
        "ip4 192.0.2.7 > 203.0.113.1 ttl 1 | tcp 1 > 2 - seq 0 win 0 check 0x1234 | bytes 400",
        "ip4 192.0.2.7 > 203.0.113.1 ttl 64 mf off 1480 proto 17 | hex 0001",
        "ip4 192.0.2.7 > 203.0.113.1 ttl 64 off 1480 proto 17 | hex 0001 | bytes 40 from 200",
        "ip4 192.0.2.7 > 203.0.113.1 ttl 64 check 0xffff | udp 5 > 6 no-checksum | hex 00",
        "ip4 192.0.2.7 > 203.0.113.1 ttl 64 | udp 5 > 6 | pad 60",
        "ip4 192.0.2.7 > 203.0.113.1 ttl 64 | tcp 1 > 2 S seq 1 win 5 mss 1460 partial | \"x\"",
        "ip6 2001:db8::7 > 2001:db8:1::1 hop 64 | udp 5 > 6 partial | \"x\"",
        "vlan 7 pcp 3 dei | ip4 192.0.2.7 > 203.0.113.1 ttl 64 | icmp4 echo-request id 1 seq 2 | \"abc\"",
        "ip4 10.0.0.9 > 192.0.2.7 ttl 64 | icmp4 too-big mtu 1400 | ip4 192.0.2.7 > 203.0.113.1 ttl 63 len 1500 | tcp 1 > 80 A seq 1 win 5 check 0x0000 | \"x\"",
        "ip4 10.0.0.9 > 192.0.2.7 ttl 64 | icmp4 port-unreachable | ip4 192.0.2.7 > 203.0.113.1 ttl 63 | udp 1 > 80",
        "ip4 10.0.0.9 > 192.0.2.7 ttl 64 | icmp4 type 13 code 0 rest 00010002 check 0x0001",
        "ip6 2001:db8::7 > 2001:db8:1::1 hop 64 class 184 flow 74565 | tcp 40000 > 80 SA seq 1 ack 2 win 65535",
        "ip6 2001:db8::7 > 2001:db8:1::1 hop 64 | hop-by-hop 050200000100 | dest-options 010400000000 | routing 040000000000 | udp 5 > 6",
        "ip6 2001:db8::7 > 2001:db8:1::1 hop 64 | fragment id 9 off 8 mf next 6 | bytes 16",
        "ip6 2001:db8::7 > 2001:db8:1::1 hop 64 | fragment id 9 | icmp6 echo-reply id 9 seq 1",
        "ip6 2001:db8::7 > 2001:db8:1::1 hop 64 | icmp6 too-big mtu 1280 | ip6 2001:db8:1::1 > 2001:db8::7 hop 9 | udp 5 > 6",
        "ip6 fe80::1 > ff02::1:ff00:1 hop 255 | icmp6 neighbour-solicitation 2001:db8:1::1 mac 02:00:00:00:00:01",
        "ip6 2001:db8:1::1 > ff02::1 hop 255 | icmp6 neighbour-advertisement 2001:db8:1::1 override mac 02:00:00:00:00:01",
        "ip6 2001:db8::7 > 2001:db8:1::1 hop 64 next 59",
        "arp request 02:00:00:00:00:01 192.0.2.1 > 203.0.113.1",
        "arp reply 02:00:00:00:00:01 192.0.2.1 > 203.0.113.1 mac 02:00:00:00:00:07",
        "ip4 10.0.0.1 > 10.0.0.2 ttl 64 df | ip4 192.0.2.7 > 203.0.113.1 ttl 63 | udp 5 > 6",
        "ip6 2001:db8::1 > 2001:db8::2 hop 64 | gre | ip4 192.0.2.7 > 203.0.113.1 ttl 63 | udp 5 > 6",
        "ip4 10.0.0.1 > 10.0.0.2 ttl 64 df | udp 50000 > 6080 no-checksum | gue | ip6 2001:db8::7 > 2001:db8:1::1 hop 64 | udp 5 > 6",
    ] {
        let text = format!("{ETH} | {text}");
        let bytes = read(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(write(&bytes), text);
    }
}

/// The fragments of a packet are its bytes.
#[test]
fn a_part_is_cut_out() {
    let datagram = "udp 40000 > 53 | bytes 24";
    let whole = read(&format!("{ETH} | ip4 192.0.2.7 > 203.0.113.53 | {datagram}")).unwrap();
    let part = |how: &str, from: usize| {
        let text = format!("{ETH} | ip4 192.0.2.7 > 203.0.113.53 {how} | part {from} 16 | {datagram}");
        read(&text).unwrap()[14 + 20..].to_vec()
    };
    assert_eq!([part("mf", 0), part("off 16", 16)].concat(), whole[14 + 20..]);
    let beyond = read(&format!("{ETH} | ip4 192.0.2.7 > 203.0.113.53 mf | part 24 16 | {datagram}"));
    assert_eq!(beyond, Err("a part that is not there".to_owned()));
}

/// A quoted packet is written whole, with the checksums that it had, and then cut.
#[test]
fn a_quote_is_cut() {
    let whole = read(&format!("{ETH} | ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2 | bytes 100")).unwrap();
    let error = read(&format!(
        "{ETH} | ip4 10.0.0.9 > 192.0.2.7 | icmp4 time-exceeded | ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2 | bytes 100 | cut 28"
    ))
    .unwrap();
    assert_eq!(error[14 + 28..], whole[14..14 + 28]);
}

#[test]
fn mistakes_are_named() {
    for (text, mistake) in [
        ("ether 1", "no layer is called ether"),
        ("ip4 1.2.3.4 > 5.6.7.8", "what ip4 carries needs proto"),
        ("ip4 1.2.3.4 > 5.6.7.8 | tcp 1 > 2 X", "no flags of TCP: X"),
        ("ip4 1.2.3.4 > 5.6.7.8 | udp 1 > 2 three", "udp: what is three?"),
        ("ip4 1.2.3.4 > 5.6.7.8 | udp 1 > 65536", "no number for its place: 65536"),
        ("ip4 1.2.3.4 > 5.6.7.8 | udp 1 - 2", "udp: - stands where > should"),
        ("ip4 1.2.3.4 > 5.6.7.8 ttl", "ip4 ttl what?"),
        ("ip4 1.2.3.4 > ::1 | udp 1 > 2", "no IPv4 address: ::1"),
        ("hex 0", "half a byte"),
        ("\"open", "a quote that does not end"),
        ("hex 00 | | hex 00", "an empty layer"),
    ] {
        assert_eq!(read(text), Err(mistake.to_owned()), "{text}");
    }
}

/// 192.168.0.1, 192.168.0.2, protocol 17 and ten bytes, summed by hand and not complemented.
#[test]
fn a_partial_checksum_is_the_sum_of_the_pseudo_header() {
    let bytes =
        read(&format!("{ETH} | ip4 192.168.0.1 > 192.168.0.2 | udp 1024 > 53 partial | \"hi\"")).unwrap();
    assert_eq!(bytes[14 + 20 + 6..][..2], [0x81, 0x6f]);
}

#[test]
fn a_case_has_a_story_a_setting_and_steps() {
    let case = Case::read(
        "A client asks,\nand is told.\n\nvirtual shop 203.0.113.1:80\n# a remark\n\nin eth0 hex 00\n  | hex 01\nverdict drop no-virtual\nat 5000\nout eth1 hex 02\n",
    )
    .unwrap();
    assert_eq!(case.story, "A client asks, and is told.");
    assert_eq!((case.setting.len(), case.setting[0].number), (1, 4));
    assert_eq!(case.setting[0].rest, "shop 203.0.113.1:80");
    assert_eq!(case.steps[0], Step::In { interface: "eth0".to_owned(), frame: vec![0, 1] });
    assert_eq!(case.steps[1], Step::Verdict("drop no-virtual".to_owned()));
    assert!(matches!(&case.steps[2], Step::Other(line) if line.word == "at" && line.rest == "5000"));
    assert_eq!(case.steps[3], Step::Out { interface: "eth1".to_owned(), frame: vec![2] });
    assert_eq!(Case::read("Story.\n\nin eth0 gre gre\n").unwrap_err(), "line 3: gre: what is gre?");
}

/// What nobody runs yet can be read at least.
#[test]
fn every_case_can_be_read() {
    let cases = all(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/golden"))).unwrap();
    assert!(!cases.is_empty());
}

proptest! {
    #[test]
    fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        prop_assert_eq!(read(&write(&bytes)), Ok(bytes));
    }

    /// Bytes that start like a packet get further.
    #[test]
    fn damaged_frames_come_back(at in 0usize..200, with: u8, which in 0usize..4) {
        let text = [
            "ip4 10.0.0.9 > 192.0.2.7 | icmp4 too-big mtu 1400 | ip4 192.0.2.7 > 203.0.113.1 | tcp 1 > 80 A mss 9 | bytes 99",
            "ip6 2001:db8::7 > 2001:db8:1::1 | hop-by-hop 050200000100 | fragment id 9 | udp 5 > 6080 | gue | ip4 1.2.3.4 > 5.6.7.8 | udp 5 > 6",
            "vlan 7 | ip6 fe80::1 > ff02::1:ff00:1 hop 255 | icmp6 neighbour-solicitation 2001:db8:1::1 mac 02:00:00:00:00:01",
            "ip4 10.0.0.9 > 192.0.2.7 | gre | ip6 fe80::1 > ff02::2 | icmp6 echo-request id 1 seq 1 | pad 150",
        ][which];
        let mut bytes = read(&format!("{ETH} | {text}")).unwrap();
        let at = at % bytes.len();
        bytes[at] = with;
        prop_assert_eq!(read(&write(&bytes)), Ok(bytes.clone()));
        bytes.truncate(at);
        prop_assert_eq!(read(&write(&bytes)), Ok(bytes));
    }
}
