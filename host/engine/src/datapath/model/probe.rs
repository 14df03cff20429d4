//! What a monitor finds out by probes that are forwarded as clients' packets are.

use shunt_wire::{Address, Endpoint};

use super::index::{PoolIndex, SnatPoolIndex, VirtualIndex};
use super::mode::ModeName;
use super::reason::DropReason;
use crate::packet::ErrorPacket;

/// What a probe is to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Whose clients' way it takes.
    pub virtual_: VirtualIndex,
    pub pool: PoolIndex,
    pub member: Endpoint,
    /// In which mode and with which SNAT pool, as a rule would choose them; `None`: as the virtual has them.
    pub mode: Option<ModeName>,
    pub snat_pool: Option<SnatPoolIndex>,
}

/// Something that came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// It is on its way to the member, which sees it come from here.
    Forwarded { from: Endpoint },
    /// It was not forwarded.
    Refused(DropReason),
    /// The member answered.
    Answered,
    /// A reply came from another endpoint than it was sent to: the member replied from an address of its own.
    AnsweredBy(Endpoint),
    /// The reply came from the gateway toward clients, where it would not have come for a client.
    Detour { gateway: Address },
    /// The packet itself came back: the station that got it forwarded it.
    Returned,
    /// An ICMP error.
    Error { by: Address, icmp_type: u8, icmp_code: u8 },
}

impl ErrorPacket {
    /// The error as a monitor sees it.
    pub(in crate::datapath) const fn notice(&self) -> Notice {
        Notice::Error { by: self.source, icmp_type: self.icmp_type, icmp_code: self.icmp_code }
    }
}
