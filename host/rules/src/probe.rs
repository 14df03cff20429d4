//! A probe that a rule leads, apart from its I/O: who has the connection does what is said here, and says what came.

use std::net::SocketAddr;

use bytes::Bytes;
use thiserror::Error;

use crate::{Fault, ProbeVerdict, Rest, Runner, Vars};

/// Bytes of a member that are held, and bytes that are sent at once, as `wit/hooks.wit` says.
pub(crate) const MOST_HELD: usize = 65_536;

/// Calls in one probe: a member that sends byte by byte is no reason for 65,536 of them.
const MOST_CALLS: u32 = 256;

/// What a rule is shown of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe<'a> {
    pub member: SocketAddr,
    /// How often the rule has sent something.
    pub step: u32,
    /// What has come since.
    pub bytes: &'a [u8],
    pub rest: Rest,
}

/// One probe of a member.
#[derive(Debug)]
pub struct ProbeDialogue {
    member: SocketAddr,
    step: u32,
    held: Vec<u8>,
    /// How many bytes have to be held before the rule is called.
    awaited: usize,
    calls: u32,
    /// Of this probe.
    vars: Vars,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    Send(Bytes),
    /// Add what comes to [`ProbeDialogue::received`].
    Receive,
    /// The member serves; what the rule says of it.
    Up(String),
    /// It does not; the reason.
    Down(String),
}

/// Why a rule gave no judgement.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ProbeFailure {
    #[error("{0}")]
    Fault(Fault),
    #[error("the member closed before the rule had what it waits for")]
    Closed,
    #[error("what the rule waits for did not come in time")]
    Late,
    #[error("what came is longer than 64 KiB, and the rule waits for more")]
    TooLong,
    #[error("the rule did not decide within {MOST_CALLS} calls")]
    Undecided,
}

impl ProbeDialogue {
    /// With the connection made, or the socket.
    pub fn new(member: SocketAddr) -> ProbeDialogue {
        ProbeDialogue { member, step: 0, held: Vec::new(), awaited: 0, calls: 0, vars: Vars::default() }
    }

    /// What the member has sent since the rule sent something.
    pub fn received(&mut self) -> &mut Vec<u8> {
        &mut self.held
    }

    /// Whether the member has said nothing at all so far.
    pub fn is_silent(&self) -> bool {
        self.step <= 1 && self.held.is_empty()
    }

    /// Asks the rule, once enough has come for that. `rest`: whether more can come.
    ///
    /// # Errors
    /// There is no judgement, and the probe is over.
    pub fn advance(&mut self, runner: &mut Runner, rest: Rest) -> Result<ProbeAction, ProbeFailure> {
        if rest == Rest::Open && self.held.len() < self.awaited {
            return Ok(ProbeAction::Receive);
        }
        let rest = if rest == Rest::Open && self.held.len() >= MOST_HELD { Rest::Full } else { rest };
        self.calls += 1;
        if self.calls > MOST_CALLS {
            return Err(ProbeFailure::Undecided);
        }
        let bytes = self.held.get(..MOST_HELD).unwrap_or(&self.held);
        let probe = Probe { member: self.member, step: self.step, bytes, rest };
        match runner.on_probe(&probe, &mut self.vars).map_err(ProbeFailure::Fault)? {
            ProbeVerdict::Up(said) => Ok(ProbeAction::Up(said)),
            ProbeVerdict::Down(why) => Ok(ProbeAction::Down(why)),
            ProbeVerdict::Send(_) | ProbeVerdict::Need(_) if rest == Rest::Late => Err(ProbeFailure::Late),
            ProbeVerdict::Send(_) | ProbeVerdict::Need(_) if rest == Rest::Ended => Err(ProbeFailure::Closed),
            ProbeVerdict::Need(_) if rest == Rest::Full => Err(ProbeFailure::TooLong),
            ProbeVerdict::Need(more) => {
                self.awaited = self.held.len() + more;
                Ok(ProbeAction::Receive)
            }
            ProbeVerdict::Send(bytes) => {
                self.step += 1;
                self.held.clear();
                self.awaited = 1;
                Ok(ProbeAction::Send(bytes))
            }
        }
    }
}
