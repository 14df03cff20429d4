//! Text in HTTP fields, and text that is made without `format!`: what every rule
//! carries is kept small.

/// The value of a field as text; octets that are not UTF-8 become U+FFFD.
pub(crate) fn from_bytes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// How much of an authority is the host: all but the port. An IPv6 address keeps its
/// brackets (RFC 3986 section 3.2.2).
pub(crate) fn host_len(authority: &str) -> usize {
    match authority.rfind([':', ']']) {
        Some(at) if authority.as_bytes()[at] == b':' => at,
        _ => authority.len(),
    }
}

/// The value of a cookie in one `Cookie` field (RFC 6265 section 4.2.1).
pub(crate) fn cookie(field: &[u8], name: &str) -> Option<String> {
    field.split(|byte| *byte == b';').find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (own, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        if own != name.as_bytes() {
            return None;
        }
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(from_bytes(bare.unwrap_or(value).to_vec()))
    })
}

/// The parts in one. `concat` would bring the formatting of its own panic along.
pub(crate) fn join(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        text.push_str(part);
    }
    text
}

/// A number as text.
pub(crate) fn digits(number: u64) -> String {
    let mut text = if number > 9 { digits(number / 10) } else { String::new() };
    text.push(char::from(b'0' + (number % 10) as u8));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_rust_writes_them() {
        for number in [0, 7, 10, u64::MAX] {
            assert_eq!(digits(number), number.to_string());
        }
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let field = b"xid=0; id=7; theme=\"dark\";flag; empty=; id=8; eq=a=b";
        assert_eq!(cookie(field, "id").as_deref(), Some("7"));
        assert_eq!(cookie(field, "theme").as_deref(), Some("dark"));
        assert_eq!(cookie(field, "empty").as_deref(), Some(""));
        assert_eq!(cookie(field, "eq").as_deref(), Some("a=b"));
        assert_eq!(cookie(field, "flag"), None);
        assert_eq!(cookie(field, "ID"), None);
        assert_eq!(cookie(b"q=\"", "q").as_deref(), Some("\""), "one quote is part of the value");
    }

    #[test]
    fn the_host_of_an_authority() {
        for (authority, host) in [
            ("shop.example", "shop.example"),
            ("shop.example:8080", "shop.example"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("[2001:db8::1]:443", "[2001:db8::1]"),
            ("", ""),
        ] {
            assert_eq!(&authority[..host_len(authority)], host);
        }
    }

    #[test]
    fn octets_that_are_not_utf8_stay_visible() {
        assert_eq!(from_bytes(b"caf\xe9".to_vec()), "caf\u{fffd}");
        assert_eq!(from_bytes(b"cafe".to_vec()), "cafe");
    }
}
