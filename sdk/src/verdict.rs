//! Verdicts: what a hook decided, and the functions that make them.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use crate::address::to_endpoint;
use crate::bindings::http::Answer;
use crate::bindings::types::{PersistKey, Target};
use crate::flow::Mode;
use crate::hash::Key;
use crate::hooks::{Answers, Decides, Refuses, Retries, Rewrites, Steers};

/// What a hook decided.
///
/// `H` is the hook: each has its own verdicts, and returning another is a compile error.
/// Rules name the type through the module of the hook (`request::Verdict`,
/// `flow::Verdict`, …) and make the value with [`next`], [`to_pool`], [`respond`] and the
/// other functions of this module.
///
/// `S` matters only while a verdict is built: after [`to_pool`] come methods such as
/// [`persist`](Verdict::persist), after [`respond`] come [`header`](Verdict::header) and
/// [`body`](Verdict::body).
#[must_use = "a verdict decides only when the hook returns it"]
pub struct Verdict<H: Decides, S = Decided> {
    wire: H::Wire,
    stage: PhantomData<S>,
}

/// A verdict that is ready to be returned.
#[derive(Debug)]
pub struct Decided;

/// A verdict that chooses a pool, a member or a mode, while it is built.
#[derive(Debug)]
pub struct Steering;

/// A verdict that responds, while it is built.
#[derive(Debug)]
pub struct Answering;

/// What a verdict that chooses a pool or a member may become: built further, or returned.
#[diagnostic::on_unimplemented(
    message = "a verdict that chooses a pool or a member has no response",
    label = "this verdict chooses a pool or a member",
    note = "`header`, `body`, `text` and `html` belong to `respond(…)`"
)]
pub trait FromSteering {}
#[diagnostic::do_not_recommend]
impl FromSteering for Steering {}
#[diagnostic::do_not_recommend]
impl FromSteering for Decided {}

/// What a verdict that responds may become: built further, or returned.
#[diagnostic::on_unimplemented(
    message = "a verdict that responds cannot choose a pool or a member",
    label = "this verdict responds",
    note = "`member`, `mode`, `persist` and `snat_pool` belong to `to_pool(…)`"
)]
pub trait FromAnswering {}
#[diagnostic::do_not_recommend]
impl FromAnswering for Answering {}
#[diagnostic::do_not_recommend]
impl FromAnswering for Decided {}

/// Leaves the decision to later rules and the configuration.
pub fn next<H: Decides>() -> Verdict<H> {
    Verdict::new(H::next())
}

/// Sends the request or flow to the pool that the operator bound to the slot.
///
/// Naming a slot that `pack.toml` does not declare is a fault.
///
/// ```
/// # use shunt_sdk::prelude::*;
/// # fn show(user: &str) -> request::Verdict {
/// to_pool("api").persist(user)
/// # }
/// ```
pub fn to_pool<H: Steers, S: FromSteering>(slot: &str) -> Verdict<H, S> {
    Verdict::new(H::to(Target { pool: Some(slot.to_owned()), ..AS_CONFIGURED }))
}

/// Sends the request or flow to a member of the configured pool, by its address. Naming a
/// member that the pool does not have is a fault; where the member is down, another member
/// is chosen.
///
/// For a member of another pool: `to_pool("slot").member(address)`.
pub fn to_member<H: Steers, S: FromSteering>(address: SocketAddr) -> Verdict<H, S> {
    Verdict::new(H::to(Target { member: Some(to_endpoint(address)), ..AS_CONFIGURED }))
}

/// Sends the request or flow to the configured pool, with a persistence key, a mode or a
/// SNAT pool of this rule: `as_configured().persist(key)`. Unlike [`next`] it is final.
pub fn as_configured<H: Steers>() -> Verdict<H, Steering> {
    Verdict::new(H::to(AS_CONFIGURED))
}

/// Responds with a status from 200 to 599; no member gets the request. In `on_response`
/// it replaces the member's response.
///
/// ```
/// # use shunt_sdk::prelude::*;
/// # fn show() -> request::Verdict {
/// respond(503).header("retry-after", "120").text("Back in two minutes.\n")
/// # }
/// ```
pub fn respond<H: Answers, S: FromAnswering>(status: u16) -> Verdict<H, S> {
    Verdict::new(H::answer(Answer { status, headers: Vec::new(), body: Vec::new() }))
}

/// Responds with a redirect: 308 permanent, 307 temporary. With 301 and 302 clients may
/// change the method of the request to `GET` (RFC 9110 section 15.4).
pub fn redirect<H: Answers, S: FromAnswering>(status: u16, location: &str) -> Verdict<H, S> {
    respond(status).header("location", location)
}

/// Refuses the request or flow: in `on_flow` Shunt sends a TCP reset or an ICMP Destination
/// Unreachable, in `on_client_hello` the alert `access-denied`, in `on_data` a TCP reset; in other hooks it responds with 403 and closes the
/// connection.
pub fn reject<H: Refuses>() -> Verdict<H> {
    Verdict::new(H::reject())
}

/// Sends these bytes in place of the collected ones. The rest of a longer body follows
/// unchanged.
pub fn replace_body<H: Rewrites>(bytes: impl Into<Vec<u8>>) -> Verdict<H> {
    Verdict::new(H::replace(bytes.into()))
}

/// Sends the request to another member of the same pool.
pub fn retry<H: Retries>() -> Verdict<H> {
    Verdict::new(H::retry())
}

pub(crate) const AS_CONFIGURED: Target =
    Target { pool: None, member: None, mode: None, snat_pool: None, persist: None };

impl<H: Decides, S> Verdict<H, S> {
    pub(crate) fn new(wire: H::Wire) -> Self {
        Verdict { wire, stage: PhantomData }
    }

    /// The verdict as the contract writes it.
    pub(crate) fn into_wire(self) -> H::Wire {
        self.wire
    }
}

/// After [`to_pool`], [`to_member`] and [`as_configured`].
impl<H: Steers> Verdict<H, Steering> {
    /// A member of the pool, by its address; see [`to_member`].
    pub fn member<S: FromSteering>(self, address: SocketAddr) -> Verdict<H, S> {
        self.with(|target| target.member = Some(to_endpoint(address)))
    }

    /// How Shunt forwards packets to the member. Packet virtuals only; a proxy ignores it.
    pub fn mode<S: FromSteering>(self, mode: Mode) -> Verdict<H, S> {
        self.with(|target| target.mode = Some(mode))
    }

    /// The SNAT pool that leases the source port, by its slot. Packet virtuals only;
    /// a proxy ignores it.
    pub fn snat_pool<S: FromSteering>(self, slot: &str) -> Verdict<H, S> {
        self.with(|target| target.snat_pool = Some(slot.to_owned()))
    }

    /// Flows and requests with this key go to the same member as long as it is usable. The
    /// binding is kept as long as the virtual configures. At most 256 bytes.
    pub fn persist<S: FromSteering>(self, key: impl Key) -> Verdict<H, S> {
        self.remember(key, 0)
    }

    /// As [`persist`](Self::persist), with the time that the binding is kept after its last use.
    pub fn persist_for<S: FromSteering>(self, key: impl Key, timeout: Duration) -> Verdict<H, S> {
        // Zero would mean "as configured"; the contract ends at 49 days.
        self.remember(key, u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1))
    }

    fn remember<S: FromSteering>(self, key: impl Key, timeout_ms: u32) -> Verdict<H, S> {
        let key = key.with_bytes(<[u8]>::to_vec);
        self.with(|target| target.persist = Some(PersistKey { key, timeout_ms }))
    }

    fn with<S>(mut self, change: impl FnOnce(&mut Target)) -> Verdict<H, S> {
        if let Some(target) = H::target(&mut self.wire) {
            change(target);
        }
        Verdict::new(self.wire)
    }
}

/// After [`respond`] and [`redirect`].
impl<H: Answers> Verdict<H, Answering> {
    /// Adds a field. The host adds `content-length` and the other fields that frame a message.
    pub fn header<S: FromAnswering>(self, name: &str, value: impl AsRef<[u8]>) -> Verdict<H, S> {
        self.with(|answer| answer.headers.push((name.to_owned(), value.as_ref().to_vec())))
    }

    /// Sets the body. State its type by `header("content-type", …)`.
    pub fn body<S: FromAnswering>(self, body: impl Into<Vec<u8>>) -> Verdict<H, S> {
        self.with(|answer| answer.body = body.into())
    }

    /// Sets a body of plain text, and its type.
    pub fn text<S: FromAnswering>(self, text: impl Into<String>) -> Verdict<H, S> {
        self.header("content-type", "text/plain; charset=utf-8").body(text.into())
    }

    /// Sets a body of HTML, and its type.
    pub fn html<S: FromAnswering>(self, page: impl Into<String>) -> Verdict<H, S> {
        self.header("content-type", "text/html; charset=utf-8").body(page.into())
    }

    fn with<S>(mut self, change: impl FnOnce(&mut Answer)) -> Verdict<H, S> {
        if let Some(answer) = H::answer_mut(&mut self.wire) {
            change(answer);
        }
        Verdict::new(self.wire)
    }
}

#[cfg(test)]
mod tests;
