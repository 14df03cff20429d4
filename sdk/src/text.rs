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
pub(crate) fn cookie(field: &str, name: &str) -> Option<String> {
    field.split(';').find_map(|pair| {
        let (own, value) = pair.split_once('=')?;
        if own.trim_ascii() != name {
            return None;
        }
        let value = value.trim_ascii();
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        Some(bare.unwrap_or(value).to_owned())
    })
}

/// Adds the digits of a number.
pub(crate) fn push_number(text: &mut String, number: u64) {
    if number > 9 {
        push_number(text, number / 10);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_rust_writes_them() {
        for number in [0, 7, 10, u64::MAX] {
            let mut text = String::new();
            push_number(&mut text, number);
            assert_eq!(text, number.to_string());
        }
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let field = "xid=0; id=7; theme=\"dark\";flag; empty=; id=8; eq=a=b";
        assert_eq!(cookie(field, "id").as_deref(), Some("7"));
        assert_eq!(cookie(field, "theme").as_deref(), Some("dark"));
        assert_eq!(cookie(field, "empty").as_deref(), Some(""));
        assert_eq!(cookie(field, "eq").as_deref(), Some("a=b"));
        assert_eq!(cookie(field, "flag"), None);
        assert_eq!(cookie(field, "ID"), None);
        assert_eq!(cookie("q=\"", "q").as_deref(), Some("\""), "one quote is part of the value");
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
