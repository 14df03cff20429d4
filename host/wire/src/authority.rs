//! What a `Host` field and the authority of a request target may hold (RFC 9110 section 7.2, RFC 3986 section 3.2).

use core::net::Ipv6Addr;

/// Whether this is `uri-host [ ":" port ]`, without user information. An empty value is one, too: it stands
/// for a target without authority (RFC 9112 section 3.2).
#[must_use]
pub fn is_host(value: &[u8]) -> bool {
    let (host, port) = split_port(value);
    // RFC 3986 section 3.2.3 allows a port without digits. TCP has none above 65535.
    let sound = match port {
        Some(digits) => !host.is_empty() && is_port(digits),
        None => true,
    };
    sound
        && match host {
            [b'[', literal @ .., b']'] => is_ip_literal(literal),
            name => is_registered_name(name),
        }
}

/// The host, and what stands behind its colon. What is no host may be split anywhere.
#[must_use]
pub fn split_port(value: &[u8]) -> (&[u8], Option<&[u8]>) {
    // The colons of an IPv6 address stand in brackets.
    let literal = match value.first() {
        Some(b'[') => value.iter().position(|&byte| byte == b']').unwrap_or(value.len()),
        _ => 0,
    };
    match value[literal..].iter().position(|&byte| byte == b':') {
        Some(colon) => (&value[..literal + colon], Some(&value[literal + colon + 1..])),
        None => (value, None),
    }
}

fn is_port(digits: &[u8]) -> bool {
    let number = digits.iter().try_fold(0u32, |number, digit| {
        let number = 10 * number + u32::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        (number <= u32::from(u16::MAX)).then_some(number)
    });
    number.is_some()
}

/// RFC 3986 section 3.2.2. A zone of RFC 6874 belongs to one host and is no part of a request.
fn is_ip_literal(literal: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = literal {
        let Some(dot) = future.iter().position(|&byte| byte == b'.') else { return false };
        let (version, address) = (&future[..dot], &future[dot + 1..]);
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address.iter().all(|&byte| byte == b':' || NAME[usize::from(byte)]);
    }
    core::str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_registered_name(mut name: &[u8]) -> bool {
    loop {
        let Some(odd) = name.iter().position(|&byte| !NAME[usize::from(byte)]) else { return true };
        match &name[odd..] {
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                name = rest;
            }
            _ => return false,
        }
    }
}

/// RFC 3986 section 2: `unreserved` and `sub-delims`.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+,;=";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for host in [
            "",
            "h",
            "H.example",
            "h.",
            "h:",
            "h:0",
            "h:80",
            "h:00080",
            "h:65535",
            "under_score",
            "192.0.2.1:8080",
            "999.1.1.1",
            "a,b",
            "caf%C3%A9",
            "[::1]",
            "[::1]:",
            "[2001:db8::1]:8080",
            "[::ffff:192.0.2.1]",
            "[v1.fe80::a+en1]:80",
        ] {
            assert!(is_host(host.as_bytes()), "{host:?}");
        }
    }

    #[test]
    fn what_is_no_host() {
        for text in [
            "h:abc",
            "h:80:80",
            "h:+80",
            "h:-1",
            "h: 80",
            "h:80 ",
            "h:65536",
            "h:18446744073709551696",
            "[",
            "]",
            "[]",
            "[]:80",
            "[::1",
            "::1]",
            "::1",
            "1::",
            "2001:db8::1",
            ":80",
            ":",
            "::",
            "[::1]80",
            "[::1]x",
            "[::1]]",
            "[[::1]]",
            "[::1]:80:80",
            "[::1]:x",
            "[::1%25eth0]",
            "[fe80::1%eth0]",
            "[192.0.2.1]",
            "[h]",
            "[:::1]",
            "[v.x]",
            "[v1.]",
            "[vg.x]",
            "x[::1]",
            "a b",
            "user@h",
            "@h",
            "a/b",
            "/",
            "a?b",
            "a#b",
            "a\\b",
            "a\"b",
            "<h>",
            "{h}",
            "a|b",
            "a^b",
            "a`b",
            "a%",
            "a%4",
            "a%zz",
            "%",
            "caf\u{e9}",
            "a\tb",
            "a\0b",
            "a\x7fb",
            "http://h",
            "h/",
        ] {
            assert!(!is_host(text.as_bytes()), "{text:?}");
        }
        assert!(!is_host(b"a\xff"));
    }

    #[test]
    fn ports_are_split_off() {
        let split = |value: &'static str| split_port(value.as_bytes());
        assert_eq!(split("h"), (&b"h"[..], None));
        assert_eq!(split("h:"), (&b"h"[..], Some(&b""[..])));
        assert_eq!(split("[::1]:80"), (&b"[::1]"[..], Some(&b"80"[..])));
        assert_eq!(split("[::1]"), (&b"[::1]"[..], None));
    }
}
