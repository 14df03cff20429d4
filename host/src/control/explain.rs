//! What would become of a packet, in the shapes that the admin interface sends.

use std::net::SocketAddr;

use serde::Serialize;
use shunt_engine::datapath::{
    Considered, DropReason, Explanation, FlowDetails, Leaving, Point, Stage, Standing, Unasked, Verdict,
};
use shunt_wire::Endpoint;

use super::Control;
use shunt_packets::explain::{Heard, Query, Told};

/// What becomes of a packet, and why.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explained {
    /// The interface that it comes in by.
    pub interface: String,
    /// Nobody said so: packets go back to its source by that one.
    pub interface_is_a_guess: bool,
    /// The packet as it comes in, a line for each header.
    pub packet: Vec<String>,
    /// What it passes, in order.
    pub stages: Vec<StageStatus>,
    /// What each rule that was asked said.
    pub rules: Vec<RuleSaid>,
    /// The members of the pool that it comes to; empty where it comes to none.
    pub members: Vec<ConsideredStatus>,
    /// The id of the flow that it belongs to, if there is one.
    pub flow: Option<String>,
    /// What is done to the packets of that flow, or of the one that it would begin.
    pub rewrite: Option<RewriteStatus>,
    pub verdict: VerdictStatus,
    /// What leaves, in order.
    pub leaves: Vec<LeavingStatus>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StageStatus {
    /// `frame`, `worker`, `fragments`, `flow-table` or `shunt`, or a stage of the slow path.
    pub stage: &'static str,
    /// What it found, a sentence each.
    pub found: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RuleSaid {
    /// `virtual/rule`.
    pub rule: String,
    pub said: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct ConsideredStatus {
    pub pool: String,
    pub member: String,
    pub weight: u32,
    /// Flows and requests under way.
    pub active: u32,
    pub chosen: bool,
    /// A name for programs.
    pub standing: &'static str,
    /// Why it was chosen, or was not.
    pub why: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RewriteStatus {
    #[serde(rename = "virtual")]
    pub virtual_name: String,
    pub pool: String,
    pub member: String,
    pub mode: &'static str,
    /// The leased source, in mode `snat`.
    pub snat: Option<String>,
    pub to_server: Vec<String>,
    /// Empty where answers do not come through Shunt.
    pub to_client: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct VerdictStatus {
    /// `send`, `answer`, `held`, `refuse`, `drop`, or `pass` where Shunt leaves it to this host's kernel.
    pub action: &'static str,
    /// In a sentence without its end.
    pub means: String,
    /// Why it is not carried.
    pub reason: Option<&'static str>,
    /// The stage of the slow path that gave the reason.
    pub stage: Option<&'static str>,
    /// What the operator can do about it.
    pub remedy: Option<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LeavingStatus {
    pub interface: String,
    /// A line for each header.
    pub packet: Vec<String>,
    /// The frame, in hexadecimal.
    pub hex: String,
}

/// Why there is no explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unexplained {
    NoPacketVirtuals,
    NoSuchPacket(Unasked),
}

impl Control {
    /// Tells what would become of a packet.
    ///
    /// # Errors
    /// There is no such packet, or nobody who would carry it.
    pub async fn explain(&self, query: &Query) -> Result<Explained, Unexplained> {
        let packets = self.packets.as_ref().ok_or(Unexplained::NoPacketVirtuals)?;
        let told = packets.explain(query).await.ok_or(Unexplained::NoPacketVirtuals)?;
        let told = told.map_err(Unexplained::NoSuchPacket)?;
        Ok(explained(told, |it| self.reason(it)))
    }

    /// Why a member is down: on the way of the clients of its virtual, where it is probed there.
    fn reason(&self, it: &Considered) -> Option<String> {
        let (pool, member) = (&*it.pool, SocketAddr::from(it.member));
        let mut ways = self.monitors.on_path(pool, member).into_iter();
        match ways.find(|way| *way.virtual_ == *it.virtual_) {
            Some(way) => way.reason,
            None => self.monitors.reason(pool, member),
        }
    }
}

/// `reason` tells why a member is down.
fn explained(told: Told, reason: impl Fn(&Considered) -> Option<String>) -> Explained {
    let Told { explanation, heard } = told;
    let Explanation {
        link,
        link_is_a_guess,
        frame,
        notes,
        rules_were_asked: _,
        members,
        flow,
        flow_is_there,
        verdict,
        is_the_kernels,
        leaves,
    } = explanation;
    let notes = notes.into_iter().map(|note| (note.at, note.text));
    let interface = leaves.last().map(|it| it.interface.clone());
    Explained {
        interface: link.to_string(),
        interface_is_a_guess: link_is_a_guess,
        packet: frame,
        stages: stages(notes, &heard),
        rules: heard.into_iter().map(|Heard { rule, said }| RuleSaid { rule, said }).collect(),
        members: members.into_iter().map(|it| considered(&it, &reason)).collect(),
        flow: flow.as_ref().filter(|_| flow_is_there).map(|flow| flow.summary.id.to_string()),
        rewrite: flow.map(RewriteStatus::from),
        verdict: match is_the_kernels {
            true => VerdictStatus::pass(),
            false => VerdictStatus::new(verdict, interface.as_deref()),
        },
        leaves: leaves.into_iter().map(LeavingStatus::from).collect(),
    }
}

/// What was found, in order, by where it was found; what rules said stands before what that means.
fn stages(notes: impl Iterator<Item = (Point, String)>, heard: &[Heard]) -> Vec<StageStatus> {
    let mut stages: Vec<StageStatus> = Vec::new();
    for (at, text) in notes {
        let stage = at.as_str();
        if stages.last().is_none_or(|last| last.stage != stage) {
            let said = heard.iter().map(|it| format!("{} says: {}", it.rule, it.said));
            let found = if at == Point::Stage(Stage::Rule) { said.collect() } else { Vec::new() };
            stages.push(StageStatus { stage, found });
        }
        if let Some(last) = stages.last_mut() {
            last.found.push(text);
        }
    }
    stages
}

fn considered(it: &Considered, reason: impl Fn(&Considered) -> Option<String>) -> ConsideredStatus {
    let down = (it.why == Standing::Down).then(|| reason(it)).flatten();
    let why = match down {
        Some(reason) => format!("down: {reason}"),
        None => it.why.means().to_owned(),
    };
    ConsideredStatus {
        pool: it.pool.to_string(),
        member: it.member.to_string(),
        weight: it.weight,
        active: it.active,
        chosen: it.why.is_chosen(),
        standing: it.why.as_str(),
        why,
    }
}

impl From<FlowDetails> for RewriteStatus {
    fn from(FlowDetails { summary, to_server, to_client }: FlowDetails) -> RewriteStatus {
        RewriteStatus {
            virtual_name: summary.virtual_.to_string(),
            pool: summary.pool.to_string(),
            member: summary.member.to_string(),
            mode: summary.mode.as_str(),
            snat: summary.snat.as_ref().map(Endpoint::to_string),
            to_server,
            to_client,
        }
    }
}

impl From<Leaving> for LeavingStatus {
    fn from(Leaving { interface, bytes, frame }: Leaving) -> LeavingStatus {
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        LeavingStatus { interface, packet: frame, hex }
    }
}

impl VerdictStatus {
    /// Of what Shunt does not take from its interfaces.
    fn pass() -> VerdictStatus {
        let means = "Shunt does not take it: this host's own kernel gets it".to_owned();
        VerdictStatus { action: "pass", means, reason: None, stage: None, remedy: None }
    }

    /// `interface` is the one by which the packet, or an answer to it, leaves.
    fn new(verdict: Verdict, interface: Option<&str>) -> VerdictStatus {
        let interface = interface.unwrap_or_default();
        let (action, means) = match verdict {
            Verdict::Send { .. } => ("send", format!("it leaves by {interface}")),
            Verdict::Answer { .. } => ("answer", format!("Shunt answers it itself, by {interface}")),
            Verdict::Sent => ("send", format!("it leaves by {interface}, with what waited for it")),
            Verdict::Held => (
                "held",
                "it waits for the MAC of its next hop, or for the first fragment of its packet".to_owned(),
            ),
            // Who owns it was asked already; it changed hands in this moment.
            Verdict::HandOver { worker } => ("hand-over", format!("worker {worker} gets it")),
            Verdict::Refuse { .. } => {
                ("refuse", format!("it is not carried, and its sender is told by {interface}"))
            }
            Verdict::Drop(_) => ("drop", "it is not carried, and nobody is told".to_owned()),
        };
        let reason = verdict.reason();
        VerdictStatus {
            action,
            means,
            reason: reason.map(DropReason::as_str),
            stage: reason.and_then(DropReason::stage).map(Stage::as_str),
            remedy: reason.map(DropReason::remedy),
        }
    }
}
