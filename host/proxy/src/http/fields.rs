//! Header fields that belong to one connection, and those that a proxy adds.
//!
//! One pass over a head notes what has to be done; a head with nothing to remove costs only the pass.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;

use crate::http::problem::Problem;
use shunt_config::model::Forwarded;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What a request head asks of the connection that it came on.
#[derive(Debug, Default)]
pub(crate) struct Requested {
    /// It asks to switch protocols (RFC 9110 section 7.8).
    pub(crate) upgrade: bool,
}

/// What one pass over a head saw.
#[derive(Debug, Default)]
struct Seen {
    hosts: u32,
    /// One of them is no host.
    odd_host: bool,
    length: bool,
    connection: bool,
    keep_alive: bool,
    proxy_connection: bool,
    te: bool,
    transfer_encoding: bool,
    upgrade: bool,
    expect: bool,
    forwarding: bool,
}

fn look(headers: &HeaderMap) -> Seen {
    let mut seen = Seen::default();
    for (name, value) in headers {
        match *name {
            header::HOST => {
                seen.hosts += 1;
                seen.odd_host |= !value.as_bytes().iter().all(|&byte| is_host_byte(byte));
            }
            header::CONTENT_LENGTH => seen.length = true,
            header::CONNECTION => seen.connection = true,
            header::UPGRADE => seen.upgrade = true,
            header::TE => seen.te = true,
            header::TRANSFER_ENCODING => seen.transfer_encoding = true,
            header::EXPECT => seen.expect = true,
            header::FORWARDED => seen.forwarding = true,
            _ => match name.as_str() {
                "keep-alive" => seen.keep_alive = true,
                "proxy-connection" => seen.proxy_connection = true,
                "x-forwarded-for" | "x-forwarded-proto" => seen.forwarding = true,
                _ => {}
            },
        }
    }
    seen
}

impl Seen {
    /// Removes the fields that say something about one connection only (RFC 9110 section 7.6.1), and
    /// those that `Connection` names. `trailer` is not among them: it names end-to-end fields and is
    /// needed to send them on.
    fn remove_per_connection(&self, headers: &mut HeaderMap) {
        if self.connection {
            remove_nominated(headers);
        }
        for (seen, name) in [
            (self.connection, header::CONNECTION),
            (self.keep_alive, KEEP_ALIVE),
            (self.proxy_connection, PROXY_CONNECTION),
            (self.te, header::TE),
            (self.transfer_encoding, header::TRANSFER_ENCODING),
            (self.upgrade, header::UPGRADE),
        ] {
            if seen {
                headers.remove(name);
            }
        }
    }
}

/// Makes the fields of a request fit to send to a member, and says what else it asks for. `http_11`: that
/// is what the client speaks, and not HTTP/1.0.
///
/// # Errors
/// A head without a `Host` that HTTP/1.1 demands, with several, or with one that is no host
/// (RFC 9112 section 3.2).
pub(crate) fn prepare_request<'a>(
    headers: &mut HeaderMap,
    http_11: bool,
    policy: Forwarded,
    forwarding: impl FnOnce() -> &'a Forwarding,
) -> Result<Requested, Problem> {
    let seen = look(headers);
    match seen.hosts {
        0 if http_11 => return Err(Problem::BadRequest("no Host")),
        2.. => return Err(Problem::BadRequest("more than one Host")),
        _ => {}
    }
    if seen.odd_host {
        return Err(Problem::BadRequest("Host is not a host"));
    }

    let trailers_wanted = seen.te && lists(headers, &header::TE, "trailers");
    // A client of HTTP/1.0 cannot ask for it (RFC 9110 section 7.8).
    let upgrade = http_11 && seen.upgrade && lists(headers, &header::CONNECTION, "upgrade");
    let protocols = if upgrade { headers.get(header::UPGRADE).cloned() } else { None };
    seen.remove_per_connection(headers);
    if let Some(protocols) = protocols {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocols);
    } else if trailers_wanted {
        // Said anew for our own connection: what comes is passed on (RFC 9110 section 6.5.1).
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if seen.expect {
        // Shunt itself answers 100 when it begins to read the body, so the member is not asked again
        // (RFC 9110 section 10.1.1).
        headers.remove(header::EXPECT);
    }
    if policy != Forwarded::Off {
        forwarding().apply(headers, policy == Forwarded::Append && seen.forwarding);
    }
    Ok(Requested { upgrade })
}

/// Makes the fields of a member's response fit to send to a client. Framing is hyper's.
pub(crate) fn prepare_response(headers: &mut HeaderMap, switched: bool) {
    let seen = look(headers);
    if seen.length && (seen.transfer_encoding || !has_one_length(headers)) {
        // hyper decided on the length (RFC 9112 section 6.3) and says it anew where the body has one.
        headers.remove(header::CONTENT_LENGTH);
    }
    let protocol = if switched { headers.get(header::UPGRADE).cloned() } else { None };
    seen.remove_per_connection(headers);
    if let Some(protocol) = protocol {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
}

/// RFC 3986 section 3.2.2: reg-name, IP literals in brackets, and a port; never user information.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&byte)
}

/// Whether `Content-Length` is one number in one field (RFC 9110 section 8.6).
fn has_one_length(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let first = lengths.next().map(HeaderValue::as_bytes).unwrap_or_default();
    !first.is_empty() && first.iter().all(u8::is_ascii_digit) && lengths.next().is_none()
}

/// Whether a field that is a list of tokens has this one (RFC 9110 section 5.6.1).
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.as_bytes().split(|&byte| byte == b',').any(|item| {
            let item = item.split(|&byte| byte == b';').next().unwrap_or_default();
            item.trim_ascii().eq_ignore_ascii_case(token.as_bytes())
        })
    })
}

/// Removes the fields that `Connection` names. Fields that say where a message goes or how long it is
/// stay: naming them there is how one proxy's checks are undone for the next.
fn remove_nominated(headers: &mut HeaderMap) {
    let usual = |value: &HeaderValue| value == "keep-alive" || value == "close";
    if headers.get_all(header::CONNECTION).iter().all(usual) {
        return;
    }
    let nominated: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .filter(|name| {
            ![header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, header::TE]
                .contains(name)
        })
        .collect();
    for name in nominated {
        headers.remove(name);
    }
}

/// What a member is told of the client, made once per connection.
#[derive(Debug)]
pub(crate) struct Forwarding {
    /// `X-Forwarded-For`: the bare address.
    address: HeaderValue,
    /// `Forwarded` (RFC 7239): `for=…;proto=…`; an IPv6 address in brackets and quotes (section 6).
    element: HeaderValue,
    proto: HeaderValue,
}

impl Forwarding {
    pub(crate) fn new(client: IpAddr, tls: bool) -> Self {
        let proto = if tls { "https" } else { "http" };
        let client = client.to_canonical();
        let node = match client {
            IpAddr::V4(address) => format!("for={address};proto={proto}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\";proto={proto}"),
        };
        // Both are ASCII by construction.
        let value = |text: String| {
            HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
                .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
        };
        Forwarding {
            address: value(client.to_string()),
            element: value(node),
            proto: HeaderValue::from_static(proto),
        }
    }

    /// `append`: to what is there already.
    fn apply(&self, headers: &mut HeaderMap, append: bool) {
        if append {
            let for_ = joined(headers, &X_FORWARDED_FOR, &self.address);
            headers.insert(X_FORWARDED_FOR, for_);
            let element = joined(headers, &header::FORWARDED, &self.element);
            headers.insert(header::FORWARDED, element);
            // The first proxy knows what the client used.
            headers.entry(X_FORWARDED_PROTO).or_insert_with(|| self.proto.clone());
            return;
        }
        headers.insert(X_FORWARDED_FOR, self.address.clone());
        headers.insert(X_FORWARDED_PROTO, self.proto.clone());
        headers.insert(header::FORWARDED, self.element.clone());
    }
}

/// All values of a list field and one more, as one value.
fn joined(headers: &HeaderMap, name: &HeaderName, last: &HeaderValue) -> HeaderValue {
    let mut text = Vec::new();
    for value in headers.get_all(name) {
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b", ");
    }
    text.extend_from_slice(last.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).unwrap_or_else(|_| last.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    fn text(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    /// Prepares a request as it is, without a word about the client.
    fn prepare(headers: &mut HeaderMap, http_11: bool) -> Result<Requested, Problem> {
        prepare_request(headers, http_11, Forwarded::Off, || unreachable!("nobody is told"))
    }

    #[test]
    fn fields_of_one_connection_stay_on_it() {
        let mut headers = head(&[
            ("host", "a"),
            ("connection", "close, X-Secret, host"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
        ]);
        prepare(&mut headers, true).unwrap();
        assert_eq!(text(&headers), ["accept: */*", "host: a"]);
    }

    #[test]
    fn an_upgrade_is_asked_for_anew() {
        let mut headers =
            head(&[("host", "a"), ("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert!(prepare(&mut headers, true).unwrap().upgrade);
        assert_eq!(text(&headers), ["connection: upgrade", "host: a", "upgrade: websocket"]);

        // Without the connection option it is no request to switch (RFC 9110 section 7.8).
        let mut headers = head(&[("host", "a"), ("upgrade", "websocket")]);
        assert!(!prepare(&mut headers, true).unwrap().upgrade);
        assert_eq!(text(&headers), ["host: a"]);
    }

    #[test]
    fn trailers_are_asked_for_anew() {
        let mut headers = head(&[("host", "a"), ("te", "gzip;q=0.5, trailers"), ("connection", "te")]);
        prepare(&mut headers, true).unwrap();
        assert_eq!(text(&headers), ["connection: te", "host: a", "te: trailers"]);
    }

    #[test]
    fn hosts_are_checked() {
        let refused = |lines: &[(&str, &str)]| prepare(&mut head(lines), true).is_err();
        assert!(refused(&[]));
        assert!(refused(&[("host", "a"), ("host", "a")]));
        assert!(refused(&[("host", "a b")]));
        assert!(refused(&[("host", "user@a")]));
        assert!(refused(&[("host", "a/b")]));
        assert!(!refused(&[("host", "[2001:db8::1]:8080")]));
        assert!(prepare(&mut HeaderMap::new(), false).is_ok(), "HTTP/1.0 may leave it out");
    }

    #[test]
    fn what_a_client_claims_of_itself_is_replaced_or_kept() {
        let sent = [("host", "a"), ("x-forwarded-for", "10.0.0.1"), ("x-forwarded-for", "10.0.0.2")];
        let with = |policy, client: &str| {
            let mut headers = head(&sent);
            let forwarding = Forwarding::new(client.parse().unwrap(), true);
            prepare_request(&mut headers, true, policy, || &forwarding).unwrap();
            text(&headers)
        };
        assert_eq!(
            with(Forwarded::Replace, "192.0.2.7"),
            [
                "forwarded: for=192.0.2.7;proto=https",
                "host: a",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-proto: https"
            ]
        );
        assert_eq!(
            with(Forwarded::Append, "2001:db8::7"),
            [
                "forwarded: for=\"[2001:db8::7]\";proto=https",
                "host: a",
                "x-forwarded-for: 10.0.0.1, 10.0.0.2, 2001:db8::7",
                "x-forwarded-proto: https"
            ]
        );
        assert_eq!(
            with(Forwarded::Off, "192.0.2.7"),
            ["host: a", "x-forwarded-for: 10.0.0.1", "x-forwarded-for: 10.0.0.2"]
        );
        // A v4 client of a dual-stack listener is a v4 client.
        assert_eq!(with(Forwarded::Replace, "::ffff:192.0.2.7")[2], "x-forwarded-for: 192.0.2.7");
    }

    #[test]
    fn responses_lose_the_same_fields() {
        let mut headers = head(&[
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("content-length", "3"),
        ]);
        prepare_response(&mut headers, false);
        assert_eq!(text(&headers), ["content-length: 3"]);

        for lengths in [
            &[("content-length", "3"), ("transfer-encoding", "chunked")][..],
            &[("content-length", "3, 3")],
            &[("content-length", "3"), ("content-length", "3")],
        ] {
            let mut headers = head(lengths);
            prepare_response(&mut headers, false);
            assert!(headers.is_empty(), "{lengths:?}");
        }

        let mut headers = head(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        prepare_response(&mut headers, true);
        assert_eq!(text(&headers), ["connection: upgrade", "upgrade: websocket"]);
    }
}
