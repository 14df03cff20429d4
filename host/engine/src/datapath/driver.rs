//! What the datapath asks of the worker that drives it.

use shunt_wire::{Address, FlowKey};

use super::model::index::VirtualIndex;
use super::model::probe::{Notice, Probed};
use super::model::ruling::{Done, NewFlow, Ruling};
use crate::flow::FlowId;
use crate::fragment::FragmentOf;

/// What a datapath asks of the worker that drives it. Every method returns at once.
pub trait Driver {
    /// Asks the rules of a virtual. Called only where [`Hooks::on_flow`](super::Hooks) is set.
    fn on_flow(&mut self, virtual_: VirtualIndex, flow: &NewFlow) -> Ruling;

    /// A flow ended. Called only where [`Hooks::on_done`](super::Hooks) is set.
    fn on_done(&mut self, done: &Done);

    /// A flow ended and no rule is called for it. What a rule kept for it, when it was asked at its beginning, is not
    /// needed any more.
    fn ended(&mut self, flow: FlowId) {
        let _ = flow;
    }

    /// Sends a frame beside the one that is being received: a reset, a pending packet, an announcement.
    fn send(&mut self, interface: u32, frame: &[u8]);

    /// Hands a frame, as it came in by `ingress`, to another worker, which
    /// [receives](super::Datapath::receive_handed_over) it; with the packet that it is a fragment of, if that is known. Frames for one
    /// worker arrive there in their order. False: there is no room.
    fn hand_over(&mut self, worker: usize, ingress: u32, frame: &[u8], part: Option<FragmentOf>) -> bool;

    /// Asks the kernel to find the MAC of a neighbour on a link.
    fn solicit(&mut self, link: u32, neighbour: Address);

    /// An unpredictable number.
    fn random(&mut self) -> u64;

    /// Which member a monitor probes by a packet that came in by the [link](super::OnPath) of probes; `None`:
    /// no monitor sent it. A driver without monitors knows of none.
    fn probed(&mut self, flow: &FlowKey) -> Option<Probed> {
        let _ = flow;
        None
    }

    /// Something came of a probe, whose packets have the source of `flow`; of such as the driver does not
    /// know (any more) it is notified as well.
    fn noticed(&mut self, flow: &FlowKey, notice: Notice) {
        let _ = (flow, notice);
    }
}
