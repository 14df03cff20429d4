//! IPv4 becomes IPv6 and the other way round, as RFC 7915 has it.

use shunt_wire::rewrite::{Change, Cross, Misfit};
use shunt_wire::{Rewrite, ip};

use crate::packets::{IN, OUT, canonical, changed, endpoint, key, rewrite};

const CLIENT: &str = "192.0.2.7:40000";
const VIP: &str = "203.0.113.1:80";
const CLIENT6: &str = "[2001:db8::7]:40000";
const MEMBER6: &str = "[2001:db8:2::1]:8080";

fn cross(source: &str, destination: &str, from: &str, to: &str, protocol: u8) -> Rewrite {
    let cross = Cross::new(&key(source, destination, protocol), endpoint(from), endpoint(to));
    rewrite(Change::Cross(cross.unwrap()))
}

#[test]
fn each_transport_both_ways() {
    let there = |protocol| cross(CLIENT, VIP, CLIENT6, MEMBER6, protocol);
    let back = |protocol| cross(MEMBER6, CLIENT6, VIP, CLIENT, protocol);
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
            cross("192.0.2.7:5", "203.0.113.1:0", "[2001:db8::7]:6", "[2001:db8:2::1]:0", ip::ICMP),
            "ip4 192.0.2.7 > 203.0.113.1 ttl 64 df | icmp4 echo-request id 5 seq 9 | hex 01",
            "ip6 2001:db8::7 > 2001:db8:2::1 hop 63 | icmp6 echo-request id 6 seq 9 | hex 01",
        ),
        (
            cross("[2001:db8:2::1]:0", "[2001:db8::7]:6", "203.0.113.1:0", "192.0.2.7:5", ip::ICMPV6),
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
    let there = cross(CLIENT, VIP, CLIENT6, MEMBER6, ip::UDP);
    let back = cross(MEMBER6, CLIENT6, VIP, CLIENT, ip::UDP);
    let hex = "00".repeat(1300);
    let v4 = |df| format!("{IN} | ip4 192.0.2.7 > 203.0.113.1 ttl 64{df} | udp 40000 > 80 | hex {hex}");
    let v6 = format!("{IN} | ip6 2001:db8:2::1 > 2001:db8::7 hop 64 | udp 8080 > 40000 | hex {hex}");
    for (text, rewrite, misfit) in [
        (v4(" df"), Rewrite { mtu: 1347, ..there }, Misfit::TooBig { mtu: 1327 }),
        (v4(""), there, Misfit::MustFragment),
        (v6.clone(), Rewrite { mtu: 1327, ..back }, Misfit::TooBig { mtu: 1347 }),
        (v6, Rewrite { mtu: 1000, ..back }, Misfit::TooBig { mtu: 1280 }),
    ] {
        assert_eq!(changed(&text, |frame, layout| rewrite.apply(frame, layout)), Err(misfit));
    }
    let fits = changed(&v4(" df"), |frame, layout| Rewrite { mtu: 1348, ..there }.apply(frame, layout));
    assert!(fits.is_ok());
}
