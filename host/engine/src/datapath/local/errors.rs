//! ICMP errors about packets that Shunt forwarded: delivered to the sender of the packet, with the addresses
//! that it used.

use shunt_wire::vlan;

use crate::datapath::Datapath;
use crate::datapath::context::Context;
use crate::datapath::driver::Driver;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::state::path::Blocked;
use crate::packet::ErrorPacket;

impl Datapath {
    /// Sends an error on to the end of the flow that sent the packet which it is about.
    ///
    /// The error travels against that packet, so it is rewritten as the packets of its own direction are, and
    /// the packet in it as it was before Shunt rewrote it. In modes whose return traffic does not pass through Shunt
    /// an error about it comes to the VIP: the member that sent the packet gets it, on the way by
    /// which it gets the client's packets.
    pub(in crate::datapath) fn deliver_error(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        error: &ErrorPacket,
    ) -> Verdict {
        let Some((id, direction)) = self.flows.table.find(&error.embedded.reversed()) else {
            if let Some(reason) = self.tunnel_error(cx.now, error) {
                return Verdict::Drop(reason);
            }
            if let Some(verdict) = self.not_owned_here(cx) {
                return verdict;
            }
            let probe = self.error_about_probe(cx, error);
            return probe.unwrap_or(Verdict::Drop(DropReason::StrayError));
        };
        self.notice_error(id, error, cx.driver);
        match self.ready(cx, id, direction) {
            Ok(()) => {}
            Err(Blocked::Unresolved(via)) => return self.defer(cx, &via),
            // No ICMP error is sent about an ICMP error (RFC 1812 section 4.3.2.7).
            Err(Blocked::Refused(reason)) => return Verdict::Drop(reason),
        }
        let Some(flow) = self.flows.get(id) else { return Verdict::Drop(DropReason::StrayError) };
        let path = flow.path(direction);
        let embedded = &error.embedded_layout;
        match path.rewrite.apply_to_error(cx.frame, &cx.arrival.packet.layout, embedded) {
            Ok(()) => {}
            Err(refused) => return Verdict::Drop(DropReason::of_rewrite_error(refused)),
        }
        match vlan::change(cx.frame, cx.arrival.packet.vlan, path.vlan) {
            Some(()) => Verdict::Send { interface: path.rewrite.interface },
            None => Verdict::Drop(DropReason::NoRoom),
        }
    }
}
