//! `on-probe`: the rule is a monitor, and leads a conversation with a member.

use bytes::Bytes;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::validate::{Validated, reason};
use super::{Hook, verdict_names};
use crate::abi::Endpoint;
use crate::cases::play::{Play, Stop};
use crate::cases::probe::ProbeCase;
use crate::direct::canon::variant;
use crate::direct::function::give_list;
use crate::direct::guest::Lent;
use crate::instance::{Instance, with_flow};
use crate::probe::{MOST_HELD, Probe, ProbeAction, ProbeDialogue, ProbeFailure};
use crate::{Fault, FaultKind, Flow, Rest, Runner, Transport, Vars};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// What it says of the member.
    Up(String),
    /// For this reason.
    Down(String),
    /// At least one byte.
    Send(Bytes),
    /// Call again when so many more have come; at least one.
    Need(usize),
}

verdict_names!(ProbeVerdict { Up => "up", Down => "down", Send => "send", Need => "need" });

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Returned {
    #[component(name = "up")]
    Up(String),
    #[component(name = "down")]
    Down(String),
    #[component(name = "send")]
    Send(Vec<u8>),
    #[component(name = "need")]
    Need(u32),
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Given<'a> {
    member: Endpoint,
    step: u32,
    bytes: &'a [u8],
    rest: GivenRest,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum GivenRest {
    #[component(name = "open")]
    Open,
    #[component(name = "ended")]
    Ended,
    #[component(name = "late")]
    Late,
    #[component(name = "full")]
    Full,
}

variant!(Returned { Up(String), Down(String), Send(Vec<u8>), Need(u32) });

impl<'a> From<&Probe<'a>> for Given<'a> {
    fn from(probe: &Probe<'a>) -> Given<'a> {
        Given {
            member: probe.member.into(),
            step: probe.step,
            bytes: probe.bytes,
            rest: match probe.rest {
                Rest::Open => GivenRest::Open,
                Rest::Ended => GivenRest::Ended,
                Rest::Late => GivenRest::Late,
                Rest::Full => GivenRest::Full,
            },
        }
    }
}

type Flat = (u64, u64, u32, u32, u32, u32, u32);

/// The function that a rule exports.
pub(crate) type Typed<'a> = super::Typed<(Given<'a>,), Returned, Flat>;

fn validated(verdict: Returned, probe: &Probe<'_>) -> Validated<ProbeVerdict> {
    Ok(match verdict {
        Returned::Up(said) => ProbeVerdict::Up(reason(said)?),
        Returned::Down(why) => ProbeVerdict::Down(reason(why)?),
        Returned::Send(bytes) if bytes.is_empty() => {
            return Err("sent nothing; send at least one byte, or ask for more".to_owned());
        }
        Returned::Send(bytes) if bytes.len() > MOST_HELD => {
            return Err(format!("sent {} bytes at once; at most {MOST_HELD} are allowed", bytes.len()));
        }
        Returned::Send(bytes) => ProbeVerdict::Send(bytes.into()),
        Returned::Need(0) => return Err("asked for no more bytes; ask for at least one".to_owned()),
        Returned::Need(more) => {
            let more = usize::try_from(more).unwrap_or(usize::MAX);
            let held = probe.bytes.len();
            if probe.rest == Rest::Open && more > MOST_HELD - held.min(MOST_HELD) {
                return Err(format!(
                    "asked for {more} bytes beyond {held}; a probe holds at most {MOST_HELD}"
                ));
            }
            ProbeVerdict::Need(more)
        }
    })
}

impl Runner {
    /// `vars` are those of the probe.
    ///
    /// # Errors
    /// A fault of this call. A rule that does not export the hook has no verdict to take for it, so that is one as well.
    pub fn on_probe(&mut self, probe: &Probe<'_>, vars: &mut Vars) -> Result<ProbeVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnProbe) {
            let message = "the rule does not export it".to_owned();
            return Err(Fault { kind: FaultKind::Instance, hook: Hook::OnProbe, message });
        }
        let call = |instance: &mut Instance| instance.on_probe(probe, vars);
        let decides = |verdict: &ProbeVerdict| matches!(verdict, ProbeVerdict::Up(_) | ProbeVerdict::Down(_));
        self.call_until(Hook::OnProbe, call, |verdict, _| validated(verdict, probe), decides)
    }
}

impl Instance {
    fn on_probe(&mut self, probe: &Probe<'_>, vars: &mut Vars) -> wasmtime::Result<Returned> {
        let (function, store) = self.on_probe_function()?;
        let given = Given::from(probe);
        // What lives as long as the probe does lives in its flow.
        let flow = Flow { vip: probe.member, transport: Transport::Other, ..Flow::default() };
        with_flow(store, &flow, vars, |store| {
            function.call(
                store,
                || (given,),
                Lent::NOTHING,
                |store| {
                    let (at, len) = give_list(store, given.bytes)?;
                    let (_, hi, lo, port) = Endpoint::flat(Some(given.member));
                    Ok((hi, lo, port, given.step, at, len, given.rest as u32))
                },
            )
        })
    }
}

impl Play<'_> {
    /// Plays the member: what it sends is given piece by piece, as the rule asks for it.
    pub(crate) fn on_probe(&mut self, case: &ProbeCase) -> Result<(), Stop> {
        let mut pieces = Vec::new();
        for piece in &case.answers {
            pieces.push(piece.bytes().map_err(|error| Stop::Case(format!("probe: answers: {error}")))?);
        }
        let mut pieces = pieces.into_iter();
        let mut dialogue = ProbeDialogue::new(case.member);
        let mut rest = Rest::Open;
        loop {
            let action = match dialogue.advance(&mut self.runner, rest) {
                Ok(action) => action,
                Err(ProbeFailure::Fault(fault)) => return Err(Stop::Fault(fault)),
                Err(failure) => {
                    (self.played.verdict, self.played.result) = ("failed", Some(failure.to_string()));
                    return Ok(());
                }
            };
            match action {
                ProbeAction::Send(bytes) => self.played.sent.push(bytes),
                ProbeAction::Receive => match pieces.next() {
                    Some(piece) => dialogue.received().extend_from_slice(&piece),
                    None => rest = case.end(),
                },
                ProbeAction::Up(said) => {
                    (self.played.verdict, self.played.result) = ("up", Some(said));
                    return Ok(());
                }
                ProbeAction::Down(why) => {
                    (self.played.verdict, self.played.result) = ("down", Some(why));
                    return Ok(());
                }
            }
        }
    }
}
