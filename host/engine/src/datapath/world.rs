//! What the datapath asks of who drives it.

use std::fmt;
use std::sync::Arc;

use shunt_wire::{Address, Endpoint, FlowKey, ip};

use super::mode::ModeName;
use super::probes::{Notice, Probed};
use super::snapshot::{PoolIndex, SnatPoolIndex, VirtualIndex};
use crate::flow::FlowId;
use crate::fragment::PartOf;

/// The side of the driver. Every method returns at once.
pub trait World {
    /// Asks the rules of a virtual. Called only where [`Hooks::on_flow`](super::snapshot::Hooks) is set.
    fn on_flow(&mut self, virtual_: VirtualIndex, flow: &NewFlow) -> Ruling;

    /// A flow ended. Called only where [`Hooks::on_done`](super::snapshot::Hooks) is set.
    fn on_done(&mut self, done: &Done);

    /// Sends a frame beside the one that is being received: a reset, a packet that was held, an announcement.
    fn send(&mut self, interface: u32, frame: &[u8]);

    /// Hands a frame, as it came in by `ingress`, to another worker, which
    /// [receives](super::Datapath::receive_handed_over) it; with what it is a part of, if that is known. Frames for one
    /// worker arrive there in their order. False: there is no room.
    fn hand_over(&mut self, worker: usize, ingress: u32, frame: &[u8], part: Option<PartOf>) -> bool;

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
    /// know (any more) it is told as well.
    fn noticed(&mut self, flow: &FlowKey, notice: Notice) {
        let _ = (flow, notice);
    }
}

/// What a rule is shown of a flow whose first packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlow {
    pub id: FlowId,
    pub client: Endpoint,
    pub vip: Endpoint,
    pub protocol: FlowProtocol,
    /// The interface that the packet came in by.
    pub ingress: u32,
}

/// What carries a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowProtocol {
    Tcp,
    Udp,
    /// Echo requests and their replies.
    Icmp,
    /// Another IP protocol, whose packets are known by their addresses alone.
    Other(u8),
}

impl FlowProtocol {
    /// Of an IP protocol number.
    #[must_use]
    pub const fn of(number: u8) -> Self {
        match number {
            ip::TCP => Self::Tcp,
            ip::UDP => Self::Udp,
            ip::ICMP | ip::ICMPV6 => Self::Icmp,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for FlowProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.pad("tcp"),
            Self::Udp => f.pad("udp"),
            Self::Icmp => f.pad("icmp"),
            Self::Other(number) => f.pad(&format!("protocol {number}")),
        }
    }
}

/// What the rules of a virtual decided, or `on-fault` in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// As configured.
    Next,
    To(Target),
    /// A TCP reset, or an ICMP error.
    Reject,
    Drop,
    /// The rule failed, and its `on-fault` is to reject.
    Fault,
}

/// Where a rule sends a flow. `None` means: as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub pool: Option<PoolIndex>,
    /// A member of the pool; taken as long as it is up and not disabled, else another one is chosen.
    pub member: Option<Endpoint>,
    pub mode: Option<ModeName>,
    pub snat_pool: Option<SnatPoolIndex>,
    pub persist: Option<PersistKey>,
}

/// Equal keys of one virtual go to the same member while it is usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistKey {
    /// At most 256 bytes.
    pub key: Vec<u8>,
    /// How long the binding outlives its last use, in milliseconds; `None`: as the virtual is configured.
    pub timeout: Option<u64>,
}

/// A flow that ended, whatever ended it; also one that was refused after its rules had been asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub flow: NewFlow,
    /// The name of its virtual.
    pub virtual_: Arc<str>,
    /// Where the virtual stands in the current snapshot, if it is still there.
    pub index: Option<VirtualIndex>,
    /// `None`, as the member: it went to none, or was refused and never carried.
    pub pool: Option<Arc<str>>,
    pub member: Option<Endpoint>,
    /// `None`: it was refused, and never carried.
    pub mode: Option<ModeName>,
    pub outcome: Outcome,
    pub to_server: Traffic,
    pub to_client: Traffic,
    /// From its first packet to its last, in milliseconds.
    pub duration: u64,
    /// To the first packet of the member, in milliseconds; `None` where none was seen.
    pub first_answer: Option<u64>,
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Both sides closed, or a flow without connection was idle for its time.
    Complete,
    /// The client reset it, or fell silent.
    ClientGone,
    /// The member reset it, never answered, or went down.
    MemberFailed,
    /// It was refused, or an operator or a reload ended it.
    Refused,
}

/// What one direction carried, as it came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub packets: u64,
    /// Bytes of IP datagrams.
    pub bytes: u64,
}
