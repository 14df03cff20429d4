//! Insert: from here on the flow is found by its packets, in both directions.

use std::sync::Arc;

use super::First;
use super::selection::Chosen;
use crate::datapath::compile::plan::{Ends, Path, Plan};
use crate::datapath::model::flow::Traffic;
use crate::datapath::model::mode::ModeName;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::state::accounting::Accounting;
use crate::datapath::state::flow::FlowState;
use crate::datapath::state::flows::Flows;
use crate::datapath::{DEFAULT_IDLE, DEFAULT_TCP_IDLE};
use crate::flow::tcp::Visibility;
use crate::flow::{Direction, FlowId, Refusal};
use crate::snat::Lease;

/// Puts the flow into the table, and counts it.
pub(super) fn insert(
    flows: &mut Flows,
    accounting: &mut Accounting,
    first: &First<'_>,
    chosen: &Chosen,
    (plan, ends, paths): (Plan, Ends, [Path; 2]),
    lease: Option<Lease>,
) -> Result<FlowId, DropReason> {
    let visibility = if ends.mode.is_two_way() { Visibility::Both } else { Visibility::ToServer };
    let tracker = first.tracker(visibility)?;
    let mut traffic = [Traffic::default(); 2];
    traffic[Direction::ToServer as usize].add(first.packet.length);
    // Neither a probe nor what is only explained is a load of the member.
    let busy = match first.is_probe || first.trace.listens() {
        true => &accounting.probed,
        false => &chosen.member.state,
    };
    let Some(in_pool) = busy.try_enter() else {
        // Another worker was quicker.
        if let Some(lease) = lease {
            flows.leases.cancel(lease, first.now);
        }
        return Err(DropReason::NoMember);
    };
    let state = FlowState {
        paths,
        traffic,
        last: first.now,
        tracker,
        busy: Arc::clone(busy),
        in_pool,
        mode: ends.mode,
        is_probe: first.is_probe,
        returns: ends.sender.is_some(),
        virtual_: first.entry,
        member: chosen.entry,
        begun: first.now,
        first_answer: None,
        ingress: first.arrival.ingress,
        plan,
        lease,
    };
    let deadline = state.deadline();
    let reverse = plan.reverse(&ends);
    first.trace.at(Stage::Insert, || match reverse {
        Some(reverse) => format!("replies come as {} > {}", reverse.source(), reverse.destination()),
        None => "the member sends replies directly to the client".to_owned(),
    });
    let inserted = flows.table.insert(first.packet.key, reverse, state);
    let id = match inserted {
        Ok(id) => id,
        Err(mut refused) => {
            if let Some(lease) = refused.value.lease.take() {
                flows.leases.cancel(lease, first.now);
            }
            return Err(match refused.why {
                Refusal::Full => DropReason::TableFull,
                Refusal::Taken { .. } | Refusal::Mirrored => DropReason::TupleTaken,
            });
        }
    };
    flows.timers.schedule(id.slot(), deadline);
    if first.is_probe {
        accounting.begin_probe(first.entry, chosen.entry);
    } else {
        count_new(accounting, first, chosen, ends.mode);
    }
    Ok(id)
}

fn count_new(accounting: &mut Accounting, first: &First<'_>, chosen: &Chosen, mode: ModeName) {
    let of_mode = &mut accounting.tally.modes[mode as usize];
    let of_virtual = accounting.entries.virtual_mut(first.entry).map(|entry| &mut entry.traffic);
    for counters in [Some(of_mode), of_virtual].into_iter().flatten() {
        counters.begin();
        counters.count(Direction::ToServer, first.packet.length);
    }
    if let Some(entry) = accounting.entries.member_mut(chosen.entry) {
        entry.traffic.begin();
        entry.traffic.count(Direction::ToServer, first.packet.length);
    }
}

impl First<'_> {
    /// How long the flow may be silent, in milliseconds.
    pub(super) fn idle(&self) -> u32 {
        let default = if self.packet.tcp.is_some() { DEFAULT_TCP_IDLE } else { DEFAULT_IDLE };
        let idle = if self.is_probe { DEFAULT_IDLE } else { self.virtual_.idle.unwrap_or(default) };
        u32::try_from(idle).unwrap_or(u32::MAX)
    }
}
