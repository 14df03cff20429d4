//! ICMP errors, echo replies, ARP and neighbour discovery.

use shunt_wire::icmp::{Report, Silence, echo_reply, report};
use shunt_wire::layout::Part;
use shunt_wire::{Family, Frame, Layout, Mac, arp, ndp};

use crate::frame::{read, write};
use crate::packets::{BACK, IN, address, canonical, change, changed, layout};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

#[test]
fn errors_of_each_kind() {
    let v4 = "ip4 192.0.2.7 > 203.0.113.1 ttl 1 id 7 | udp 40000 > 80 | \"why\"";
    let v6 = "ip6 2001:db8::7 > 2001:db8:1::1 hop 1 | udp 40000 > 80 | \"why\"";
    for (kind, name) in [
        (Report::TooBig { mtu: 1400 }, "too-big mtu 1400"),
        (Report::HopLimit, "time-exceeded"),
        (Report::PortUnreachable, "port-unreachable"),
        (Report::HostUnreachable, "host-unreachable"),
        (Report::Prohibited, "prohibited"),
    ] {
        let result = changed(&format!("{IN} | {v4} | pad 80"), |frame, layout| {
            report(frame, layout, address("203.0.113.1"), kind)
        });
        // The precedence of internetwork control, an identification of what it is about, and no padding in the
        // quote.
        let ip = "ip4 203.0.113.1 > 192.0.2.7 ttl 64 tos 192 id 18579";
        let after = format!("{BACK} | {ip} | icmp4 {name} | {v4}");
        assert_eq!(result, Ok(canonical(&after)));
        let result = changed(&format!("{IN} | vlan 7 | {v6}"), |frame, layout| {
            report(frame, layout, address("2001:db8:1::1"), kind)
        });
        let after = format!("{BACK} | vlan 7 | ip6 2001:db8:1::1 > 2001:db8::7 hop 64 | icmp6 {name} | {v6}");
        assert_eq!(result, Ok(canonical(&after)));
    }
}

#[test]
fn a_source_route_is_reported() {
    let report = |frame: &mut Frame<'_>, layout: &Layout| {
        let from = address(if layout.family == Family::V4 { "203.0.113.1" } else { "2001:db8:1::1" });
        report(frame, layout, from, Report::SourceRoute { pointer: 43 })
    };
    let v4 = "ip4 192.0.2.7 > 198.51.100.2 options 830704c633640200 | udp 5 > 6";
    let after = format!("{BACK} | ip4 203.0.113.1 > 192.0.2.7 tos 192 id 40230 | icmp4 type 3 code 5 | {v4}");
    assert_eq!(changed(&format!("{IN} | {v4}"), report), Ok(canonical(&after)));
    let v6 = "ip6 2001:db8::7 > 2001:db8::8 | routing 000100000000 | udp 5 > 6";
    let after =
        format!("{BACK} | ip6 2001:db8:1::1 > 2001:db8::7 | icmp6 type 4 code 0 rest 0000002b | {v6}");
    assert_eq!(changed(&format!("{IN} | {v6}"), report), Ok(canonical(&after)));
}

/// 576 bytes over IPv4 (RFC 1812 section 4.3.2.3), 1280 over IPv6 (RFC 4443 section 2.4 c).
#[test]
fn an_error_quotes_as_much_as_it_may() {
    for (packet, source, most) in [
        ("ip4 192.0.2.7 > 203.0.113.1 | udp 40000 > 80 | bytes 1472", "203.0.113.1", 576),
        ("ip6 2001:db8::7 > 2001:db8:1::1 | udp 40000 > 80 | bytes 1452", "2001:db8:1::1", 1280),
    ] {
        let before = read(&format!("{IN} | {packet}")).unwrap();
        let after = change(&before, |frame, layout| {
            report(frame, layout, address(source), Report::TooBig { mtu: 1400 })
        })
        .unwrap();
        assert_eq!(after.len(), 14 + most);
        let header = layout(&after).l4 - 14 + 8;
        let quoted = &after[usize::from(layout(&after).l4) + 8..];
        assert_eq!(quoted, &before[14..14 + most - usize::from(header)]);
        let text = write(&after);
        assert!(text.contains("too-big mtu 1400 |"), "its checksum is right: {text}");
    }
}

#[test]
fn silence() {
    let v4 = "203.0.113.1";
    let v6 = "2001:db8:1::1";
    for (packet, source, silence) in [
        (
            "ip4 192.0.2.7 > 203.0.113.1 | icmp4 time-exceeded | ip4 203.0.113.1 > 192.0.2.7 | udp 1 > 2",
            v4,
            Silence::AboutError,
        ),
        ("ip4 192.0.2.7 > 203.0.113.1 | icmp4 type 5 code 1", v4, Silence::AboutError),
        ("ip6 2001:db8::7 > 2001:db8:1::1 | icmp6 type 100 code 0", v6, Silence::AboutError),
        ("ip6 2001:db8::7 > 2001:db8:1::1 | icmp6 type 137 code 0", v6, Silence::AboutError),
        ("ip4 192.0.2.7 > 224.0.0.1 | udp 1 > 2", v4, Silence::ToGroup),
        ("ip4 192.0.2.7 > 255.255.255.255 | udp 1 > 2", v4, Silence::ToGroup),
        ("ip6 2001:db8::7 > ff02::1 | udp 1 > 2", v6, Silence::ToGroup),
        ("ip4 0.0.0.0 > 203.0.113.1 | udp 1 > 2", v4, Silence::FromNobody),
        ("ip4 127.0.0.1 > 203.0.113.1 | udp 1 > 2", v4, Silence::FromNobody),
        ("ip4 224.0.0.1 > 203.0.113.1 | udp 1 > 2", v4, Silence::FromNobody),
        ("ip6 :: > 2001:db8:1::1 | udp 1 > 2", v6, Silence::FromNobody),
        ("ip6 ::1 > 2001:db8:1::1 | udp 1 > 2", v6, Silence::FromNobody),
        ("ip6 ff02::1 > 2001:db8:1::1 | udp 1 > 2", v6, Silence::FromNobody),
        ("ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2", v6, Silence::Mismatch),
    ] {
        let result = changed(&format!("{IN} | {packet}"), |frame, layout| {
            report(frame, layout, address(source), Report::HopLimit)
        });
        assert_eq!(result, Err(silence), "{packet}");
    }
    let packet = "ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2";
    let broadcast = format!("eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff | {packet}");
    let result = changed(&broadcast, |frame, layout| report(frame, layout, address(v4), Report::HopLimit));
    assert_eq!(result, Err(Silence::ToGroup));
    let result = changed(&format!("{IN} | {packet}"), |frame, layout| {
        let layout = Layout { part: Part::Later, ..*layout };
        report(frame, &layout, address(v4), Report::HopLimit)
    });
    assert_eq!(result, Err(Silence::LaterFragment));
    let mut bytes = read(&format!("{IN} | {packet}")).unwrap();
    let (layout, len) = (layout(&bytes), bytes.len());
    let frame = &mut Frame::new(&mut bytes, 0, len);
    assert_eq!(report(frame, &layout, address(v4), Report::HopLimit), Err(Silence::NoRoom));
}

#[test]
fn an_echo_request_is_answered() {
    for (before, after) in [
        (
            "vlan 7 | ip4 192.0.2.7 > 203.0.113.1 ttl 3 tos 8 id 9 options 94040000 | icmp4 echo-request id 1 seq 2 | \"odd\"",
            "vlan 7 | ip4 203.0.113.1 > 192.0.2.7 ttl 64 tos 8 id 9 options 94040000 | icmp4 echo-reply id 1 seq 2 | \"odd\"",
        ),
        (
            "ip6 2001:db8::7 > 2001:db8:1::1 hop 3 flow 5 | icmp6 echo-request id 1 seq 2 | \"odd\"",
            "ip6 2001:db8:1::1 > 2001:db8::7 hop 64 flow 5 | icmp6 echo-reply id 1 seq 2 | \"odd\"",
        ),
    ] {
        let answer = |frame: &mut Frame<'_>, layout: &Layout| echo_reply(frame, layout).ok_or(());
        assert_eq!(changed(&format!("{IN} | {before}"), answer), Ok(format!("{BACK} | {after}")));
        // A reply is not answered.
        assert_eq!(changed(&format!("{IN} | {after}"), answer), Err(()));
    }
    for other in ["udp 1 > 2", "icmp4 type 13 code 0 | bytes 12", "tcp 8 > 1 S"] {
        let before = format!("{IN} | ip4 192.0.2.7 > 203.0.113.1 | {other}");
        assert_eq!(changed(&before, |frame, layout| echo_reply(frame, layout).ok_or(())), Err(()));
    }
}

/// Runs `how` over a frame in a buffer with some room, and writes what became of it.
fn answered(text: &str, how: impl FnOnce(&mut Frame<'_>) -> Option<()>) -> Option<String> {
    let bytes = read(text).unwrap();
    let mut buffer = vec![0xaa; 16 + bytes.len() + 100];
    buffer[16..16 + bytes.len()].copy_from_slice(&bytes);
    let mut frame = Frame::new(&mut buffer, 16, 16 + bytes.len());
    how(&mut frame)?;
    Some(write(frame.bytes()))
}

#[test]
fn arp_answers_and_announcements() {
    let request = arp::Request {
        sender_mac: Mac([2, 0, 0, 0, 0, 1]),
        sender: "192.0.2.1".parse().unwrap(),
        target: "203.0.113.1".parse().unwrap(),
    };
    let asked = "eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff | vlan 7 | arp request 02:00:00:00:00:01 192.0.2.1 > 203.0.113.1";
    assert_eq!(
        answered(asked, |frame| arp::answer(frame, 18, &request, MAC)).unwrap(),
        "eth 02:00:00:00:00:09 > 02:00:00:00:00:01 | vlan 7 \
         | arp reply 02:00:00:00:00:09 203.0.113.1 > 192.0.2.1 mac 02:00:00:00:00:01"
    );
    assert_eq!(answered("hex 00", |frame| arp::answer(frame, 14, &request, MAC)), None);
    assert_eq!(
        answered("", |frame| arp::announce(frame, Some(0x6007), MAC, request.target)).unwrap(),
        "eth 02:00:00:00:00:09 > ff:ff:ff:ff:ff:ff | vlan 7 pcp 3 \
         | arp request 02:00:00:00:00:09 203.0.113.1 > 203.0.113.1"
    );
    assert_eq!(arp::announce(&mut Frame::new(&mut [0; 41], 0, 0), None, MAC, request.target), None);
    assert_eq!(arp::announce(&mut Frame::new(&mut [0; 42], 0, 0), None, MAC, request.target), Some(()));
}

#[test]
fn neighbour_answers_and_announcements() {
    let target = "2001:db8:1::1".parse().unwrap();
    let asked = "eth 02:00:00:00:00:01 > 33:33:ff:00:00:01 | ip6 fe80::1 > ff02::1:ff00:1 hop 255 \
                 | icmp6 neighbour-solicitation 2001:db8:1::1";
    let from =
        |source: &str, source_mac| ndp::Solicitation { source: source.parse().unwrap(), source_mac, target };
    let advertisement =
        "icmp6 neighbour-advertisement 2001:db8:1::1 solicited override mac 02:00:00:00:00:09";
    for (source_mac, to) in
        [(None, "02:00:00:00:00:01"), (Some(Mac([2, 0, 0, 0, 0, 7])), "02:00:00:00:00:07")]
    {
        assert_eq!(
            answered(asked, |frame| ndp::answer(frame, 14, &from("fe80::1", source_mac), MAC)).unwrap(),
            format!("eth 02:00:00:00:00:09 > {to} | ip6 2001:db8:1::1 > fe80::1 hop 255 | {advertisement}")
        );
    }
    // Duplicate address detection is answered to everybody, unasked (RFC 4861 section 7.2.4).
    let unasked = "eth 02:00:00:00:00:09 > 33:33:00:00:00:01 | ip6 2001:db8:1::1 > ff02::1 hop 255 \
                   | icmp6 neighbour-advertisement 2001:db8:1::1 override mac 02:00:00:00:00:09";
    assert_eq!(answered(asked, |frame| ndp::answer(frame, 14, &from("::", None), MAC)).unwrap(), unasked);
    assert_eq!(answered("", |frame| ndp::announce(frame, None, MAC, target)).unwrap(), unasked);
    assert_eq!(ndp::announce(&mut Frame::new(&mut [0; 85], 0, 0), None, MAC, target), None);
    assert_eq!(ndp::solicited_node(target), "ff02::1:ff00:1".parse::<std::net::Ipv6Addr>().unwrap());
}
