//! What rules are shown of a flow, and what they decide.

use std::sync::Arc;

use shunt_wire::Endpoint;

use super::flow::{FlowProtocol, Traffic};
use super::index::{PoolIndex, SnatPoolIndex, VirtualIndex};
use super::mode::ModeName;
use crate::flow::FlowId;

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
    /// `None`, as the member: it went to none, or was refused and never forwarded.
    pub pool: Option<Arc<str>>,
    pub member: Option<Endpoint>,
    /// `None`: it was refused, and never forwarded.
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
