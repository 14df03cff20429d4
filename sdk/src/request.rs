//! The request head.

use ref_cast::RefCast;

use crate::bindings::{http, on_request as wire};
use crate::field_error::FieldError;
use crate::flow::Flow;
use crate::text;

pub use http::{Scheme, Version};

crate::hooks::hook! {
    /// The hook `on_request`.
    OnRequest in on_request: steers answers refuses
}

/// What `on_request` may return: `next()`, `to_pool(…)`, `respond(…)`, `redirect(…)`,
/// `reject()` and [`need_body`].
pub type Verdict = crate::Verdict<OnRequest>;

/// Collects the body, up to `max` bytes, and then calls `on_request_body`. In a rule
/// without that hook this verdict is a fault.
pub fn need_body(max: u32) -> Verdict {
    Verdict::new(wire::Verdict::NeedBody(max))
}

/// The head of a request, and changes to the response that the client will get.
///
/// The host keeps the head; a call copies or changes one part of it. Names of fields are
/// case-insensitive. A field that `[capabilities.request]` of `pack.toml` does not ask for
/// reads as if the client had not sent it; `shunt rule test` fails a case in which that
/// happens.
///
/// A change returns a [`FieldError`] when HTTP does not allow the name or the value, when
/// rules may only read the field (`host`, and the fields that frame the message or belong
/// to one connection), when the head would grow past its limit, or when `pack.toml` does not ask
/// for the change. The head is then unchanged. Where that cannot happen or does not matter, end the line with `.ok()`;
/// otherwise use `?` in a hook that returns a `Result`.
#[derive(Debug, RefCast)]
#[repr(transparent)]
pub struct Request(http::Request);

impl Request {
    /// The connection on which the request was received.
    pub fn flow(&self) -> Flow {
        self.0.flow().into()
    }

    /// The HTTP version that the client used.
    pub fn version(&self) -> Version {
        self.0.version()
    }

    /// The scheme that the client used.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme()
    }

    /// The method as sent: `GET`.
    pub fn method(&self) -> String {
        self.0.method()
    }

    /// The path without the query, as sent (not decoded): `/a/b`.
    pub fn path(&self) -> String {
        self.0.path()
    }

    /// The part after `?`, if there is one.
    pub fn query(&self) -> Option<String> {
        self.0.query()
    }

    /// The path and the query, as sent: `/a/b?c=d`.
    pub fn path_and_query(&self) -> String {
        let mut whole = self.path();
        if let Some(query) = self.query() {
            whole.push('?');
            whole.push_str(&query);
        }
        whole
    }

    /// The requested host as sent, with its port if the client sent one:
    /// `Shop.example:8080`. Empty where an HTTP/1.0 client sent none.
    pub fn authority(&self) -> String {
        self.0.authority()
    }

    /// The requested host without its port, in lower case: `shop.example`.
    pub fn host(&self) -> String {
        let mut host = self.authority();
        host.truncate(text::host_len(&host));
        host.make_ascii_lowercase();
        host
    }

    crate::fields::fields!();

    /// The value of a cookie that the client sent (RFC 6265 section 4.2), without quotes
    /// around it. The first one, where several have the name.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.headers_bytes("cookie").iter().find_map(|field| text::cookie(field, name))
    }

    /// Replaces the path and keeps the query. The path must begin with `/`.
    pub fn set_path(&self, path: &str) -> Result<(), FieldError> {
        Ok(self.0.set_path(path)?)
    }

    /// Replaces or removes the query.
    pub fn set_query(&self, query: Option<&str>) -> Result<(), FieldError> {
        Ok(self.0.set_query(query)?)
    }

    /// Replaces the host that is sent to the member.
    pub fn set_authority(&self, authority: &str) -> Result<(), FieldError> {
        Ok(self.0.set_authority(authority)?)
    }

    /// Sets a field of the response to this request, whether a member, a rule or Shunt
    /// itself makes that response. Cheaper than `on_response`, and applied after it.
    pub fn set_response_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), FieldError> {
        Ok(self.0.set_response_header(name, value.as_ref())?)
    }

    /// Removes a field of the response to this request.
    pub fn remove_response_header(&self, name: &str) -> Result<(), FieldError> {
        Ok(self.0.remove_response_header(name)?)
    }
}
