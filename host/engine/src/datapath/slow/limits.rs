//! Limits: what stands between a flood and the rules.

use super::First;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::state::accounting::Accounting;
use crate::datapath::state::flows::Flows;
use crate::limit::{SynLimit, TokenBucket};

/// Asks for room first: what is refused for want of it must not use up the rate.
pub(super) fn admit(flows: &Flows, accounting: &mut Accounting, first: &First<'_>) -> Result<(), DropReason> {
    first.trace.at(Stage::Limits, || {
        format!("this worker has {} flows of at most {}", flows.table.len(), flows.table.limit())
    });
    if flows.table.len() >= flows.table.limit() {
        return Err(DropReason::TableFull);
    }
    let configured = first.virtual_.limits;
    let (limits, active) =
        accounting.entries.limits(first.now, first.entry, configured).ok_or(DropReason::NoVirtual)?;
    if let Some(limit) = limits.flows {
        first.trace.at(Stage::Limits, || format!("the virtual has {active} flows here of at most {limit}"));
    }
    if limits.flows.is_some_and(|limit| active >= u64::from(limit)) {
        return Err(DropReason::VirtualFull);
    }
    // A segment out of nothing costs as much as a SYN, so it counts as one.
    let syn = limits.syn_rate.as_mut().filter(|_| first.packet.tcp.is_some());
    let syn = syn.map(|limit: &mut SynLimit| limit.admit(first.now));
    if let Some(admitted) = syn {
        first.trace.at(Stage::Limits, || rate("syn-rate", admitted));
    }
    if syn == Some(false) {
        return Err(DropReason::SynRate);
    }
    let flow = limits.flow_rate.as_mut().map(|bucket: &mut TokenBucket| bucket.take(first.now));
    if let Some(admitted) = flow {
        first.trace.at(Stage::Limits, || rate("flow-rate", admitted));
    }
    if flow == Some(false) {
        return Err(DropReason::FlowRate);
    }
    Ok(())
}

/// What a rate says of one more.
fn rate(name: &str, admitted: bool) -> String {
    if admitted { format!("{name} has room for one more") } else { format!("{name} is used up for now") }
}
