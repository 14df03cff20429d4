//! The fields that tell a member about the client: `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`, and `Forwarded`
//! (RFC 7239).

use std::cell::RefCell;
use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// RFC 7239 section 5.3.
const HOST: &[u8] = b";host=";

/// The fields that tell a member about the client, made once per connection.
#[derive(Debug)]
pub(crate) struct Forwarding {
    /// `X-Forwarded-For`: the bare address.
    address: HeaderValue,
    /// `Forwarded` (RFC 7239): `for=…;proto=…`; an IPv6 address in brackets and quotes (section 6).
    element: HeaderValue,
    /// The same with `;host=…` of the last request that had a host: the next one mostly has the same.
    element_with_host: RefCell<HeaderValue>,
    proto: HeaderValue,
    /// `X-Forwarded-Port`: the one that the client connected to.
    port: HeaderValue,
}

impl Forwarding {
    pub(crate) fn new(client: IpAddr, port: u16, https: bool) -> Self {
        let proto = if https { "https" } else { "http" };
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
        let element = value(node);
        Forwarding {
            address: value(client.to_string()),
            element_with_host: RefCell::new(element.clone()),
            element,
            proto: HeaderValue::from_static(proto),
            port: HeaderValue::from(port),
        }
    }

    /// What `Forwarded` says of a request to `host`.
    fn element(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let Some(host) = host.map(HeaderValue::as_bytes) else { return self.element.clone() };
        let mut last = self.element_with_host.borrow_mut();
        let said = last.as_bytes()[self.element.len()..]
            .strip_prefix(HOST)
            .map(|said| said.strip_prefix(b"\"").and_then(|said| said.strip_suffix(b"\"")).unwrap_or(said));
        if said != Some(host) {
            let quote = if is_token(host) { &b""[..] } else { b"\"" };
            let text = [self.element.as_bytes(), HOST, quote, host, quote].concat();
            *last = HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
                .unwrap_or_else(|_| self.element.clone());
        }
        last.clone()
    }

    /// `claimed`: the head has some of these fields. `append`: ours are added to them.
    pub(super) fn apply(&self, headers: &mut HeaderMap, claimed: bool, append: bool) {
        let host = headers.get(header::HOST).filter(|host| !host.is_empty()).cloned();
        if claimed && append {
            let for_ = joined(headers, &X_FORWARDED_FOR, &self.address);
            headers.insert(X_FORWARDED_FOR, for_);
            let element = joined(headers, &header::FORWARDED, &self.element(host.as_ref()));
            headers.insert(header::FORWARDED, element);
            // The first proxy knows what the client used. A field without a value says nothing.
            let own = [
                (X_FORWARDED_PROTO, Some(&self.proto)),
                (X_FORWARDED_HOST, host.as_ref()),
                (X_FORWARDED_PORT, Some(&self.port)),
            ];
            for (name, value) in own {
                if let Some(value) = value
                    && headers.get_all(&name).iter().all(|value| elements(value.as_bytes()).is_empty())
                {
                    headers.insert(name, value.clone());
                }
            }
            return;
        }
        headers.insert(X_FORWARDED_FOR, self.address.clone());
        headers.insert(X_FORWARDED_PROTO, self.proto.clone());
        headers.insert(X_FORWARDED_PORT, self.port.clone());
        headers.insert(header::FORWARDED, self.element(host.as_ref()));
        if let Some(host) = host {
            headers.insert(X_FORWARDED_HOST, host);
        } else if claimed {
            headers.remove(X_FORWARDED_HOST);
        }
    }
}

/// RFC 7239 section 4: a value is a token or a quoted string. A host with a port is none of the first, and what stands
/// in a host needs no escape in the second (RFC 3986 section 3.2.2).
fn is_token(host: &[u8]) -> bool {
    host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// All elements of a list field and one more, as one value. Empty elements are none (RFC 9110 section 5.6.1.2).
fn joined(headers: &HeaderMap, name: &HeaderName, last: &HeaderValue) -> HeaderValue {
    let mut text = Vec::new();
    for element in headers.get_all(name).iter().flat_map(|value| elements(value.as_bytes())) {
        text.extend_from_slice(element);
        text.extend_from_slice(b", ");
    }
    text.extend_from_slice(last.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).unwrap_or_else(|_| last.clone())
}

/// The elements of a list that have content. A comma in a quoted string is none of the list's (RFC 7239 section 4).
/// A value whose quoted string does not end has no elements: what is appended to it would be part of the string.
fn elements(value: &[u8]) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let found = value
        .split(|&byte| {
            let comma = byte == b',' && !quoted;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            comma
        })
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
        .collect();
    if quoted { Vec::new() } else { found }
}
