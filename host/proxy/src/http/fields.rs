//! Header fields that belong to one connection, and those that a proxy adds.
//!
//! One pass over a head notes what has to be done; a head with nothing to remove costs only the pass.

mod client_certificate;
mod forwarding;
mod request_id;
mod told;
mod trailers;
mod upgrade;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use shunt_wire::authority::is_host;

use crate::http::problem::Problem;
use shunt_config::model::Forwarded;

use forwarding::Forwarding;
pub(crate) use request_id::{REQUEST_ID, identify};
pub(crate) use told::Told;
pub(crate) use trailers::prepare_trailers;
pub(crate) use upgrade::{asks_for_websocket, switches_to_http};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// What a request head asks of the connection that it came on.
#[derive(Debug, Default)]
pub(crate) struct Requested {
    /// It asks to switch protocols (RFC 9110 section 7.8).
    pub(crate) upgrade: bool,
    /// It takes trailers behind the answer (RFC 9110 section 6.5.1).
    pub(crate) trailers: bool,
    /// Fields that `Connection` named, which stay on its connection as trailers, too.
    pub(crate) nominated: Vec<HeaderName>,
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
    http2_settings: bool,
    forwarding: bool,
    /// A name of those that say something of the client's certificate.
    client_certificate: bool,
    /// A name that members may take for one of those that decide framing or say who the client is.
    look_alike: bool,
}

fn look(headers: &HeaderMap) -> Seen {
    let mut seen = Seen::default();
    for (name, value) in headers {
        match *name {
            header::HOST => {
                seen.hosts += 1;
                seen.odd_host |= !is_host(value.as_bytes());
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
                "http2-settings" => seen.http2_settings = true,
                "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" | "x-forwarded-port" => {
                    seen.forwarding = true;
                }
                other => {
                    seen.look_alike |= looks_alike(other, &LOOKED_FOR);
                    seen.client_certificate |= client_certificate::is_told(other);
                }
            },
        }
    }
    seen
}

/// Fields that decide framing.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];
/// Fields by which members know the client.
const VOUCHED_FOR: [&str; 4] =
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"];
const LOOKED_FOR: [&str; 6] =
    [FRAMING[0], FRAMING[1], VOUCHED_FOR[0], VOUCHED_FOR[1], VOUCHED_FOR[2], VOUCHED_FOR[3]];

/// Whether a name is one of these once every sign is the same: so members read it that turn names into variables
/// of an environment (RFC 3875 section 4.1.18), where `Content_Length` is `Content-Length`.
fn looks_alike(name: &str, known: &[&str]) -> bool {
    // Nearly every name differs by its length.
    matches!(name.len(), 14..=17)
        && known.iter().any(|known| {
            known.len() == name.len()
                && *known != name
                && name.bytes().zip(known.bytes()).all(|(byte, known)| match known {
                    b'-' => !byte.is_ascii_alphanumeric(),
                    letter => byte == letter,
                })
        })
}

/// Removes the fields that look like one of these.
#[cold]
fn remove_look_alikes(headers: &mut HeaderMap, known: &[&str]) {
    let names: Vec<_> = headers.keys().filter(|name| looks_alike(name.as_str(), known)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

impl Seen {
    fn has_per_connection(&self) -> bool {
        self.connection
            || self.keep_alive
            || self.proxy_connection
            || self.te
            || self.transfer_encoding
            || self.upgrade
            || self.http2_settings
    }

    /// Removes the fields that say something about one connection only (RFC 9110 section 7.6.1), and
    /// those that `Connection` names, which it returns. `trailer` is not among them: it names end-to-end
    /// fields and is needed to send them on.
    fn remove_per_connection(&self, headers: &mut HeaderMap) -> Vec<HeaderName> {
        if !self.has_per_connection() {
            // The names below are values that have to be made.
            return Vec::new();
        }
        let nominated = if self.connection { remove_nominated(headers) } else { Vec::new() };
        for (seen, name) in [
            (self.connection, header::CONNECTION),
            (self.keep_alive, KEEP_ALIVE),
            (self.proxy_connection, PROXY_CONNECTION),
            (self.te, header::TE),
            (self.transfer_encoding, header::TRANSFER_ENCODING),
            (self.upgrade, header::UPGRADE),
            (self.http2_settings, HTTP2_SETTINGS),
        ] {
            if seen {
                headers.remove(name);
            }
        }
        nominated
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
        return Err(Problem::BadRequest("Host is not a valid host"));
    }
    if seen.client_certificate {
        client_certificate::remove(headers);
    }
    if seen.look_alike {
        // With `off` what a client says of itself is passed on as it is.
        remove_look_alikes(headers, if policy == Forwarded::Off { &FRAMING } else { &LOOKED_FOR });
    }

    let trailers_wanted = seen.te && lists(headers, &header::TE, "trailers");
    // A client of HTTP/1.0 cannot ask for it (RFC 9110 section 7.8).
    let upgrade = http_11 && seen.upgrade && lists(headers, &header::CONNECTION, "upgrade");
    let protocols = if upgrade { upgrade::protocols(headers) } else { None };
    let nominated = seen.remove_per_connection(headers);
    let upgrade = protocols.is_some();
    if let Some(protocols) = protocols {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocols);
    } else if trailers_wanted {
        // Set again for our own connection: what comes is passed on (RFC 9110 section 6.5.1).
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if seen.expect {
        // Shunt itself sends 100 when it begins to read the body, so it does not ask the member for it
        // (RFC 9110 section 10.1.1). Other expectations are not defined; Shunt ignores them, as nginx does.
        headers.remove(header::EXPECT);
    }
    if policy != Forwarded::Off {
        forwarding().apply(headers, seen.forwarding, policy == Forwarded::Append);
    }
    Ok(Requested { upgrade, trailers: trailers_wanted && http_11, nominated })
}

/// Whether a client sends its body only once it has got 100.
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::EXPECT).into_iter();
    lines
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .any(|expectation| expectation.trim_ascii().eq_ignore_ascii_case(b"100-continue"))
}

/// Makes the fields of a member's response fit to send to a client, and says which ones `Connection` named.
/// What serves the stream frames it. `switched`: the client asked for 101, and this is it.
pub(crate) fn prepare_response(
    headers: &mut HeaderMap,
    status: StatusCode,
    switched: bool,
) -> Vec<HeaderName> {
    let seen = look(headers);
    if seen.length && (seen.transfer_encoding || !has_one_length(headers)) {
        // What serves the stream says the length where the body has one (RFC 9112 section 6.3).
        headers.remove(header::CONTENT_LENGTH);
    }
    // The answer to a request that needs another protocol names it (RFC 9110 section 15.5.22).
    let says_protocol = seen.upgrade && (switched || status == StatusCode::UPGRADE_REQUIRED);
    let protocols = if says_protocol { upgrade::all(headers) } else { None };
    let nominated = seen.remove_per_connection(headers);
    if let Some(protocols) = protocols {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocols);
    }
    nominated
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

/// Removes the fields that `Connection` names, and returns them. Fields that say where a message goes or how
/// long it is stay: naming them there is how one proxy's checks are undone for the next.
fn remove_nominated(headers: &mut HeaderMap) -> Vec<HeaderName> {
    let usual = |value: &HeaderValue| value == "keep-alive" || value == "close";
    if headers.get_all(header::CONNECTION).iter().all(usual) {
        return Vec::new();
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
    for name in &nominated {
        headers.remove(name);
    }
    nominated
}

#[cfg(test)]
mod tests;
