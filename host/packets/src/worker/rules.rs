//! A worker's instances of the rules of packet virtuals, and what their verdicts mean to packets.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shunt_engine::datapath::{
    Done, FlowProtocol, ModeName, NewFlow, Outcome, PersistKey, Pool, PoolIndex, Ruling, Snapshot,
    SnatPoolIndex, Target, Virtual, VirtualIndex,
};
use shunt_engine::flow::FlowId;
use shunt_rules::{self as host, Attachment, Fault, Flow, FlowVerdict, Hook, Summary, Transport, Vars};
use shunt_wire::Endpoint;

use crate::control::snapshot::Loaded;
use crate::worker::explain::RuleTrace;
use shunt_runtime::rules::attached::AttachedRule;
use shunt_runtime::rules::chain::{Chain, Decision};

/// Sets the numbers of packet flows apart from those of connections: a rule may see both.
const PACKET_FLOW: u64 = 1 << 63;

/// The rules of all virtuals, in the order of the snapshot.
pub(crate) struct Rules {
    engine: Arc<Snapshot>,
    virtuals: Vec<Vec<Rule>>,
    /// Variables of flows in flight, where rules set any and an `on-done` will ask for them.
    vars: HashMap<FlowId, Vars>,
    /// Variables of the flow that is just being decided about.
    deciding: Option<(FlowId, Vars)>,
    /// While they are collected: what each rule says of a flow.
    traces: Option<Vec<RuleTrace>>,
}

type Rule = AttachedRule<PoolIndex, Slot>;

/// The rules of a snapshot as one worker takes them over. New instances were made already, which may take as long as
/// their `on-load`; what becomes free is freed elsewhere, too.
#[derive(Default)]
pub(crate) struct NewRules {
    virtuals: Vec<Vec<Rule>>,
    /// Of rules that are in the snapshot before as well, whose instances stay warm: their virtual and their place there,
    /// and here.
    kept: Vec<[(usize, usize); 2]>,
}

/// What a slot stands for.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Pool(PoolIndex),
    Snat(SnatPoolIndex),
}

impl Rules {
    pub(crate) fn new(loaded: &Loaded) -> Rules {
        Rules {
            engine: Arc::clone(&loaded.engine),
            virtuals: NewRules::prepare(loaded, None).virtuals,
            vars: HashMap::new(),
            deciding: None,
            traces: None,
        }
    }

    /// Takes over the rules of a snapshot; gives back what was before, to be freed.
    pub(crate) fn replace(&mut self, loaded: &Loaded, mut new: NewRules) -> NewRules {
        self.engine = Arc::clone(&loaded.engine);
        let at =
            |all: &[Vec<Rule>], place: (usize, usize)| all.get(place.0).is_some_and(|it| place.1 < it.len());
        for [was, is] in &new.kept {
            if at(&self.virtuals, *was) && at(&new.virtuals, *is) {
                new.virtuals[is.0][is.1].go_on(&self.virtuals[was.0][was.1]);
            }
        }
        std::mem::swap(&mut self.virtuals, &mut new.virtuals);
        new
    }

    /// `on-flow`, in the order of the rules, until one decides.
    pub(crate) fn on_flow(&mut self, index: VirtualIndex, flow: &NewFlow) -> Ruling {
        let (Some(virtual_), Some(rules)) = (self.engine.virtual_(index), self.virtuals.get(index.0)) else {
            return Ruling::Next;
        };
        let shown = shown(flow);
        let mut vars = Vars::default();
        let (engine, traces) = (&self.engine, &mut self.traces);
        let decision = Chain::new(Hook::OnFlow, rules).ask(|rule| {
            let mut runner = rule.runner.borrow_mut();
            let answer = runner.on_flow(&shown, &mut vars);
            if let Some(traces) = traces {
                traces
                    .push(RuleTrace { rule: rule.attachment.name().to_string(), said: said(rule, &answer) });
            }
            Ok(match answer? {
                FlowVerdict::Next => None,
                FlowVerdict::Reject => Some(Ruling::Reject),
                FlowVerdict::Drop => Some(Ruling::Drop),
                FlowVerdict::To(to) => {
                    let target = target(rule, to, virtual_, engine);
                    let target = target.map_err(|why| runner.refuse_verdict(Hook::OnFlow, why))?;
                    Some(Ruling::To(target))
                }
            })
        });
        let ruling = match decision {
            None => Ruling::Next,
            Some(Decision::Verdict(ruling)) => ruling,
            Some(Decision::Refuse) => Ruling::Fault,
            Some(Decision::Pool(pool)) => Ruling::To(Target { pool: Some(*pool), ..Target::default() }),
        };
        let asks_at_the_end = rules.iter().any(|rule| rule.attachment.hooks().contains(Hook::OnDone));
        self.deciding = (asks_at_the_end && !vars.is_empty()).then_some((flow.id, vars));
        ruling
    }

    /// Listens to what rules say from now on.
    pub(crate) fn listen(&mut self) {
        self.traces = Some(Vec::new());
    }

    /// What was traced since; nothing is traced any more.
    pub(crate) fn traces(&mut self) -> Vec<RuleTrace> {
        self.traces.take().unwrap_or_default()
    }

    /// A frame is done with; whether a flow came of it.
    pub(crate) fn decided(&mut self, became_a_flow: bool) {
        if let Some((id, vars)) = self.deciding.take()
            && became_a_flow
        {
            self.vars.insert(id, vars);
        }
    }

    /// `on-done` of every rule of the flow's virtual.
    pub(crate) fn on_done(&mut self, done: &Done) {
        let id = done.flow.id;
        let deciding = self.deciding.take_if(|(deciding, _)| *deciding == id).map(|(_, vars)| vars);
        let mut vars = deciding.or_else(|| self.vars.remove(&id)).unwrap_or_default();
        let Some(rules) = done.index.and_then(|index| self.virtuals.get(index.0)) else { return };
        let summary = summary(done);
        // What fails changes nothing any more.
        Chain::new(Hook::OnDone, rules)
            .tell(|rule| rule.runner.borrow_mut().on_done(&summary, None, &mut vars));
    }

    /// A flow ended of which no rule asks any more: a reload took the one that did.
    pub(crate) fn ended(&mut self, id: FlowId) {
        if !self.vars.is_empty() {
            self.vars.remove(&id);
        }
    }
}

impl NewRules {
    /// What a worker takes over that has the rules of `before`, or none. Makes instances, which runs `on-load` of rules
    /// that are new.
    pub(crate) fn prepare(loaded: &Loaded, before: Option<&Loaded>) -> NewRules {
        let mut known = HashMap::new();
        for (virtual_, settings) in before.into_iter().flat_map(|before| before.virtuals.iter().enumerate()) {
            let places = settings.rules.iter().enumerate();
            known.extend(places.map(|(place, it)| (Arc::as_ptr(it), (virtual_, place))));
        }
        let pool = |name: &str| loaded.pool(name);
        let slot = |name: &str| {
            let snat = || loaded.snat_pool(name).map(Slot::Snat);
            pool(name).map(Slot::Pool).or_else(snat)
        };
        let mut kept = Vec::new();
        let mut rule =
            |place: (usize, usize), attachment: &Arc<Attachment>| match known.get(&Arc::as_ptr(attachment)) {
                Some(was) => {
                    kept.push([*was, place]);
                    Rule::cold(attachment, slot, pool)
                }
                None => Rule::new(attachment, None, slot, pool),
            };
        let virtuals = loaded.virtuals.iter().enumerate().map(|(virtual_, settings)| {
            let rules = settings.rules.iter().enumerate();
            rules.map(|(place, attachment)| rule((virtual_, place), attachment)).collect()
        });
        NewRules { virtuals: virtuals.collect(), kept }
    }
}

/// The member of a pool that would not get packets for a port, if they leave Shunt as they came: port 0 is whichever
/// port was asked for.
pub(crate) fn other_port(pool: &Pool, port: u16) -> Option<Endpoint> {
    let mut endpoints = pool.members.iter().map(|member| member.endpoint);
    endpoints.find(|endpoint| ![0, port].contains(&endpoint.port))
}

/// What a rule said, in words.
fn said(rule: &Rule, answer: &Result<FlowVerdict, Fault>) -> String {
    let host::Target { pool, member, mode, snat_pool, persist } = match answer {
        Ok(FlowVerdict::Next) => return "next".to_owned(),
        Ok(FlowVerdict::Reject) => return "reject".to_owned(),
        Ok(FlowVerdict::Drop) => return "drop".to_owned(),
        Ok(FlowVerdict::To(target)) => target,
        Err(fault) => return format!("fault: {fault}"),
    };
    let slot = |place: &usize| match rule.attachment.slots().get(*place) {
        Some(binding) => format!("{} (pool {})", binding.slot, binding.pool),
        None => format!("slot {place}"),
    };
    let named = [
        pool.as_ref().map(slot),
        member.map(|member| format!("member {member}")),
        mode.map(|mode| format!("mode {}", mode_name(mode).map_or("proxy", ModeName::as_str))),
        snat_pool.as_ref().map(|place| format!("SNAT pool {}", slot(place))),
        persist.as_ref().map(|persist| format!("a persistence key of {} bytes", persist.key.len())),
    ];
    let named: Vec<String> = named.into_iter().flatten().collect();
    if named.is_empty() { "as configured".to_owned() } else { format!("to {}", named.join(", ")) }
}

/// The target as the engine takes it, or why it cannot be.
fn target(
    rule: &Rule,
    target: host::Target,
    virtual_: &Virtual,
    engine: &Snapshot,
) -> Result<Target, String> {
    let slot = |index: usize| {
        let name = rule.attachment.slots().get(index).map_or("", |binding| &binding.slot);
        (rule.slot(index).copied(), name)
    };
    let pool = match target.pool.map(slot) {
        None => None,
        Some((Some(Slot::Pool(pool)), _)) => Some(pool),
        Some((_, name)) => {
            return Err(format!("chose the slot {name:?} as pool, which is bound to a SNAT pool or to none"));
        }
    };
    let snat_pool = match target.snat_pool.map(slot) {
        None => None,
        Some((Some(Slot::Snat(pool)), _)) => Some(pool),
        Some((_, name)) => {
            return Err(format!("chose the slot {name:?} as SNAT pool, which is not bound to one"));
        }
    };
    let mode = target.mode.map(mode_name).transpose()?;
    let chosen = virtual_.modes.choose(mode, snat_pool).map_err(|lacks| {
        let lacks = match lacks {
            shunt_engine::datapath::Lacks::SnatPool => "snat-pool",
            shunt_engine::datapath::Lacks::Dscp => "dscp",
        };
        format!("chose a mode for which the virtual has no `{lacks}`")
    })?;
    let going_to = pool.or(virtual_.pool).and_then(|pool| engine.pool(pool));
    if let (Some(pool), Some(member)) = (going_to, target.member)
        && pool.position(member.into()).is_none()
    {
        return Err(format!("chose {member}, which the pool {} does not have", pool.name));
    }
    if let Some(pool) = going_to.filter(|_| !chosen.name().is_two_way())
        && let Some(member) = other_port(pool, virtual_.listen.port)
    {
        let (mode, pool) = (chosen.name(), &pool.name);
        return Err(format!(
            "chose {mode}, which does not rewrite the port, and {member} of {pool} has another"
        ));
    }
    Ok(Target {
        pool,
        member: target.member.map(Endpoint::from),
        mode,
        snat_pool,
        persist: target.persist.map(persist),
    })
}

fn mode_name(mode: host::Mode) -> Result<ModeName, String> {
    Ok(match mode {
        host::Mode::Proxy => return Err("chose the mode proxy, which a packet virtual has not".to_owned()),
        host::Mode::Nat => ModeName::Nat,
        host::Mode::Snat => ModeName::Snat,
        host::Mode::L2dsr => ModeName::L2dsr,
        host::Mode::L3dsrDscp => ModeName::L3dsrDscp,
        host::Mode::L3dsrIpip => ModeName::L3dsrIpip,
        host::Mode::L3dsrGre => ModeName::L3dsrGre,
        host::Mode::L3dsrGue => ModeName::L3dsrGue,
    })
}

fn persist(persist: host::PersistKey) -> PersistKey {
    let milliseconds = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    PersistKey { key: persist.key, timeout: persist.timeout.map(milliseconds) }
}

fn shown(flow: &NewFlow) -> Flow {
    Flow {
        id: flow.id.get() | PACKET_FLOW,
        client: flow.client.into(),
        vip: flow.vip.into(),
        transport: match flow.protocol {
            FlowProtocol::Tcp => Transport::Tcp,
            FlowProtocol::Udp => Transport::Udp,
            FlowProtocol::Icmp => Transport::Icmp,
            FlowProtocol::Other(_) => Transport::Other,
        },
        ingress: flow.ingress,
    }
}

fn summary(done: &Done) -> Summary {
    Summary {
        flow: shown(&done.flow),
        outcome: match done.outcome {
            Outcome::Complete => host::Outcome::Complete,
            Outcome::ClientGone => host::Outcome::ClientGone,
            Outcome::MemberFailed => host::Outcome::MemberFailed,
            Outcome::Refused => host::Outcome::Refused,
        },
        status: 0,
        member: done.member.map(SocketAddr::from),
        bytes_to_server: done.to_server.bytes,
        bytes_to_client: done.to_client.bytes,
        packets_to_server: done.to_server.packets,
        packets_to_client: done.to_client.packets,
        duration: Duration::from_millis(done.duration),
        first_byte: done.first_answer.map(Duration::from_millis),
    }
}
