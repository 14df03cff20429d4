//! Keys as operators see and write them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What stands before the prefix of the keys' owner.
const PREFIX: usize = 8;

/// What a key is of, and what it says.
///
/// A key of 16 octets is an address, one of 18 an address and a port, one of 17 the digest of a session: that is how they are
/// made. One of a rule that has such a length and is no text is shown as one of these, too.
#[must_use]
pub fn shown(key: &[u8]) -> (Option<[u8; PREFIX]>, String) {
    let Some((prefix, rest)) = key.split_first_chunk::<PREFIX>() else { return (None, hex(key)) };
    let text = match rest {
        text if !text.is_empty() && text.iter().all(|byte| matches!(byte, b' '..=b'~')) => {
            String::from_utf8_lossy(text).into_owned()
        }
        [digest @ .., 0] if digest.len() == 16 => format!("session:{}", digits(digest)),
        octets if octets.len() == 16 => address(octets).to_string(),
        [octets @ .., high, low] if octets.len() == 16 => {
            SocketAddr::new(address(octets), u16::from_be_bytes([*high, *low])).to_string()
        }
        other => hex(other),
    };
    (Some(*prefix), text)
}

/// What a text may mean, behind the prefix: what it is the form of, the text itself, and a session that is called so.
#[must_use]
pub fn meanings(text: &str, digest: impl Fn(&[u8]) -> [u8; 16]) -> Vec<Vec<u8>> {
    let octets = |address: IpAddr| shunt_wire::Address::from(address).octets();
    let mut all = vec![text.as_bytes().to_vec(), [&digest(text.as_bytes())[..], &[0]].concat()];
    if let Ok(address) = text.parse::<IpAddr>() {
        all.push(octets(address).to_vec());
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        all.push([&octets(socket.ip())[..], &socket.port().to_be_bytes()].concat());
    }
    if let Some(digest) = text.strip_prefix("session:").and_then(bytes).filter(|it| it.len() == 16) {
        all.push([&digest[..], &[0]].concat());
    }
    all.extend(text.strip_prefix("0x").and_then(bytes));
    all
}

fn address(octets: &[u8]) -> IpAddr {
    let octets = <[u8; 16]>::try_from(octets).unwrap_or_default();
    shunt_wire::Address::from(IpAddr::from(Ipv6Addr::from(octets))).to_ip()
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", digits(bytes))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok().filter(|it| it.len() == 2 && !it.starts_with('+'))?;
        u8::from_str_radix(pair, 16).ok()
    };
    digits.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persistence::{Key, PersistenceTable, Source, key_prefix};
    use proptest::prelude::*;

    const DIGEST: [u8; 16] = [0xab; 16];

    #[test]
    fn each_kind_of_key_is_shown_in_its_way() {
        let prefix = key_prefix("v");
        let source = |client: &str, port| {
            Source { port, ..Source::ADDRESS }.key(prefix, client.parse().unwrap(), None)
        };
        let rule = |key: &[u8]| Key::of_rule(prefix, key, None);
        for (key, expected) in [
            (source("192.0.2.1:5", false), "192.0.2.1"),
            (source("[2001:db8::1]:5", false), "2001:db8::1"),
            (source("192.0.2.1:5", true), "192.0.2.1:5"),
            (source("[2001:db8::1]:5", true), "[2001:db8::1]:5"),
            (Key::of_session(prefix, DIGEST, None), "session:abababababababababababababababab"),
            (rule(b"user 42"), "user 42"),
            (rule(b"0123456789abcdef"), "0123456789abcdef"),
            (rule(b"a\x1b[31m"), "0x611b5b33316d"),
            (rule(b""), "0x"),
        ] {
            assert_eq!(shown(key.bytes()), (Some(prefix), expected.to_owned()));
            assert!(meanings(expected, |_| [0; 16]).contains(&key.bytes()[8..].to_vec()), "{expected}");
        }
        assert_eq!(shown(b"short"), (None, "0x73686f7274".to_owned()));
    }

    #[test]
    fn a_session_is_found_by_what_it_is_called() {
        let table = PersistenceTable::<u8>::new(1, [1, 2]);
        let key = Key::of_session(key_prefix("v"), table.digest(b"ABC"), None);
        assert!(meanings("ABC", |text| table.digest(text)).contains(&key.bytes()[8..].to_vec()));
        assert!(!meanings("ABD", |text| table.digest(text)).contains(&key.bytes()[8..].to_vec()));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_found(rest in proptest::collection::vec(any::<u8>(), 0..40)) {
            let (_, text) = shown(&[&[7; 8], &rest[..]].concat());
            prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert!(meanings(&text, |_| [0; 16]).contains(&rest), "{}", text);
        }
    }
}
