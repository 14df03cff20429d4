//! The body of a response.

use crate::bindings::on_response_body as wire;

crate::hooks::hook! {
    /// The hook `on_response_body`.
    OnResponseBody in on_response_body: answers rewrites
}

/// What `on_response_body` may return: `next()`, `replace_body(…)`, and `respond(…)`, which
/// replaces the member's response.
pub type Verdict = crate::Verdict<OnResponseBody>;

pub use wire::Body;
