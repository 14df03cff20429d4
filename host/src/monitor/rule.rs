//! A rule leads the conversation, and judges the member.
//!
//! It runs on the control thread, within its budget, for as long as one step takes: who waits is the host. All members
//! share one instance, whose version a load replaces without a probe being missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shunt_config::monitors::{Over, Rule};
use shunt_rules::{Attachment, Fault, FaultKind, ProbeAction, ProbeDialogue, ProbeFailure, Rest, Runner};
use shunt_runtime::clock;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::dialogue::{self, MARGIN, Stream, shown};
use super::probe::{self, Good, MAX_BODY_BYTES, ProbeTransport, Probing};

/// Why the member is not found up.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// What the rule says. Nothing came of a member that is silent.
    #[error("{}", or_down(.reason))]
    Down { reason: String, is_silence: bool },
    #[error(transparent)]
    Unjudged(ProbeFailure),
    #[error("the rule has a fault: {0}")]
    Fault(Fault),
    /// It says nothing about the member.
    #[error("the rule is not called: {0}")]
    NotCalled(String),
}

fn or_down(reason: &str) -> &str {
    if reason.is_empty() { "the rule says down" } else { reason }
}

/// The rules of monitors, by their names.
#[derive(Debug, Default)]
pub(super) struct Judges(HashMap<String, Arc<Judge>>);

impl Judges {
    pub(super) fn get(&self, name: &str) -> Option<Arc<Judge>> {
        self.0.get(name).cloned()
    }

    /// Has monitors be judged by these from the next step on.
    pub(super) fn replace(&mut self, rules: &HashMap<String, Option<Arc<Attachment>>>) {
        self.0.retain(|name, _| rules.contains_key(name));
        for (name, attachment) in rules {
            self.0.entry(name.clone()).or_default().judge_by(attachment.as_ref());
        }
    }
}

/// The rule of a monitor.
#[derive(Default)]
pub(super) struct Judge(Mutex<Seat>);

#[derive(Default)]
struct Seat {
    /// `None`: the rule is unloaded.
    runner: Option<Runner>,
    /// When a fault was logged, in milliseconds.
    told: Option<u64>,
}

/// Faults of one rule are logged at most so often, in milliseconds.
const EVERY: u64 = 1_000;

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge").finish_non_exhaustive()
    }
}

impl Judge {
    /// A panic while it was held leaves an instance that the next fault replaces.
    fn seat(&self) -> MutexGuard<'_, Seat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge_by(&self, attachment: Option<&Arc<Attachment>>) {
        let mut seat = self.seat();
        let same = |runner: &Runner| attachment.is_some_and(|it| Arc::ptr_eq(it, runner.attachment()));
        if !seat.runner.as_ref().is_some_and(same) {
            seat.runner = attachment.cloned().map(Runner::new);
        }
    }

    fn advance(&self, dialogue: &mut ProbeDialogue, rest: Rest) -> Result<ProbeAction, Failure> {
        let mut seat = self.seat();
        let Seat { runner, told } = &mut *seat;
        let Some(runner) = runner else { return Err(Failure::NotCalled("it is unloaded".to_owned())) };
        let fault = match dialogue.advance(runner, rest) {
            Ok(action) => return Ok(action),
            Err(ProbeFailure::Fault(fault)) => fault,
            Err(unjudged) => return Err(Failure::Unjudged(unjudged)),
        };
        match fault.kind {
            FaultKind::BreakerOpen => {
                return Err(Failure::NotCalled("it had too many faults".to_owned()));
            }
            FaultKind::Instance => return Err(Failure::NotCalled(fault.message)),
            _ => {}
        }
        let now = clock::monotonic_ms();
        if told.is_none_or(|last| now.saturating_sub(last) >= EVERY) {
            *told = Some(now);
            let (rule, fault) = (runner.attachment().name(), fault.to_string());
            tracing::warn!(%rule, fault = %fault.escape_debug(), "monitor rule fault: the probe counts as failed");
        }
        Err(Failure::Fault(fault))
    }
}

/// Where the bytes go.
enum Way {
    Stream(Box<dyn Stream>),
    Datagrams(UdpSocket),
}

impl Way {
    async fn open<S: ProbeTransport>(over: Over, probing: Probing<'_, S>) -> Result<Way, probe::Failure> {
        Ok(match over {
            Over::Tcp => Way::Stream(dialogue::open(probing).await?),
            Over::Udp => Way::Datagrams(super::udp::open(probing).await?),
        })
    }

    async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Way::Stream(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Way::Datagrams(socket) => socket.send(bytes).await.map(drop),
        }
    }

    /// Whether more can come after this.
    async fn receive(&mut self, into: &mut Vec<u8>) -> std::io::Result<bool> {
        match self {
            Way::Stream(stream) => Ok(stream.read_buf(into).await? > 0),
            Way::Datagrams(socket) => {
                // A datagram that is longer than what may be held is cut.
                let before = into.len();
                into.resize(before + MAX_BODY_BYTES, 0);
                let length = socket.recv(&mut into[before..]).await;
                into.truncate(before + length.as_ref().map_or(0, |it| *it));
                length.map(|_| true)
            }
        }
    }
}

/// Asks once.
pub(super) async fn ask<S: ProbeTransport>(
    rule: &Rule,
    judge: Option<&Judge>,
    probing: Probing<'_, S>,
) -> Result<Good, probe::Failure> {
    let Some(judge) = judge else { return Err(Failure::NotCalled("it is not loaded".to_owned()).into()) };
    let (member, timeout) = (probing.to, probing.timeout);
    // So that the rule is told before the probe as a whole is too late.
    let latest = Instant::now() + timeout.saturating_sub(MARGIN);
    let mut way = Way::open(rule.over, probing).await?;
    let mut dialogue = ProbeDialogue::new(member);
    let mut rest = Rest::Open;
    loop {
        let action = judge.advance(&mut dialogue, rest);
        match action {
            Ok(ProbeAction::Send(bytes)) => match timeout_at(latest, way.send(&bytes)).await {
                Ok(sent) => sent.map_err(dialogue::Failure::Broken)?,
                Err(_) => return Err(probe::Failure::TimedOut(timeout)),
            },
            Ok(ProbeAction::Receive) => match timeout_at(latest, way.receive(dialogue.received())).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => rest = Rest::Ended,
                Ok(Err(error)) => return Err(dialogue::Failure::Broken(error).into()),
                Err(_) => rest = Rest::Late,
            },
            Ok(ProbeAction::Up(said)) => {
                let said = shown(said.as_bytes());
                return Ok(if said.is_empty() { "the rule says up".into() } else { said.into() });
            }
            Ok(ProbeAction::Down(reason)) => {
                let reason = shown(reason.as_bytes());
                return Err(
                    Failure::Down { reason, is_silence: rest == Rest::Late && dialogue.is_silent() }.into()
                );
            }
            Err(Failure::Unjudged(ProbeFailure::Late)) => return Err(probe::Failure::TimedOut(timeout)),
            Err(failure) => return Err(failure.into()),
        }
    }
}
