//! The response head.

use std::net::SocketAddr;

use ref_cast::RefCast;

use crate::address::from_endpoint;
use crate::bindings::http;
use crate::field_error::FieldError;
use crate::text;

crate::hooks::hook! {
    /// The hook `on_response`.
    OnResponse in on_response: replaces retries
}

/// What `on_response` may return: `next()`, `respond(…)`, which takes the place of
/// the member's answer, and `retry()`.
pub type Verdict = crate::Verdict<OnResponse>;

/// The response head of a member. It stays in the host, as the
/// [request's](crate::Request) does; the same holds for errors and names.
#[derive(Debug, RefCast)]
#[repr(transparent)]
pub struct Response(http::Response);

impl Response {
    /// The status.
    pub fn status(&self) -> u16 {
        self.0.status()
    }

    /// Replaces the status: 200 to 599.
    pub fn set_status(&self, status: u16) -> Result<(), FieldError> {
        Ok(self.0.set_status(status)?)
    }

    /// The first value of a field. Octets that are not UTF-8 become U+FFFD.
    pub fn header(&self, name: &str) -> Option<String> {
        self.0.header(name).map(text::from_bytes)
    }

    /// The first value of a field, as sent.
    pub fn header_bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.0.header(name)
    }

    /// Whether the first value of a field is exactly this.
    pub fn header_is(&self, name: &str, value: impl AsRef<[u8]>) -> bool {
        self.0.header(name).is_some_and(|own| own == value.as_ref())
    }

    /// Every value of a field, in order; text as in [`header`](Self::header).
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.0.headers(name).into_iter().map(text::from_bytes).collect()
    }

    /// Every value of a field, in order, as sent.
    pub fn headers_bytes(&self, name: &str) -> Vec<Vec<u8>> {
        self.0.headers(name)
    }

    /// The names of the fields, each once, in lower case.
    pub fn header_names(&self) -> Vec<String> {
        self.0.header_names()
    }

    /// Replaces all values of a field by one.
    pub fn set_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), FieldError> {
        Ok(self.0.set_header(name, value.as_ref())?)
    }

    /// Adds a value after those that are there.
    pub fn add_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), FieldError> {
        Ok(self.0.add_header(name, value.as_ref())?)
    }

    /// Removes all values of a field; one that is not there is no error.
    pub fn remove_header(&self, name: &str) -> Result<(), FieldError> {
        Ok(self.0.remove_header(name)?)
    }

    /// The slot of this rule that is bound to the pool which served the request;
    /// `None` when it came from a pool that the rule has no slot for.
    pub fn slot(&self) -> Option<String> {
        self.0.slot()
    }

    /// The member that made it.
    pub fn member(&self) -> SocketAddr {
        from_endpoint(self.0.member())
    }
}
