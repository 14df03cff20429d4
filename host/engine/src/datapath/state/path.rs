//! Whether the path of a flow can be replayed.

use super::config::Config;
use super::flow::ends;
use super::flows::Flows;
use crate::datapath::compile::outer::Outside;
use crate::datapath::model::reason::DropReason;
use crate::datapath::snapshot::Owned;
use crate::flow::{Direction, FlowId};
use crate::network::Via;

/// Why a path cannot be replayed now.
pub(in crate::datapath) enum Blocked {
    /// The MAC of the next hop has to be asked for.
    Unresolved(Via),
    Refused(DropReason),
}

impl Flows {
    /// Compiles a direction of a flow for the snapshot and the network of this moment; if the MAC of its next hop
    /// is not known, whom to ask.
    pub(in crate::datapath) fn renew(
        &mut self,
        config: &Config,
        now: u64,
        id: FlowId,
        direction: Direction,
    ) -> Result<Option<Via>, DropReason> {
        let flow = self.table.get_mut(id).ok_or(DropReason::NoFlow)?;
        let (plan, ends) = (flow.value.plan, ends(flow));
        let virtual_ = config.snapshot.entered(flow.value.virtual_).map(|(virtual_, _)| virtual_);
        let member = config.snapshot.entered_member(flow.value.member).map(|(_, member)| &*member.state);
        let outside = Outside::new(virtual_, (plan.member.address, member), plan.entropy, now);
        let compiled = plan.compile(&ends, direction, &outside, &config.network, config.epoch)?;
        flow.value.paths[direction as usize] = compiled.path;
        Ok(compiled.unresolved)
    }

    /// Why a flow has no place in the current snapshot, if so.
    pub(in crate::datapath) fn orphaned(&self, config: &Config, id: FlowId) -> Option<DropReason> {
        let state = self.get(id)?;
        if config.snapshot.entered(state.virtual_).is_none_or(|(_, index)| index.is_none()) {
            return Some(DropReason::VirtualGone);
        }
        let snat = state.lease.as_ref()?.address();
        let still = matches!(config.snapshot.owned(snat), Some(Owned::Snat(_)));
        if still { None } else { Some(DropReason::SnatGone) }
    }
}
