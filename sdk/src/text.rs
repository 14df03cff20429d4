//! Text in HTTP fields, and text that is made without `format!`, to keep rules small.

use std::fmt;

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

/// A number as text.
pub(crate) fn signed_digits(number: i64) -> String {
    let digits = digits(number.unsigned_abs());
    if number < 0 { join(&["-", &digits]) } else { digits }
}

/// A value in a `format!` of a rule.
#[derive(Debug)]
pub struct Piece<'a, T: ?Sized>(pub &'a T);

/// Put without the formatting of the standard library.
pub trait Light {
    fn put(&self, text: &mut String);
}

/// Put as the type's `Display` says. One reference further away than [`Light`], so that the compiler takes this one
/// only where that one is missing.
pub trait Display {
    fn put(&self, text: &mut String);
}

impl<T: fmt::Display + ?Sized> Display for &Piece<'_, T> {
    fn put(&self, text: &mut String) {
        // Writing to a String cannot fail; a `Display` that fails by itself has put what it put.
        let _ = fmt::write(text, format_args!("{}", self.0));
    }
}

/// Implements [`Light`] by an expression that gives the text.
macro_rules! by_text {
    ($($type:ty: $value:ident => $text:expr;)*) => {$(
        impl Light for Piece<'_, $type> {
            fn put(&self, text: &mut String) {
                let $value = self.0;
                text.push_str($text);
            }
        }
    )*};
}

by_text! {
    str: value => value;
    &str: value => value;
    String: value => value;
    &String: value => value;
    bool: value => if *value { "true" } else { "false" };
    char: value => value.encode_utf8(&mut [0; 4]);
    u8: value => &digits((*value).into());
    u16: value => &digits((*value).into());
    u32: value => &digits((*value).into());
    u64: value => &digits(*value);
    usize: value => &digits(*value as u64);
    i8: value => &signed_digits((*value).into());
    i16: value => &signed_digits((*value).into());
    i32: value => &signed_digits((*value).into());
    i64: value => &signed_digits(*value);
    isize: value => &signed_digits(*value as i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a rule's methods have it.
    #[test]
    fn pieces_are_put_as_the_standard_library_would() {
        use crate::__rt::format as light;
        let (name, address) = ("web".to_owned(), std::net::Ipv4Addr::LOCALHOST);
        assert_eq!(light!("percent = {} is more than all", 101u8), "percent = 101 is more than all");
        assert_eq!(light!("{name}: {}, {}", name.as_str(), &name), "web: web, web");
        assert_eq!(light!("{}{}{}{}", i64::MIN, -7i8, 'é', true), format!("{}-7étrue", i64::MIN));
        assert_eq!(light!("{{{address}}} {}", 0.5), "{127.0.0.1} 0.5", "by their Display");
        assert_eq!(light!("{:?} {0}", 1), "1 1", "by the standard library");
        assert_eq!(light!("{}", if name == "web" { usize::MAX } else { 0 }), usize::MAX.to_string());
    }

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
