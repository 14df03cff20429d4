//! Limits: what stands between a flood and the rules.

use super::First;
use crate::datapath::Datapath;
use crate::datapath::reason::DropReason;
use crate::limit::{SynLimit, TokenBucket};

impl Datapath {
    /// Asks for room first: what is refused for want of it must not use up the rate.
    pub(super) fn limits(&mut self, first: &First<'_>) -> Result<(), DropReason> {
        if self.flows.len() >= self.flows.limit() {
            return Err(DropReason::TableFull);
        }
        let seat = self.seats.virtual_mut(first.seat).ok_or(DropReason::NoVirtual)?;
        if seat.limits.flows.is_some_and(|limit| seat.carried.active >= u64::from(limit)) {
            return Err(DropReason::VirtualFull);
        }
        // A segment out of nothing costs as much as a SYN, so it counts as one.
        let syn = seat.limits.syn_rate.as_mut().filter(|_| first.packet.tcp.is_some());
        if !syn.is_none_or(|limit: &mut SynLimit| limit.admit(first.now)) {
            return Err(DropReason::SynRate);
        }
        let rate = seat.limits.flow_rate.as_mut();
        if !rate.is_none_or(|bucket: &mut TokenBucket| bucket.take(first.now)) {
            return Err(DropReason::FlowRate);
        }
        Ok(())
    }
}
