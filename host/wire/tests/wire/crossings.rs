//! IPv4 becomes IPv6 and the other way round, as RFC 7915 has it.

use shunt_wire::fragment::cut;
use shunt_wire::frame::HEADROOM;
use shunt_wire::rewrite::{Change, FamilyTranslation};
use shunt_wire::{Frame, Hop, Rewrite, RewriteError, ip};

use crate::frame::{read, write};
use crate::packets::{IN, OUT, canonical, changed, endpoint, key, layout, rewrite};

const CLIENT: &str = "192.0.2.7:40000";
const VIP: &str = "203.0.113.1:80";
const CLIENT6: &str = "[2001:db8::7]:40000";
const MEMBER6: &str = "[2001:db8:2::1]:8080";

fn translate_family(source: &str, destination: &str, from: &str, to: &str, protocol: u8) -> Rewrite {
    let cross = FamilyTranslation::new(&key(source, destination, protocol), endpoint(from), endpoint(to));
    rewrite(Change::TranslateFamily(cross.unwrap()))
}

#[test]
fn each_transport_both_ways() {
    let there = |protocol| translate_family(CLIENT, VIP, CLIENT6, MEMBER6, protocol);
    let back = |protocol| translate_family(MEMBER6, CLIENT6, VIP, CLIENT, protocol);
    for (rewrite, before, after) in [
        (
            there(ip::TCP),
            "ip4 192.0.2.7 > 203.0.113.1 ttl 64 tos 185 id 7 df | tcp 40000 > 80 S seq 1",
            "ip6 2001:db8::7 > 2001:db8:2::1 hop 63 class 185 | tcp 40000 > 8080 S seq 1",
        ),
        (
            there(ip::UDP),
            "ip4 192.0.2.7 > 203.0.113.1 ttl 64 tos 185 id 7 | udp 40000 > 80 | hex 010203",
            "ip6 2001:db8::7 > 2001:db8:2::1 hop 63 class 185 | udp 40000 > 8080 | hex 010203",
        ),
        // Options are left out, and a checksum is made where there was none.
        (
            there(ip::UDP),
            "ip4 192.0.2.7 > 203.0.113.1 ttl 64 options 94040000 | udp 40000 > 80 no-checksum | hex 010203",
            "ip6 2001:db8::7 > 2001:db8:2::1 hop 63 | udp 40000 > 8080 | hex 010203",
        ),
        (
            translate_family(
                "192.0.2.7:5",
                "203.0.113.1:0",
                "[2001:db8::7]:6",
                "[2001:db8:2::1]:0",
                ip::ICMP,
            ),
            "ip4 192.0.2.7 > 203.0.113.1 ttl 64 df | icmp4 echo-request id 5 seq 9 | hex 01",
            "ip6 2001:db8::7 > 2001:db8:2::1 hop 63 | icmp6 echo-request id 6 seq 9 | hex 01",
        ),
        (
            translate_family(
                "[2001:db8:2::1]:0",
                "[2001:db8::7]:6",
                "203.0.113.1:0",
                "192.0.2.7:5",
                ip::ICMPV6,
            ),
            "ip6 2001:db8:2::1 > 2001:db8::7 hop 64 class 3 flow 9 | icmp6 echo-reply id 6 seq 9 | hex 01",
            "ip4 203.0.113.1 > 192.0.2.7 ttl 63 tos 3 | icmp4 echo-reply id 5 seq 9 | hex 01",
        ),
        (
            back(ip::TCP),
            "ip6 2001:db8:2::1 > 2001:db8::7 hop 64 class 185 flow 7 | tcp 8080 > 40000 SA seq 1 ack 2",
            "ip4 203.0.113.1 > 192.0.2.7 ttl 63 tos 185 | tcp 80 > 40000 SA seq 1 ack 2",
        ),
        // Extension headers are left out.
        (
            back(ip::UDP),
            "ip6 2001:db8:2::1 > 2001:db8::7 hop 64 | hop-by-hop 050200000100 | udp 8080 > 40000 | hex 01",
            "ip4 203.0.113.1 > 192.0.2.7 ttl 63 | udp 80 > 40000 | hex 01",
        ),
    ] {
        for vlan in ["", "vlan 9 | "] {
            let result =
                changed(&format!("{IN} | {vlan}{before}"), |frame, layout| rewrite.apply(frame, layout));
            assert_eq!(result.map(unidentified), Ok(canonical(&format!("{OUT} | {vlan}{after}"))));
        }
    }
}

/// The text without the identification, which the translator is free to choose.
fn unidentified(text: String) -> String {
    let Some((before, rest)) = text.split_once(" id ").filter(|(before, _)| !before.contains("icmp")) else {
        return text;
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{rest}")
}

#[test]
fn what_does_not_fit_is_said_in_terms_of_what_came() {
    let there = translate_family(CLIENT, VIP, CLIENT6, MEMBER6, ip::UDP);
    let back = translate_family(MEMBER6, CLIENT6, VIP, CLIENT, ip::UDP);
    let hex = "00".repeat(1300);
    let v4 = |df| format!("{IN} | ip4 192.0.2.7 > 203.0.113.1 ttl 64{df} | udp 40000 > 80 | hex {hex}");
    let v6 = format!("{IN} | ip6 2001:db8:2::1 > 2001:db8::7 hop 64 | udp 8080 > 40000 | hex {hex}");
    for (text, rewrite, error) in [
        (v4(" df"), Rewrite { mtu: 1347, ..there }, RewriteError::TooBig { mtu: 1327 }),
        (v4(""), there, RewriteError::MustFragment),
        (v6.clone(), Rewrite { mtu: 1327, ..back }, RewriteError::TooBig { mtu: 1347 }),
        (v6, Rewrite { mtu: 1000, ..back }, RewriteError::TooBig { mtu: 1280 }),
    ] {
        assert_eq!(changed(&text, |frame, layout| rewrite.apply(frame, layout)), Err(error));
    }
    let fits = changed(&v4(" df"), |frame, layout| Rewrite { mtu: 1348, ..there }.apply(frame, layout));
    assert!(fits.is_ok());
}

#[test]
fn refusals() {
    let there = translate_family(CLIENT, VIP, CLIENT6, MEMBER6, ip::UDP);
    let v4 = format!("{IN} | ip4 192.0.2.7 > 203.0.113.1 ttl 1 df | udp 40000 > 80");
    let v6 = format!("{IN} | ip6 2001:db8:2::1 > 2001:db8::7 | udp 8080 > 40000");
    for (text, rewrite, error) in [
        (&v4, there, RewriteError::HopLimit),
        // Of the family that it makes.
        (&v6, there, RewriteError::Mismatch),
    ] {
        assert_eq!(changed(text, |frame, layout| rewrite.apply(frame, layout)), Err(error));
        assert_eq!(
            changed(text, |frame, layout| rewrite.apply_to_cut(frame, layout).map(|_| ())),
            Err(error)
        );
    }
    assert!(changed(&v4, |frame, layout| Rewrite { hop: Hop::Keep, ..there }.apply(frame, layout)).is_ok());
    let plain = rewrite(Change::None);
    let result = changed(&v4, |frame, layout| plain.apply_to_cut(frame, layout).map(|_| ()));
    assert_eq!(result, Err(RewriteError::Mismatch), "only crossings are cut");

    // A buffer with less room in front than the headers grow.
    let mut bytes = read(&v4.replace("ttl 1", "ttl 9")).unwrap();
    let at = layout(&bytes);
    bytes.splice(0..0, [0; 19]);
    let end = bytes.len();
    assert_eq!(there.apply(&mut Frame::new(&mut bytes, 19, end), &at), Err(RewriteError::NoRoom));
}

#[test]
fn what_cannot_be_compiled() {
    let of = key(CLIENT, VIP, ip::TCP);
    let new = |of, source, destination| FamilyTranslation::new(&of, endpoint(source), endpoint(destination));
    assert_eq!(new(of, CLIENT, VIP), None);
    assert_eq!(new(of, CLIENT, MEMBER6), None);
    assert_eq!(new(of, CLIENT6, VIP), None);
    assert_eq!(new(key(CLIENT, MEMBER6, ip::TCP), CLIENT6, MEMBER6), None);
    let there = new(of, CLIENT6, MEMBER6).unwrap();
    assert_eq!((there.source(), there.destination()), (endpoint(CLIENT6), endpoint(MEMBER6)));
    assert_eq!(rewrite(Change::TranslateFamily(there)).overhead(), 20);
    let back = new(key(MEMBER6, CLIENT6, ip::TCP), VIP, CLIENT).unwrap();
    assert_eq!(rewrite(Change::TranslateFamily(back)).overhead(), -20);
}

#[test]
fn a_crossing_clamps() {
    let there = Rewrite { mss: 1440, ..translate_family(CLIENT, VIP, CLIENT6, MEMBER6, ip::TCP) };
    for (before, after) in [(1460, 1440), (1400, 1400)] {
        let before = format!("{IN} | ip4 192.0.2.7 > 203.0.113.1 ttl 64 | tcp 40000 > 80 S mss {before}");
        let after =
            format!("{OUT} | ip6 2001:db8::7 > 2001:db8:2::1 hop 63 | tcp 40000 > 8080 S mss {after}");
        let result = changed(&before, |frame, layout| there.apply(frame, layout));
        assert_eq!(result, Ok(canonical(&after)));
    }
}

#[test]
fn what_must_be_fragmented_is_cut() {
    let of = key(CLIENT, VIP, ip::UDP);
    let cross =
        FamilyTranslation::new(&of, endpoint(CLIENT6), endpoint(MEMBER6)).unwrap().with_lowest_ipv6_mtu(1400);
    let there = rewrite(Change::TranslateFamily(cross));
    let bytes = read(&format!(
        "{IN} | vlan 9 | ip4 192.0.2.7 > 203.0.113.1 ttl 64 id 7 | udp 40000 > 80 | bytes 1400"
    ));
    let bytes = bytes.unwrap();
    let mut buffer = [&[0; HEADROOM][..], &bytes].concat();
    let end = buffer.len();
    let mut frame = Frame::new(&mut buffer, HEADROOM, end);
    assert_eq!(there.apply(&mut frame, &layout(&bytes)), Err(RewriteError::MustFragment));
    let longest = there.apply_to_cut(&mut frame, &layout(&bytes)).unwrap();
    assert_eq!(longest, 1400);
    let mut first = Vec::new();
    cut(&mut frame, longest, |piece| first.push(write(piece))).unwrap();
    let ip = format!("{OUT} | vlan 9 | ip6 2001:db8::7 > 2001:db8:2::1 hop 63 | fragment id 7");
    assert_eq!(first.len(), 1);
    assert!(first[0].starts_with(&format!("{ip} mf")), "{first:?}");
    let rest: String = (1344..1400).map(|at| format!("{:02x}", at as u8)).collect();
    assert_eq!(write(frame.bytes()), canonical(&format!("{ip} off 1352 next 17 | hex {rest}")));
}

/// A router behind Shunt, about a packet that Shunt translated: the client hears it from the virtual server.
#[test]
fn an_error_on_its_way_to_the_client() {
    let back = translate_family(MEMBER6, CLIENT6, VIP, CLIENT, ip::TCP);
    let before = format!(
        "{IN} | ip6 2001:db8:9::9 > 2001:db8::7 hop 64 | icmp6 too-big mtu 1400 \
         | ip6 2001:db8::7 > 2001:db8:2::1 hop 60 | tcp 40000 > 8080 A seq 1 | bytes 1361"
    );
    let after = format!(
        "{OUT} | ip4 203.0.113.1 > 192.0.2.7 ttl 63 | icmp4 too-big mtu 1380 \
         | ip4 192.0.2.7 > 203.0.113.1 ttl 60 df | tcp 40000 > 80 A seq 1 | bytes 1361 | cut 548"
    );
    let result = changed(&before, |frame, layout| {
        let quoted = crate::packets::quoted_layout(frame.bytes(), layout);
        back.apply_to_error(frame, layout, &quoted)
    });
    assert_eq!(result.map(unidentified), Ok(canonical(&after)));
}
