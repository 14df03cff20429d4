//! The hooks: the arguments of each, and what it may return.
//!
//! | method of the rule | arguments | returns |
//! |---|---|---|
//! | `on_load` | `&self` or `&mut self` | `Result<(), String>` |
//! | `on_flow` | `&self, flow: &Flow` | [`flow::Verdict`](crate::flow::Verdict) |
//! | `on_client_hello` | `&self, hello: &ClientHello` | [`client_hello::Verdict`](crate::client_hello::Verdict) |
//! | `on_data` | `&self, flow: &Flow, data: &Data` | [`data::Verdict`](crate::data::Verdict) |
//! | `on_request` | `&self, request: &Request` | [`request::Verdict`](crate::request::Verdict) |
//! | `on_request_body` | `&self, request: &Request, body: &request_body::Body` | [`request_body::Verdict`] |
//! | `on_selected` | `&self, request: Option<&Request>, selection: &selected::Selection` | [`selected::Verdict`](crate::selected::Verdict) |
//! | `on_connect_failed` | `&self, request: &Request, failure: &connect_failed::Failure` | [`connect_failed::Verdict`] |
//! | `on_response` | `&self, request: &Request, response: &Response` | [`response::Verdict`](crate::response::Verdict) |
//! | `on_response_body` | `&self, request: &Request, response: &Response, body: &response_body::Body` | [`response_body::Verdict`](crate::response_body::Verdict) |
//! | `on_done` | `&self, summary: &done::Summary` | nothing |
//! | `on_probe` | `&self, probe: &Probe` | [`probe::Verdict`](crate::probe::Verdict) |
//!
//! Every hook may also return a `Result` of that. An error is a
//! fault of the call: the host applies the operator's `on-fault` in place of a verdict.

use std::fmt::Display;

use crate::Verdict;
use crate::bindings::http::Answer;
use crate::bindings::types::Target;
use crate::text::join;

/// A hook.
pub trait Hook {
    #[doc(hidden)]
    const NAME: &'static str;
    /// What it returns, as the contract writes it.
    #[doc(hidden)]
    type Wire;
}

/// A hook that returns a verdict.
pub trait Decides: Hook {
    #[doc(hidden)]
    fn next() -> Self::Wire;
}

/// A hook that may choose the pool, the member or the mode.
#[diagnostic::on_unimplemented(
    message = "the hook `{Self}` cannot choose a pool or a member",
    label = "not a verdict of this hook",
    note = "`to_pool` and its like belong to `on_flow`, `on_client_hello`, `on_data`, `on_request`, `on_request_body`, `on_selected` and `on_connect_failed`"
)]
pub trait Steers: Decides {
    #[doc(hidden)]
    fn to(target: Target) -> Self::Wire;
    #[doc(hidden)]
    fn target(wire: &mut Self::Wire) -> Option<&mut Target>;
}

/// A hook that may respond in the member's place.
#[diagnostic::on_unimplemented(
    message = "the hook `{Self}` cannot respond",
    label = "not a verdict of this hook",
    note = "`respond` and `redirect` belong to the hooks of requests and responses"
)]
pub trait Answers: Decides {
    #[doc(hidden)]
    fn answer(answer: Answer) -> Self::Wire;
    #[doc(hidden)]
    fn answer_mut(wire: &mut Self::Wire) -> Option<&mut Answer>;
}

/// A hook that may send another body.
#[diagnostic::on_unimplemented(
    message = "the hook `{Self}` cannot replace a body",
    label = "not a verdict of this hook",
    note = "`replace_body` belongs to `on_request_body` and `on_response_body`"
)]
pub trait Rewrites: Decides {
    #[doc(hidden)]
    fn replace(bytes: Vec<u8>) -> Self::Wire;
}

/// A hook that may refuse.
#[diagnostic::on_unimplemented(
    message = "the hook `{Self}` cannot reject",
    label = "not a verdict of this hook",
    note = "`reject` belongs to `on_flow`, `on_client_hello`, `on_data`, `on_request` and `on_request_body`; use `respond` in other hooks"
)]
pub trait Refuses: Decides {
    #[doc(hidden)]
    fn reject() -> Self::Wire;
}

/// A hook that may ask for another member.
#[diagnostic::on_unimplemented(
    message = "the hook `{Self}` cannot retry",
    label = "not a verdict of this hook",
    note = "`retry` belongs to `on_connect_failed` and `on_response`"
)]
pub trait Retries: Decides {
    #[doc(hidden)]
    fn retry() -> Self::Wire;
}

/// What the hook `H` may return: its verdict, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what the hook `{H}` returns",
    label = "must be the `Verdict` of this hook, or a `Result` of it",
    note = "`shunt_sdk::hooks` has a table of what each hook returns"
)]
pub trait Returns<H: Hook> {
    #[doc(hidden)]
    fn into_wire(self) -> H::Wire;
}

#[diagnostic::do_not_recommend]
impl<H: Decides> Returns<H> for Verdict<H> {
    fn into_wire(self) -> H::Wire {
        Verdict::into_wire(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Returns<H>, H: Hook, E: Display> Returns<H> for Result<T, E> {
    fn into_wire(self) -> H::Wire {
        match self {
            Ok(verdict) => verdict.into_wire(),
            Err(error) => crate::fault::end_call(&join(&[H::NAME, ": ", &error.to_string()])),
        }
    }
}

#[diagnostic::do_not_recommend]
impl Returns<done::OnDone> for () {
    fn into_wire(self) {}
}

/// Makes the marker of a hook and says what it can return.
macro_rules! hook {
    ($(#[$doc:meta])* $hook:ident in $module:ident: $($ability:ident)*) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $hook {}

        impl $crate::hooks::Hook for $hook {
            const NAME: &'static str = stringify!($module);
            type Wire = $crate::bindings::$module::Verdict;
        }

        impl $crate::hooks::Decides for $hook {
            fn next() -> Self::Wire {
                Self::Wire::Next
            }
        }

        $($crate::hooks::hook!(@$ability $hook $module);)*
    };
    (@steers $hook:ident $module:ident) => {
        #[diagnostic::do_not_recommend]
        impl $crate::hooks::Steers for $hook {
            fn to(target: $crate::bindings::types::Target) -> Self::Wire {
                Self::Wire::To(target)
            }
            fn target(wire: &mut Self::Wire) -> Option<&mut $crate::bindings::types::Target> {
                if let Self::Wire::To(target) = wire { Some(target) } else { None }
            }
        }
    };
    (@answers $hook:ident $module:ident) => {
        $crate::hooks::hook!(@answers_by Respond $hook);
    };
    (@replaces $hook:ident $module:ident) => {
        $crate::hooks::hook!(@answers_by Replace $hook);
    };
    (@answers_by $case:ident $hook:ident) => {
        #[diagnostic::do_not_recommend]
        impl $crate::hooks::Answers for $hook {
            fn answer(answer: $crate::bindings::http::Answer) -> Self::Wire {
                Self::Wire::$case(answer)
            }
            fn answer_mut(wire: &mut Self::Wire) -> Option<&mut $crate::bindings::http::Answer> {
                if let Self::Wire::$case(answer) = wire { Some(answer) } else { None }
            }
        }
    };
    (@rewrites $hook:ident $module:ident) => {
        #[diagnostic::do_not_recommend]
        impl $crate::hooks::Rewrites for $hook {
            fn replace(bytes: Vec<u8>) -> Self::Wire {
                Self::Wire::Replace(bytes)
            }
        }
    };
    (@refuses $hook:ident $module:ident) => {
        #[diagnostic::do_not_recommend]
        impl $crate::hooks::Refuses for $hook {
            fn reject() -> Self::Wire {
                Self::Wire::Reject
            }
        }
    };
    (@retries $hook:ident $module:ident) => {
        #[diagnostic::do_not_recommend]
        impl $crate::hooks::Retries for $hook {
            fn retry() -> Self::Wire {
                Self::Wire::Retry
            }
        }
    };
}
pub(crate) use hook;

/// `on_request_body`: the body that `on_request` asked for has been received.
pub mod request_body {
    use crate::bindings::on_request_body as wire;

    super::hook! {
        /// The hook `on_request_body`.
        OnRequestBody in on_request_body: steers answers refuses rewrites
    }

    /// What `on_request_body` may return: `next()`, `to_pool(…)`, `respond(…)`,
    /// `reject()` and `replace_body(…)`.
    pub type Verdict = crate::Verdict<OnRequestBody>;

    pub use wire::Body;
}

/// `on_connect_failed`: the connection to a member failed, or no member can be chosen.
pub mod connect_failed {
    use std::net::SocketAddr;

    use crate::address::from_endpoint;
    use crate::bindings::on_connect_failed as wire;

    super::hook! {
        /// The hook `on_connect_failed`.
        OnConnectFailed in on_connect_failed: steers answers retries
    }

    /// What `on_connect_failed` may return: `next()`, `to_pool(…)`, `respond(…)` and
    /// `retry()`.
    pub type Verdict = crate::Verdict<OnConnectFailed>;

    pub use crate::bindings::tls::MemberFailure;
    pub use wire::Cause;

    /// A connection to a member that failed.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Failure {
        /// The member that was tried; `None` with [`Cause::NoMember`].
        pub member: Option<SocketAddr>,
        /// Why there is no connection.
        pub cause: Cause,
        /// How many members have been tried for this request.
        pub attempts: u32,
    }

    impl Failure {
        /// Why there is no TLS with the member, where that is what failed; the cause is then
        /// [`Cause::Other`].
        pub fn tls(&self) -> Option<MemberFailure> {
            crate::bindings::tls::get_member_failure()
        }
    }

    #[doc(hidden)]
    impl From<wire::Failure> for Failure {
        fn from(failure: wire::Failure) -> Self {
            let wire::Failure { member, cause, attempts } = failure;
            Failure { member: member.map(from_endpoint), cause, attempts }
        }
    }
}

/// `on_done`: a request or a flow has ended, for whatever reason.
pub mod done {
    use std::net::SocketAddr;
    use std::time::Duration;

    use crate::Flow;
    use crate::address::from_endpoint;
    use crate::bindings::on_done as wire;

    pub use wire::Outcome;

    /// The hook `on_done`.
    #[derive(Debug)]
    pub enum OnDone {}

    impl super::Hook for OnDone {
        const NAME: &'static str = "on_done";
        type Wire = ();
    }

    /// The result and the measures of a request or a flow.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Summary {
        /// The flow, or the connection of the request.
        pub flow: Flow,
        /// How the request or flow ended.
        pub outcome: Outcome,
        /// The status that was sent; `None` for flows and where no response was sent.
        pub status: Option<u16>,
        /// The member that served the request or flow.
        pub member: Option<SocketAddr>,
        /// Bytes of bodies (requests) or of packets (flows) to the member.
        pub bytes_to_server: u64,
        /// Bytes of bodies (requests) or of packets (flows) to the client.
        pub bytes_to_client: u64,
        /// Packets to the member; 0 for requests.
        pub packets_to_server: u64,
        /// Packets to the client; 0 for requests.
        pub packets_to_client: u64,
        /// From the head of the request, or from the first packet, to the end.
        pub duration: Duration,
        /// From the same moment to the response head of the member, where there was one.
        pub first_byte: Option<Duration>,
    }

    #[doc(hidden)]
    impl From<wire::Summary> for Summary {
        fn from(summary: wire::Summary) -> Self {
            Summary {
                flow: summary.flow.into(),
                outcome: summary.outcome,
                status: (summary.status != 0).then_some(summary.status),
                member: summary.member.map(from_endpoint),
                bytes_to_server: summary.bytes_to_server,
                bytes_to_client: summary.bytes_to_client,
                packets_to_server: summary.packets_to_server,
                packets_to_client: summary.packets_to_client,
                duration: Duration::from_micros(summary.duration_us),
                first_byte: (summary.first_byte_us != 0)
                    .then(|| Duration::from_micros(summary.first_byte_us)),
            }
        }
    }
}
