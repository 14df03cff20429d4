//! The fields that both sides know from the beginning (RFC 7541 appendix A), by their index.

use http::header::{self, HeaderName};

/// The first is that of the index 1.
#[rustfmt::skip]
const FIELDS: [(&str, &str); LAST as usize] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];
/// The last index.
pub(super) const LAST: u8 = 61;

/// Those of the pseudo-fields of a request, where several stand for one name the first (RFC 9113 section 8.3.1).
pub(in crate::http) const AUTHORITY: u8 = 1;
pub(in crate::http) const METHOD: u8 = 2;
pub(in crate::http) const PATH: u8 = 4;
pub(in crate::http) const SCHEME: u8 = 6;
pub(super) const STATUS: u8 = 8;
/// The first of a field that is none of them.
const FIRST_FIELD: u8 = 15;

/// A name, and a value that may be empty; `None`: there is no such index.
pub(super) fn field(index: usize) -> Option<(&'static str, &'static str)> {
    FIELDS.get(index.checked_sub(1)?).copied()
}

/// The name of an index that there is.
pub(super) fn name(index: u8) -> &'static str {
    field(usize::from(index)).map_or("", |(name, _)| name)
}

/// The first index of the same name.
pub(super) fn first(index: u8) -> u8 {
    match index {
        METHOD..PATH => METHOD,
        PATH..SCHEME => PATH,
        SCHEME..STATUS => SCHEME,
        STATUS..FIRST_FIELD => STATUS,
        index => index,
    }
}

/// The first index of a name; 0: it has none.
pub(super) fn find(name: &[u8]) -> u8 {
    match name {
        b":authority" => AUTHORITY,
        b":method" => METHOD,
        b":path" => PATH,
        b":scheme" => SCHEME,
        b":status" => STATUS,
        b"accept-charset" => 15,
        b"accept-encoding" => 16,
        b"accept-language" => 17,
        b"accept-ranges" => 18,
        b"accept" => 19,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"authorization" => 23,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"cookie" => 32,
        b"date" => 33,
        b"etag" => 34,
        b"expect" => 35,
        b"expires" => 36,
        b"from" => 37,
        b"host" => 38,
        b"if-match" => 39,
        b"if-modified-since" => 40,
        b"if-none-match" => 41,
        b"if-range" => 42,
        b"if-unmodified-since" => 43,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"max-forwards" => 47,
        b"proxy-authenticate" => 48,
        b"proxy-authorization" => 49,
        b"range" => 50,
        b"referer" => 51,
        b"refresh" => 52,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"transfer-encoding" => 57,
        b"user-agent" => 58,
        b"vary" => 59,
        b"via" => 60,
        b"www-authenticate" => 61,
        _ => 0,
    }
}

/// The name of an index as fields have it; `None`: it is that of a pseudo-field.
pub(in crate::http) fn header_name(index: u8) -> Option<HeaderName> {
    static NAMES: [HeaderName; (LAST - FIRST_FIELD + 1) as usize] = [
        header::ACCEPT_CHARSET,
        header::ACCEPT_ENCODING,
        header::ACCEPT_LANGUAGE,
        header::ACCEPT_RANGES,
        header::ACCEPT,
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::AGE,
        header::ALLOW,
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONTENT_DISPOSITION,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::CONTENT_LOCATION,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::COOKIE,
        header::DATE,
        header::ETAG,
        header::EXPECT,
        header::EXPIRES,
        header::FROM,
        header::HOST,
        header::IF_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
        header::IF_UNMODIFIED_SINCE,
        header::LAST_MODIFIED,
        header::LINK,
        header::LOCATION,
        header::MAX_FORWARDS,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::RANGE,
        header::REFERER,
        header::REFRESH,
        header::RETRY_AFTER,
        header::SERVER,
        header::SET_COOKIE,
        header::STRICT_TRANSPORT_SECURITY,
        header::TRANSFER_ENCODING,
        header::USER_AGENT,
        header::VARY,
        header::VIA,
        header::WWW_AUTHENTICATE,
    ];
    NAMES.get(usize::from(index).checked_sub(usize::from(FIRST_FIELD))?).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_both_ways() {
        for index in 1..=LAST {
            let (name, _) = field(usize::from(index)).unwrap();
            let first = (1..=LAST).find(|it| self::name(*it) == name).unwrap();
            assert_eq!((find(name.as_bytes()), self::first(index)), (first, first), "{name}");
            assert_eq!(header_name(index).is_none(), name.starts_with(':'));
            if let Some(known) = header_name(index) {
                assert_eq!(known, name);
            }
        }
        assert_eq!(
            (field(0), field(62), find(b"x"), header_name(0), header_name(62)),
            (None, None, 0, None, None)
        );
    }
}
