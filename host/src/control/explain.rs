//! How a packet would be handled, in the shapes of the admin API.

use std::net::SocketAddr;

use shunt_api::explain::{
    ConsideredStatus, Explained, LeavingStatus, RewriteStatus, RuleSaid, StageStatus, VerdictStatus,
};
use shunt_engine::datapath::{
    Considered, DropReason, Explanation, FlowDetails, Leaving, Point, Stage, Standing, Unasked, Verdict,
};
use shunt_wire::Endpoint;

use super::Control;
use shunt_packets::explain::{Answer, Query, RuleTrace};

/// Why there is no explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unexplained {
    NoPacketVirtuals,
    NoSuchPacket(Unasked),
}

impl Control {
    /// Traces how a packet would be handled.
    ///
    /// # Errors
    /// There is no such packet, or no worker that would forward it.
    pub async fn explain(&self, query: &Query) -> Result<Explained, Unexplained> {
        let packets = self.planes.packets.running().ok_or(Unexplained::NoPacketVirtuals)?;
        let answer = packets.explain(query).await.ok_or(Unexplained::NoPacketVirtuals)?;
        let answer = answer.map_err(Unexplained::NoSuchPacket)?;
        Ok(explained(answer, |it| self.reason(it)))
    }

    /// Why a member is down: on the service path of its virtual, where it is probed there.
    fn reason(&self, it: &Considered) -> Option<String> {
        let (pool, member) = (&*it.pool, SocketAddr::from(it.member));
        let paths = self.monitors.on_path(pool, member).into_iter();
        let paths: Vec<_> = paths.filter(|path| *path.virtual_ == *it.virtual_).collect();
        // In a mode in which nobody probes, by that of the virtual.
        match paths.iter().find(|path| path.mode.mode == it.mode.name()).or(paths.first()) {
            Some(path) => path.reason.clone(),
            None => self.monitors.reason(pool, member),
        }
    }
}

/// `reason` tells why a member is down.
fn explained(answer: Answer, reason: impl Fn(&Considered) -> Option<String>) -> Explained {
    let Answer { explanation, traces } = answer;
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
        stages: stages(notes, &traces),
        rules: traces.into_iter().map(|RuleTrace { rule, said }| RuleSaid { rule, said }).collect(),
        members: members.into_iter().map(|it| considered(&it, &reason)).collect(),
        flow: flow.as_ref().filter(|_| flow_is_there).map(|flow| flow.summary.id.to_string()),
        rewrite: flow.map(rewrite),
        verdict: match is_the_kernels {
            true => not_shunts(),
            false => verdict_status(verdict, interface.as_deref()),
        },
        leaves: leaves.into_iter().map(leaving).collect(),
    }
}

/// What was found, in order, by where it was found; what rules said stands before what that means.
fn stages(notes: impl Iterator<Item = (Point, String)>, traces: &[RuleTrace]) -> Vec<StageStatus> {
    let mut stages: Vec<StageStatus> = Vec::new();
    for (at, text) in notes {
        let stage = at.as_str();
        if stages.last().is_none_or(|last| last.stage != stage) {
            let said = traces.iter().map(|it| format!("{} says: {}", it.rule, it.said));
            let found = if at == Point::Stage(Stage::Rule) { said.collect() } else { Vec::new() };
            stages.push(StageStatus { stage: stage.to_owned(), found });
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
        standing: it.why.as_str().to_owned(),
        why,
    }
}

fn rewrite(FlowDetails { summary, to_server, to_client }: FlowDetails) -> RewriteStatus {
    RewriteStatus {
        virtual_name: summary.virtual_.to_string(),
        pool: summary.pool.to_string(),
        member: summary.member.to_string(),
        mode: summary.mode.as_str().to_owned(),
        snat: summary.snat.as_ref().map(Endpoint::to_string),
        to_server,
        to_client,
    }
}

fn leaving(Leaving { interface, bytes, frame }: Leaving) -> LeavingStatus {
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    LeavingStatus { interface, packet: frame, hex }
}

/// Of what Shunt does not take from its interfaces.
fn not_shunts() -> VerdictStatus {
    let means = "Shunt does not take the packet: the kernel of this host gets it".to_owned();
    VerdictStatus { action: "pass".to_owned(), means, reason: None, stage: None, remedy: None }
}

/// `interface` is the one by which the packet, or an answer to it, leaves.
fn verdict_status(verdict: Verdict, interface: Option<&str>) -> VerdictStatus {
    let interface = interface.unwrap_or_default();
    let (action, means) = match verdict {
        Verdict::Send { .. } => ("send", format!("the packet leaves by {interface}")),
        Verdict::Answer { .. } => ("answer", format!("Shunt sends a reply itself, by {interface}")),
        Verdict::Sent => ("send", format!("the packet leaves by {interface}, with those that waited for it")),
        Verdict::Pending => {
            ("held", "the packet waits for the MAC of its next hop, or for its first fragment".to_owned())
        }
        // Who owns it was asked already; it changed hands in this moment.
        Verdict::HandOver { worker } => ("hand-over", format!("worker {worker} gets the packet")),
        Verdict::Refuse { .. } => (
            "refuse",
            format!("the packet is not forwarded; Shunt sends a TCP reset or an ICMP error by {interface}"),
        ),
        Verdict::Drop(_) => ("drop", "the packet is not forwarded; Shunt sends no reply".to_owned()),
    };
    let reason = verdict.reason();
    VerdictStatus {
        action: action.to_owned(),
        means,
        reason: reason.map(DropReason::as_str).map(str::to_owned),
        stage: reason.and_then(DropReason::stage).map(Stage::as_str).map(str::to_owned),
        remedy: reason.map(DropReason::remedy).map(str::to_owned),
    }
}
