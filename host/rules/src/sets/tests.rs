use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn set(kind: SetKind, text: &str) -> Set {
    Set::build(kind, &SetLines::new("set.txt", text)).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(kind: SetKind, text: &str) -> String {
    Set::build(kind, &SetLines::new("set.txt", text)).unwrap_err().to_string()
}

/// What is found, as text: `entry=value`.
fn found(set: &Set, text: &str) -> String {
    set.find(text).map_or("none".to_owned(), |hit| format!("{}={}", hit.matched, hit.value))
}

#[test]
fn lines_have_an_entry_a_value_and_comments() {
    let set =
        set(SetKind::Exact, "# all\n\n/a  to /b#c  # a comment\r\n\t/b\n/c#d 1\n/e #1\n#/f\n/a to /b#c\n");
    assert_eq!(set.entries(), 5);
    assert_eq!(found(&set, "/a"), "/a=to /b#c");
    assert_eq!(found(&set, "/b"), "/b=");
    assert_eq!(found(&set, "/c#d"), "/c#d=1");
    assert_eq!(found(&set, "/e"), "/e=");
    for other in ["", "#/f", "/f", "/", "/aa", "/A"] {
        assert_eq!(found(&set, other), "none", "{other}");
    }
}

#[test]
fn the_longest_prefix_of_an_address_counts() {
    let set = set(
        SetKind::Addresses,
        "10.0.0.0/8 ten\n10.1.0.0/16 one\n10.1.2.3 host\n0.0.0.0/0 all\n2001:db8::/32 doc\n2001:db8::1\n\
         ::ffff:192.0.2.0/120 mapped\n255.255.255.255 last\n",
    );
    for (address, expected) in [
        ("10.1.2.3", "10.1.2.3/32=host"),
        ("10.1.2.4", "10.1.0.0/16=one"),
        ("10.2.0.0", "10.0.0.0/8=ten"),
        ("11.0.0.0", "0.0.0.0/0=all"),
        ("255.255.255.255", "255.255.255.255/32=last"),
        ("255.255.255.254", "0.0.0.0/0=all"),
        ("2001:db8::1", "2001:db8::1/128="),
        ("2001:db8::2", "2001:db8::/32=doc"),
        ("2001:db9::", "none"),
        ("::ffff:10.2.0.0", "10.0.0.0/8=ten"),
        ("192.0.2.9", "192.0.2.0/24=mapped"),
        ("shop.example", "none"),
    ] {
        assert_eq!(found(&set, address), expected, "{address}");
        let value = address.parse().ok().and_then(|address| set.value_of(address));
        assert_eq!(value, expected.split_once('=').map(|(_, value)| value), "{address}");
    }
}

#[test]
fn beginnings_and_ends_of_texts() {
    let paths = set(SetKind::Prefix, "/ root\n/a/ a\n/a/b/c deep\n/a/z z\n");
    for (text, expected) in [
        ("/a/b/c/d", "/a/b/c=deep"),
        ("/a/b/d", "/a/=a"),
        ("/a/y", "/a/=a"),
        ("/a/zz", "/a/z=z"),
        ("/a", "/=root"),
        ("a", "none"),
        ("", "none"),
    ] {
        assert_eq!(found(&paths, text), expected, "{text}");
    }
    let hosts = set(SetKind::Suffix, "example.com. c\nShop.Example.com shop\nexample\n");
    for (text, expected) in [
        ("shop.example.com", "shop.example.com=shop"),
        ("a.b.SHOP.example.com.", "shop.example.com=shop"),
        ("example.com", "example.com=c"),
        ("badexample.com", "none"),
        ("x.example", "example="),
        ("com", "none"),
        ("", "none"),
        (".", "none"),
    ] {
        assert_eq!(found(&hosts, text), expected, "{text}");
    }
    assert_eq!(found(&hosts, &"a".repeat(300)), "none");
}

#[test]
fn the_first_pattern_of_the_file_counts() {
    let agents = set(SetKind::Regex, "(?i)bot seen\n^curl/ tool\n(?i)googlebot google\n");
    assert_eq!(found(&agents, "Googlebot/2.1"), "(?i)bot=seen");
    assert_eq!(found(&agents, "curl/8"), "^curl/=tool");
    assert_eq!(found(&agents, "libcurl/8"), "none");
}

#[test]
fn a_set_may_be_empty() {
    for kind in [SetKind::Addresses, SetKind::Exact, SetKind::Prefix, SetKind::Suffix, SetKind::Regex] {
        let set = set(kind, "# nobody\n");
        assert_eq!((set.entries(), set.find("192.0.2.1")), (0, None), "{kind:?}");
    }
}

#[test]
fn every_line_that_is_wrong_is_told_with_what_to_write() {
    assert_eq!(
        refusal(
            SetKind::Addresses,
            "10.0.0.1/8\nshop\n\n10.0.0.0/8 a\n10.0.0.0/8 b\n10.0.0.0/8 a\n::1/129\n1.2.3.4/+8"
        ),
        "set.txt:1: \"10.0.0.1/8\" has bits behind its length; write 10.0.0.0/8, or the address alone\n\
         set.txt:2: \"shop\" is neither an address nor a prefix; write one such as 192.0.2.0/24 or 2001:db8::/32\n\
         set.txt:7: \"::1/129\" has no length after the `/`; write a number from 0 to 128\n\
         set.txt:8: \"1.2.3.4/+8\" has no length after the `/`; write a number from 0 to 32\n\
         set.txt:5: the prefix has another value in line 4; remove one of the lines"
    );
    assert_eq!(
        refusal(SetKind::Exact, "a 1\nb\na 2\n"),
        "set.txt:3: \"a\" has another value in line 1; remove one of the lines"
    );
    let hosts = refusal(SetKind::Suffix, "*.example.com\n.example\na..b\n");
    assert!(
        hosts.contains("set.txt:1: \"*.example.com\" is no host name; write example.com, which"),
        "{hosts}"
    );
    assert!(hosts.contains("set.txt:2:") && hosts.contains("set.txt:3: \"a..b\""), "{hosts}");
    let patterns = refusal(SetKind::Regex, "a(\n\\w{1000}{1000}\n");
    assert!(patterns.contains("set.txt:1: \"a(\" is no regular expression (unclosed group)"), "{patterns}");
    assert!(patterns.contains("set.txt:2: ") && patterns.contains("simpler"), "{patterns}");
    assert!(refusal(SetKind::Regex, &"a\n".repeat(257)).contains("more than 256 patterns"));
    let many = refusal(SetKind::Addresses, &"x\n".repeat(25));
    assert!(many.ends_with("set.txt: 5 more lines are wrong") && many.lines().count() == 21, "{many}");
    let error = Set::build(SetKind::Exact, &SetLines::new("set.txt", b"a\nb\xff\n")).unwrap_err();
    assert_eq!(error.to_string(), "set.txt:2: the line is not UTF-8 text; save the file as UTF-8");
}

#[test]
fn another_set_takes_the_place_of_the_one_in_force_or_none_does() {
    let live = LiveSet::build(SetKind::Exact, &SetLines::new("first", "a 1")).unwrap();
    let before = live.current();
    live.load(&SetLines::new("second", "b 2")).unwrap();
    assert_eq!((found(&before, "a"), found(&live.current(), "a")), ("a=1".to_owned(), "none".to_owned()));
    assert_eq!((live.current().source(), live.configured()), ("second", Digest::of(b"a 1")));
    live.load(&SetLines::new("third", "b 1\nb 2")).unwrap_err();
    assert_eq!(found(&live.current(), "b"), "b=2");
}

/// Addresses that lie close together, so that prefixes meet.
fn address() -> impl Strategy<Value = IpAddr> {
    let near = prop_oneof![Just(0_u32), Just(u32::MAX), 0_u32..64, any::<u32>()];
    (near, any::<bool>()).prop_map(|(bits, v4)| match v4 {
        true => IpAddr::from(Ipv4Addr::from_bits(bits.rotate_left(5))),
        false => IpAddr::from(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(bits) << 61)),
    })
}

fn network(address: IpAddr, len: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            Ipv4Addr::from_bits(v4.to_bits() & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)).into()
        }
        IpAddr::V6(v6) => {
            Ipv6Addr::from_bits(v6.to_bits() & u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0))
                .into()
        }
    }
}

proptest! {
    #[test]
    fn prefixes_equal_a_list_that_is_searched(
        prefixes in prop::collection::vec((address(), 0_u8..=128), 0..400),
        asked in prop::collection::vec(address(), 1..50),
    ) {
        let mut all = BTreeMap::new();
        for (index, (address, len)) in prefixes.into_iter().enumerate() {
            let len = if address.is_ipv4() { len % 33 } else { len };
            all.insert((network(address, len), len), index);
        }
        let lines: Vec<String> =
            all.iter().map(|((network, len), index)| format!("{network}/{len} {index}")).collect();
        let set = Set::build(SetKind::Addresses, &SetLines::of_list("set", &lines)).unwrap();
        for address in asked.into_iter().chain(all.keys().map(|(network, _)| *network)) {
            let holds = |(of, len): &&(IpAddr, u8)| {
                of.is_ipv4() == address.is_ipv4() && network(address, *len) == *of
            };
            let longest = all.keys().filter(holds).max_by_key(|(_, len)| *len);
            let expected = longest.map_or("none".to_owned(), |key @ (of, len)| format!("{of}/{len}={}", all[key]));
            prop_assert_eq!(found(&set, &address.to_string()), expected);
        }
    }

    #[test]
    fn texts_equal_a_list_that_is_searched(
        words in prop::collection::btree_set("[ab.]{1,6}", 0..60),
        asked in prop::collection::vec("[abAB.]{0,8}", 1..50),
    ) {
        let lines: Vec<String> = words.iter().enumerate().map(|(index, word)| format!("{word} {index}")).collect();
        let lines = SetLines::of_list("set", &lines);
        let (exact, prefix) =
            (Set::build(SetKind::Exact, &lines).unwrap(), Set::build(SetKind::Prefix, &lines).unwrap());
        let names: Vec<String> = words.iter().filter(|word| !word.split('.').any(str::is_empty)).cloned().collect();
        let suffix = Set::build(SetKind::Suffix, &SetLines::of_list("set", &names)).unwrap();
        let matched = |set: &Set, text: &str| set.find(text).map(|hit| hit.matched.into_owned());
        for text in &asked {
            prop_assert_eq!(matched(&exact, text), words.get(text).cloned());
            let longest = words.iter().filter(|word| text.starts_with(word.as_str())).max_by_key(|word| word.len());
            prop_assert_eq!(matched(&prefix, text), longest.cloned());
            let name = text.strip_suffix('.').unwrap_or(text).to_lowercase();
            let is_below = |word: &&String| name == **word || name.ends_with(&format!(".{word}"));
            let longest = names.iter().filter(is_below).max_by_key(|word| word.len());
            prop_assert_eq!(matched(&suffix, text), longest.cloned());
        }
    }

    #[test]
    fn any_lines_are_a_set_or_an_error(bytes: Vec<u8>) {
        for kind in [SetKind::Addresses, SetKind::Exact, SetKind::Prefix, SetKind::Suffix, SetKind::Regex] {
            let _ = Set::build(kind, &SetLines::new("set", bytes.clone()));
        }
    }
}
