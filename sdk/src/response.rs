//! The response head.

use std::net::SocketAddr;

use ref_cast::RefCast;

use crate::address::from_endpoint;
use crate::bindings::http;
use crate::field_error::FieldError;

crate::hooks::hook! {
    /// The hook `on_response`.
    OnResponse in on_response: replaces retries
}

/// What `on_response` may return: `next()`, `respond(…)`, which replaces the member's
/// response, and `retry()`.
pub type Verdict = crate::Verdict<OnResponse>;

/// The response head of a member. The host keeps it, and errors and names are as for a
/// [`Request`](crate::Request).
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

    crate::fields::fields!();

    /// The slot of this rule that is bound to the pool of the member; `None` when the rule
    /// has no slot for that pool.
    pub fn slot(&self) -> Option<String> {
        self.0.slot()
    }

    /// Asks for the body: where `on_response` returns `next()`, Shunt collects up to this many
    /// bytes of it and calls `on_response_body` of this rule.
    ///
    /// ```
    /// # use shunt_sdk::prelude::*;
    /// struct Banner;
    ///
    /// #[rule]
    /// impl Banner {
    ///     fn on_request(&self, request: &Request) -> Result<request::Verdict, FieldError> {
    ///         // So that the body is the text itself.
    ///         request.remove_header("accept-encoding")?;
    ///         Ok(next())
    ///     }
    ///
    ///     fn on_response(&self, _: &Request, response: &Response) -> response::Verdict {
    ///         if response.header_is("content-type", "text/html") {
    ///             response.need_body(1 << 20);
    ///         }
    ///         next()
    ///     }
    ///
    ///     fn on_response_body(&self, _: &Request, _: &Response, body: &response_body::Body) -> response_body::Verdict {
    ///         let text = String::from_utf8_lossy(&body.bytes);
    ///         replace_body(text.replacen("<body>", "<body><p>Test system</p>", 1))
    ///     }
    /// }
    /// # fn main() {}
    /// ```
    pub fn need_body(&self, max: u32) {
        self.0.need_body(max);
    }

    /// The member that sent the response.
    pub fn member(&self) -> SocketAddr {
        from_endpoint(self.0.member())
    }
}
