//! Monitors: what a rule asks a member, and how it judges the answer.

use std::net::SocketAddr;

use crate::address::from_endpoint;
use crate::bindings::on_probe as wire;
use crate::hooks::{Hook, Returns};

pub use wire::Rest;

/// The hook `on_probe`.
#[derive(Debug)]
pub enum OnProbe {}

impl Hook for OnProbe {
    const NAME: &'static str = "on_probe";
    type Wire = wire::Verdict;
}

/// What `on_probe` may return: [`up`], [`down`], [`send`] and [`need`].
///
/// ```
/// # use shunt_sdk::prelude::*;
/// # fn show(probe: &Probe) -> probe::Verdict {
/// match (probe.step, probe.line()) {
///     (0, _) => probe::send("PING\r\n"),
///     (_, Some(b"+PONG")) => probe::up("PONG"),
///     (_, Some(_)) => probe::down("the answer is not PONG"),
///     (_, None) => probe::need(1),
/// }
/// # }
/// ```
#[must_use = "a verdict decides only when the hook returns it"]
#[derive(Debug)]
pub struct Verdict(wire::Verdict);

#[diagnostic::do_not_recommend]
impl Returns<OnProbe> for Verdict {
    fn into_wire(self) -> wire::Verdict {
        self.0
    }
}

/// The member serves. The text, of at most 256 bytes, is shown as the result of the probe.
pub fn up(said: impl Into<String>) -> Verdict {
    Verdict(wire::Verdict::Up(said.into()))
}

/// The member does not serve, for this reason: text, of at most 256 bytes.
pub fn down(reason: impl Into<String>) -> Verdict {
    Verdict(wire::Verdict::Down(reason.into()))
}

/// Sends these bytes, and calls again when something has come. At least one, and at most 65,536.
pub fn send(bytes: impl Into<Vec<u8>>) -> Verdict {
    Verdict(wire::Verdict::Send(bytes.into()))
}

/// Calls again when so many more bytes have come. Where no more can come, or not in time, the
/// probe has failed.
pub fn need(more: usize) -> Verdict {
    Verdict(wire::Verdict::Need(u32::try_from(more).unwrap_or(u32::MAX)))
}

/// A step of the probe of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The member.
    pub member: SocketAddr,
    /// How often the rule has sent something in this probe.
    pub step: u32,
    /// What the member has sent since then, or since the connection was made. Empty in the first
    /// call, before anything was sent or received.
    pub bytes: Vec<u8>,
    /// Whether more can come.
    pub rest: Rest,
}

impl Probe {
    /// The first line, without its end; `None` before it has come whole.
    pub fn line(&self) -> Option<&[u8]> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
        let line = &self.bytes[..end];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Whether more can come.
    pub fn is_open(&self) -> bool {
        self.rest == Rest::Open
    }
}

#[doc(hidden)]
impl From<wire::Probe> for Probe {
    fn from(probe: wire::Probe) -> Self {
        let wire::Probe { member, step, bytes, rest } = probe;
        Probe { member: from_endpoint(member), step, bytes, rest }
    }
}
