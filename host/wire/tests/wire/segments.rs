//! Resets and the maximum segment size.

use shunt_wire::frame::HEADROOM;
use shunt_wire::layout::Part;
use shunt_wire::rewrite::{Change, Translate};
use shunt_wire::{Frame, Layout, Rewrite, ip, tcp};

use crate::frame::{read, write};
use crate::packets::{BACK, IN, OUT, canonical, changed, endpoint, key, layout, rewrite};

/// The two answers of a closed port (RFC 9293 section 3.10.7.1).
#[test]
fn a_segment_is_refused() {
    let v4 = |rest: &str| {
        format!("{IN} | vlan 7 | ip4 192.0.2.7 > 203.0.113.1 options 94040000 | {rest} | pad 90")
    };
    let v4_back = |rest: &str| format!("{BACK} | vlan 7 | ip4 203.0.113.1 > 192.0.2.7 df | {rest}");
    let v6 =
        |rest: &str| format!("{IN} | ip6 2001:db8::7 > 2001:db8:1::1 | dest-options 010400000000 | {rest}");
    let v6_back = |rest: &str| format!("{BACK} | ip6 2001:db8:1::1 > 2001:db8::7 | {rest}");
    for (before, after) in [
        // What acknowledges is reset at the number that it acknowledges.
        ("tcp 40000 > 80 A seq 9 ack 77", "tcp 80 > 40000 R seq 77 win 0"),
        ("tcp 40000 > 80 FPA seq 9 ack 77 | \"data\"", "tcp 80 > 40000 R seq 77 win 0"),
        // What does not is acknowledged whole: SYN and FIN count one each.
        ("tcp 40000 > 80 S seq 9 mss 1460", "tcp 80 > 40000 RA seq 0 ack 10 win 0"),
        ("tcp 40000 > 80 S seq 4294967295 | \"data\"", "tcp 80 > 40000 RA seq 0 ack 4 win 0"),
        ("tcp 40000 > 80 F seq 9 | \"data\"", "tcp 80 > 40000 RA seq 0 ack 14 win 0"),
        ("tcp 40000 > 80 - seq 9", "tcp 80 > 40000 RA seq 0 ack 9 win 0"),
    ] {
        let refuse = |frame: &mut Frame<'_>, layout: &Layout| tcp::refuse(frame, layout).ok_or(());
        assert_eq!(changed(&v4(before), refuse), Ok(canonical(&v4_back(after))));
        assert_eq!(changed(&v6(before), refuse), Ok(canonical(&v6_back(after))));
    }
}

#[test]
fn what_is_not_refused() {
    let refuse = |frame: &mut Frame<'_>, layout: &Layout| tcp::refuse(frame, layout).ok_or(());
    for rest in ["tcp 1 > 2 R seq 9", "tcp 1 > 2 RA seq 9 ack 1", "udp 1 > 2 | bytes 40"] {
        let text = format!("{IN} | ip4 192.0.2.7 > 203.0.113.1 | {rest}");
        assert_eq!(changed(&text, refuse), Err(()), "{rest}");
    }
    let segment = "ip4 192.0.2.7 > 203.0.113.1 | tcp 1 > 2 S seq 9";
    let broadcast = format!("eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff | {segment}");
    assert_eq!(changed(&broadcast, refuse), Err(()));
    for part in [Part::First, Part::Later] {
        let result =
            changed(&format!("{IN} | {segment}"), |frame, layout| refuse(frame, &Layout { part, ..*layout }));
        assert_eq!(result, Err(()));
    }
}

/// A flow that idles out: the client's reset is written as the client would send it, and the flow's rewrite
/// takes it to the member.
#[test]
fn a_reset_of_a_flow() {
    let (client, vip) = ("192.0.2.7:40000", "203.0.113.1:80");
    let of = key(client, vip, ip::TCP);
    let translate = Translate::new(&of, endpoint(client), endpoint("10.0.0.1:8080")).unwrap();
    let mut buffer = [0xaa; HEADROOM + 100];
    for (vlan, tag) in [(None, ""), (Some(7), "| vlan 7")] {
        for (ack, field) in [(None, "R seq 5"), (Some(6), "RA seq 5 ack 6")] {
            let mut frame = Frame::new(&mut buffer, HEADROOM, HEADROOM);
            let written = tcp::reset(&mut frame, &of, vlan, 5, ack).unwrap();
            assert_eq!(written, layout(frame.bytes()));
            rewrite(Change::Translate(translate)).apply(&mut frame, &written).unwrap();
            let after =
                format!("{OUT} {tag} | ip4 192.0.2.7 > 10.0.0.1 ttl 63 df | tcp 40000 > 8080 {field} win 0");
            assert_eq!(write(frame.bytes()), canonical(&after));
        }
    }
    let of = key("[2001:db8::7]:40000", "[2001:db8:1::1]:80", ip::TCP);
    let mut frame = Frame::new(&mut buffer, HEADROOM, HEADROOM);
    assert_eq!(tcp::reset(&mut frame, &of, None, 5, None), Some(layout(frame.bytes())));
    let after = "ip6 2001:db8::7 > 2001:db8:1::1 | tcp 40000 > 80 R seq 5 win 0";
    assert_eq!(write(&frame.bytes()[14..]), write(&read(&format!("{IN} | {after}")).unwrap()[14..]));
    let mixed = key("192.0.2.7:1", "[2001:db8:1::1]:80", ip::TCP);
    assert_eq!(tcp::reset(&mut Frame::new(&mut buffer, 0, 0), &mixed, None, 5, None), None);
    assert_eq!(tcp::reset(&mut Frame::new(&mut buffer[..73], 0, 0), &of, None, 5, None), None);
}

#[test]
fn the_maximum_segment_size_is_lowered() {
    let syn = |rest: &str| format!("{IN} | ip4 192.0.2.7 > 203.0.113.1 | tcp 40000 > 80 {rest}");
    for (before, after) in [
        ("S mss 1460", Some("S mss 1400")),
        ("SA ack 1 mss 9000 | \"early data\"", Some("SA ack 1 mss 1400 | \"early data\"")),
        // At an odd offset, behind one of no operation.
        ("S options 01020405b401010100", Some("S options 010204057801010100")),
        // Behind timestamps.
        ("S options 080a0000000100000002020405b4", Some("S options 080a000000010000000202040578")),
        ("S mss 1400", None),
        ("S mss 536", None),
        ("A ack 1 mss 1460", None),
        ("S", None),
        ("S options 00020405b4000000", None),
        // Lengths that lead nowhere.
        ("S options 0800020405b40000", None),
        ("S options 0801020405b40000", None),
        ("S options 01010204", None),
        ("S options 020305b4", None),
        ("S options 0101ff", None),
    ] {
        let clamp = |frame: &mut Frame<'_>, layout: &Layout| {
            if tcp::clamp_mss(frame.bytes_mut(), layout, 1400) { Ok(()) } else { Err(()) }
        };
        let expected = after.map(|after| canonical(&syn(after))).ok_or(());
        assert_eq!(changed(&syn(before), clamp), expected, "{before}");
    }
}

/// The clamp is part of the rewrite, also of one that encapsulates.
#[test]
fn a_rewrite_clamps() {
    let rewrite = Rewrite { mss: 1240, ..rewrite(Change::None) };
    let before = format!("{IN} | ip6 2001:db8::7 > 2001:db8:1::1 | tcp 40000 > 80 S mss 1440");
    let after = format!("{OUT} | ip6 2001:db8::7 > 2001:db8:1::1 hop 63 | tcp 40000 > 80 S mss 1240");
    assert_eq!(changed(&before, |frame, layout| rewrite.apply(frame, layout)), Ok(canonical(&after)));
}
