use proptest::prelude::*;

use super::packet::{Across, Half, Pair, Untranslatable};
use super::*;

fn address(text: &str) -> Address {
    text.parse::<std::net::IpAddr>().unwrap().into()
}

fn prefix(text: &str) -> Prefix {
    let (bits, length) = text.split_once('/').unwrap();
    Prefix::new(address(bits), length.parse().unwrap()).unwrap()
}

fn map(v4: &str, v6: &str) -> Map {
    Map { v4: prefix(v4), v6: prefix(v6) }
}

fn mapping(embedding: Option<&str>, maps: &[(&str, &str)], routers: &[(&str, &str)]) -> Mapping {
    let ranges: Vec<_> = routers.iter().map(|(first, last)| address(first)..=address(last)).collect();
    Mapping::new(
        embedding.map(|text| Embedding::new(prefix(text)).unwrap()),
        Maps::new(maps.iter().map(|(v4, v6)| map(v4, v6)).collect()).unwrap(),
        Routers::new(&ranges).unwrap(),
    )
}

fn pair(source: &str, destination: &str) -> Pair {
    Pair { source: address(source), destination: address(destination) }
}

/// The examples of RFC 6052 section 2.4.
#[test]
fn an_ipv4_address_behind_each_length_of_prefix() {
    for (text, expected) in [
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
        ("64:ff9b::/96", "64:ff9b::192.0.2.33"),
    ] {
        let mapping = mapping(Some(text), &[], &[]);
        assert_eq!(mapping.to_v6(address("192.0.2.33")), Some(address(expected)), "{text}");
        assert_eq!(mapping.to_v4(address(expected)), Some(address("192.0.2.33")), "{text}");
    }
}

#[test]
fn bits_behind_the_address_and_between_its_parts_are_not_looked_at() {
    let mapping = mapping(Some("2001:db8:122::/48"), &[], &[]);
    assert_eq!(mapping.to_v4(address("2001:db8:122:c000:ff02:21ff:ffff:ffff")), Some(address("192.0.2.33")));
    assert_eq!(mapping.to_v4(address("2001:db8:123:c000:2:2100::")), None);
}

#[test]
fn a_prefix_has_a_length_of_its_own_and_leaves_an_octet_zero() {
    for text in ["2001:db8::/33", "2001:db8::/31", "2001:db8::/128", "2001:db8:0:0:100::/96"] {
        assert_eq!(Embedding::new(prefix(text)), None, "{text}");
    }
    assert_eq!(Embedding::new(prefix("10.0.0.0/8")), None);
}

/// RFC 6052 section 3.1.
#[test]
fn private_addresses_are_not_behind_the_well_known_prefix() {
    let well_known = mapping(Some("64:ff9b::/96"), &[], &[]);
    let own = mapping(Some("64:ff9b:1::/96"), &[], &[]);
    for private in
        ["10.1.2.3", "172.31.0.1", "192.168.0.1", "127.0.0.1", "169.254.1.1", "100.64.0.1", "0.1.2.3"]
    {
        assert_eq!(well_known.to_v6(address(private)), None, "{private}");
        assert_eq!(well_known.to_v4(address(&format!("64:ff9b::{private}"))), None, "{private}");
        assert!(own.to_v6(address(private)).is_some(), "{private}");
    }
    assert!(well_known.to_v6(address("100.128.0.1")).is_some());
}

/// RFC 6052 section 5.1: what anybody can write behind a prefix is not always an address of a host.
#[test]
fn what_no_host_can_have_is_behind_no_prefix() {
    let own = mapping(Some("2001:db8:64::/96"), &[("0.0.0.0/0", "2001:db8:99::/96")], &[]);
    for illegal in ["127.0.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255"] {
        for prefix in ["2001:db8:64::", "2001:db8:99::"] {
            let v6 = format!("{prefix}{illegal}");
            assert_eq!(own.to_v4(address(&v6)), None, "{v6}");
            let sound = "2001:db8:64::198.51.100.1";
            for (source, destination) in [(&*v6, sound), (sound, &*v6)] {
                let found = own.packet(pair(source, destination), None, Half::First);
                assert_eq!(found, Err(Untranslatable::Illegal), "{source} > {destination}");
            }
            // Whoever says so, an error is worth hearing.
            let inner = Some(pair(sound, "2001:db8:64::198.51.100.2"));
            let error = own.packet(pair(&v6, sound), inner, Half::First).unwrap();
            assert_eq!(error.source, None, "{v6}");
        }
    }
}

#[test]
fn two_mappings_may_know_an_address_by_one_name_only() {
    let plain = mapping(Some("2001:db8:6464::/96"), &[], &[]);
    let same = mapping(Some("2001:db8:6464::/96"), &[("192.0.2.1/32", "2001:db8::1/128")], &[]);
    let apart = mapping(Some("2001:db8:65::/96"), &[("192.0.2.1/32", "2001:db8::2/128")], &[]);
    let wider = mapping(Some("2001:db8::/32"), &[], &[]);
    let shadow = mapping(Some("2001:db8:6464::/96"), &[("192.0.2.9/32", "2001:db8:6464::c000:201/128")], &[]);
    let moved = mapping(None, &[("192.0.3.0/24", "2001:db8::/120")], &[]);
    let agreed = mapping(None, &[("192.0.2.0/24", "2001:db8::/120")], &[]);
    let deep = mapping(None, &[("10.0.0.0/8", "2001:db8:9::/104")], &[]);
    let half =
        mapping(None, &[("10.0.0.0/9", "2001:db8:9::/105"), ("11.0.0.0/9", "2001:db8:9::80:0/105")], &[]);
    for (one, other, expected) in [
        (&plain, &plain, false),
        (&plain, &same, false),
        (&same, &apart, false),
        (&plain, &wider, true),
        (&plain, &shadow, true),
        (&same, &moved, true),
        (&same, &agreed, false),
        (&moved, &agreed, true),
        (&deep, &half, true),
    ] {
        for (one, other) in [(one, other), (other, one)] {
            let found = one.at_odds(other);
            assert_eq!(found.is_some(), expected, "{one:?} {other:?}: {found:?}");
            if let Some(address) = found {
                assert_ne!(one.to_v4(address), other.to_v4(address));
            }
        }
    }
}

/// The table of RFC 7757 section 3.1 and the addresses of section 3.4.
#[test]
fn explicit_maps_with_suffixes_of_every_kind() {
    let mapping = mapping(
        None,
        &[
            ("192.0.2.1/32", "2001:db8:aaaa::/128"),
            ("192.0.2.2/32", "2001:db8:bbbb::b/128"),
            ("192.0.2.16/28", "2001:db8:cccc::/124"),
            ("192.0.2.128/26", "2001:db8:dddd::/64"),
            ("192.0.2.192/29", "2001:db8:eeee:8::/62"),
            ("192.0.2.224/31", "64:ff9b::/127"),
        ],
        &[],
    );
    for (v4, v6) in [
        ("192.0.2.1", "2001:db8:aaaa::"),
        ("192.0.2.2", "2001:db8:bbbb::b"),
        ("192.0.2.16", "2001:db8:cccc::"),
        ("192.0.2.24", "2001:db8:cccc::8"),
        ("192.0.2.31", "2001:db8:cccc::f"),
        ("192.0.2.128", "2001:db8:dddd::"),
        ("192.0.2.152", "2001:db8:dddd:0:6000::"),
        ("192.0.2.183", "2001:db8:dddd:0:dc00::"),
        ("192.0.2.191", "2001:db8:dddd:0:fc00::"),
        ("192.0.2.193", "2001:db8:eeee:8:8000::"),
        ("192.0.2.197", "2001:db8:eeee:a:8000::"),
        ("192.0.2.199", "2001:db8:eeee:b:8000::"),
        ("192.0.2.224", "64:ff9b::"),
        ("192.0.2.225", "64:ff9b::1"),
    ] {
        assert_eq!(mapping.to_v6(address(v4)), Some(address(v6)), "{v4}");
        assert_eq!(mapping.to_v4(address(v6)), Some(address(v4)), "{v6}");
    }
    assert_eq!(mapping.to_v6(address("192.0.2.3")), None);
    assert_eq!(mapping.to_v4(address("2001:db8:bbbb::c")), None);
    assert_eq!(mapping.to_v4(address("2001:db8:dddd:0:6000::7")), Some(address("192.0.2.152")));
}

#[test]
fn the_longest_prefix_decides_in_either_direction_and_a_map_before_the_embedding() {
    let mapping = mapping(
        Some("2001:db8:ff::/96"),
        &[
            ("0.0.0.0/0", "2001:db8:1::/96"),
            ("198.51.100.0/24", "2001:db8:2::/120"),
            ("198.51.100.7/32", "2001:db8:2::80/128"),
        ],
        &[],
    );
    for (v4, v6) in [
        ("10.0.0.1", "2001:db8:1::a00:1"),
        ("198.51.100.9", "2001:db8:2::9"),
        ("198.51.100.7", "2001:db8:2::80"),
    ] {
        assert_eq!(mapping.to_v6(address(v4)), Some(address(v6)), "{v4}");
        assert_eq!(mapping.to_v4(address(v6)), Some(address(v4)), "{v6}");
    }
    assert_eq!(mapping.to_v4(address("2001:db8:ff::a00:1")), Some(address("10.0.0.1")));
}

#[test]
fn maps_that_cannot_be() {
    let maps = |maps: &[(&str, &str)]| Maps::new(maps.iter().map(|(v4, v6)| map(v4, v6)).collect());
    let unfit = |it: &[(&str, &str)]| maps(it).err();
    assert_eq!(unfit(&[("10.0.0.0/8", "2001:db8::/105")]), Some(Unfit::Suffix(0)));
    assert_eq!(unfit(&[("10.0.0.0/8", "2001:db8::/104")]), None);
    assert_eq!(unfit(&[("2001:db8::/96", "2001:db8::/96")]), Some(Unfit::Families(0)));
    assert_eq!(unfit(&[("10.0.0.0/8", "11.0.0.0/8")]), Some(Unfit::Families(0)));
    let twice = [("10.0.0.1/32", "2001:db8::1/128"), ("10.0.0.1/32", "2001:db8::2/128")];
    assert_eq!(unfit(&twice), Some(Unfit::Twice(0, 1)));
    let twice = [("10.0.0.1/32", "2001:db8::1/128"), ("10.0.0.2/32", "2001:db8::1/128")];
    assert_eq!(unfit(&twice), Some(Unfit::Twice(0, 1)));
}

#[test]
fn a_packet_needs_both_addresses() {
    let mapping = mapping(Some("2001:db8:ff::/96"), &[("192.0.2.1/32", "2001:db8::1/128")], &[]);
    let found = mapping.packet(pair("2001:db8::1", "2001:db8:ff::198.51.100.1"), None, Half::First).unwrap();
    let expected = Across {
        source: Some(address("192.0.2.1")),
        destination: address("198.51.100.1"),
        inner: None,
        hairpin: false,
    };
    assert_eq!(found, expected);
    for (source, destination, why) in [
        ("2001:db8::2", "2001:db8:ff::198.51.100.1", Untranslatable::Source),
        ("2001:db8::1", "2001:db8::2", Untranslatable::Destination),
        ("::1", "2001:db8:ff::198.51.100.1", Untranslatable::Illegal),
        ("127.0.0.1", "192.0.2.1", Untranslatable::Illegal),
        ("0.0.0.0", "192.0.2.1", Untranslatable::Illegal),
        ("192.0.2.9", "224.0.0.1", Untranslatable::Illegal),
    ] {
        assert_eq!(mapping.packet(pair(source, destination), None, Half::First), Err(why), "{source}");
    }
}

/// RFC 6791 section 3, RFC 7915 section 4.1.
#[test]
fn a_router_without_address_is_stood_in_for_only_in_errors() {
    let mapping = mapping(
        Some("2001:db8:ff::/96"),
        &[("192.0.2.1/32", "2001:db8::1/128")],
        &[("203.0.113.1", "203.0.113.2"), ("203.0.113.9", "203.0.113.9")],
    );
    let inner = Some(pair("2001:db8:ff::198.51.100.1", "2001:db8::1"));
    let mut seen = std::collections::BTreeSet::new();
    for host in 0..100 {
        let outer = pair(&format!("2001:db8:9::{host}"), "2001:db8:ff::198.51.100.1");
        let found = mapping.packet(outer, inner, Half::First).unwrap();
        assert_eq!(found, mapping.packet(outer, inner, Half::First).unwrap());
        assert_eq!(found.inner, Some(pair("198.51.100.1", "192.0.2.1")));
        seen.insert(found.source.unwrap().to_string());
    }
    assert_eq!(Vec::from_iter(seen), ["203.0.113.1", "203.0.113.2", "203.0.113.9"]);
    let loopback =
        mapping.packet(pair("127.0.0.1", "192.0.2.1"), Some(pair("192.0.2.1", "198.51.100.1")), Half::First);
    assert_eq!(loopback.unwrap().source, Some(address("2001:db8:ff::127.0.0.1")));
    assert_eq!(Routers::default().stand_in(address("2001:db8::9")), None);
}

/// RFC 7757 appendix B.1 and section 4.2.2: there and back over both halves.
#[test]
fn two_mapped_hosts_speak_through_the_embedding() {
    let mapping = mapping(
        Some("64:ff9b:1::/96"),
        &[("192.0.2.1/32", "2001:db8:a::1/128"), ("192.0.2.2/32", "2001:db8:b::1/128")],
        &[("203.0.113.1", "203.0.113.1")],
    );
    let turn = |outer: Pair, inner: Option<Pair>| {
        let half = mapping.packet(outer, inner, Half::First).unwrap();
        assert!(half.hairpin);
        let outer = Pair { source: half.source.unwrap(), destination: half.destination };
        let whole = mapping.packet(outer, half.inner, Half::Hairpin).unwrap();
        assert!(!whole.hairpin);
        (Pair { source: whole.source.unwrap(), destination: whole.destination }, whole.inner)
    };
    let there = turn(pair("2001:db8:a::1", "64:ff9b:1::192.0.2.2"), None);
    assert_eq!(there, (pair("64:ff9b:1::192.0.2.1", "2001:db8:b::1"), None));
    let back = turn(pair("2001:db8:b::1", "64:ff9b:1::192.0.2.1"), None);
    assert_eq!(back, (pair("64:ff9b:1::192.0.2.2", "2001:db8:a::1"), None));
    // An error about what came there: by the host itself, and by a router without an address.
    for (source, seen) in
        [("2001:db8:b::1", "64:ff9b:1::192.0.2.2"), ("2001:db8:9::9", "64:ff9b:1::203.0.113.1")]
    {
        let (outer, inner) = turn(pair(source, "64:ff9b:1::192.0.2.1"), Some(there.0));
        assert_eq!(outer, pair(seen, "2001:db8:a::1"));
        assert_eq!(inner, Some(pair("2001:db8:a::1", "64:ff9b:1::192.0.2.2")), "what it had sent");
    }
}

proptest! {
    #[test]
    fn an_embedded_address_comes_back(bits: u32, which in 0usize..6, high: u128) {
        let length = LENGTHS[which];
        let high = (high | 1 << 127) & !(0xff << 56);
        let prefix = Prefix::new(std::net::Ipv6Addr::from_bits(high).into(), length).unwrap();
        let embedding = Embedding::new(prefix).unwrap();
        let embedded = embedding.embed(v4(bits)).unwrap();
        prop_assert!(prefix.contains(embedded));
        prop_assert_eq!(v6_bits(embedded).unwrap() >> 56 & 0xff, 0);
        prop_assert_eq!(embedding.extract(embedded), Some(v4(bits)));
    }

    #[test]
    fn a_mapped_address_comes_back(bits: u32, v4_length in 0u8..=32, high: u128, more in 0u8..=96) {
        let v6_length = more.min(96 + v4_length);
        let v4_prefix = Prefix::new(v4(bits), v4_length).unwrap();
        let v6_prefix = Prefix::new(std::net::Ipv6Addr::from_bits(high | 1 << 127).into(), v6_length.max(1)).unwrap();
        let maps = Maps::new(vec![Map { v4: v4_prefix, v6: v6_prefix }]).unwrap();
        let mapped = maps.to_v6(v4(bits)).unwrap();
        prop_assert!(v6_prefix.contains(mapped));
        prop_assert_eq!(maps.to_v4(mapped), Some(v4(bits)));
    }
}
