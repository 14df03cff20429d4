//! What becomes of a frame.

use super::reason::DropReason;

/// What becomes of one frame; every frame gets exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The frame, changed in place, leaves by this interface.
    Send { interface: u32 },
    /// The frame is now Shunt's own reply to a request for one of its addresses (ARP, neighbour
    /// discovery, echo), and leaves by this interface.
    Answer { interface: u32 },
    /// A copy waits: until the MAC of the next hop is known, or for the first fragment of its packet.
    Pending,
    /// It left by [`Driver::send`](crate::datapath::Driver::send), before others that had waited for it.
    Sent,
    /// A copy went to another worker, by [`Driver::hand_over`](crate::datapath::Driver::hand_over).
    HandOver { worker: usize },
    /// It is not forwarded, and the frame is now the refusal to its sender (a TCP reset or an ICMP error),
    /// which leaves by this interface.
    Refuse { interface: u32, reason: DropReason },
    /// It is dropped without a reply.
    Drop(DropReason),
}

impl Verdict {
    /// The interface by which the frame, as it is now, has to leave.
    #[must_use]
    pub const fn interface(self) -> Option<u32> {
        match self {
            Self::Send { interface } | Self::Answer { interface } | Self::Refuse { interface, .. } => {
                Some(interface)
            }
            Self::Pending | Self::Sent | Self::HandOver { .. } | Self::Drop(_) => None,
        }
    }

    /// Why it is not forwarded, if so.
    #[must_use]
    pub const fn reason(self) -> Option<DropReason> {
        match self {
            Self::Refuse { reason, .. } | Self::Drop(reason) => Some(reason),
            Self::Send { .. } | Self::Answer { .. } | Self::Pending | Self::Sent | Self::HandOver { .. } => {
                None
            }
        }
    }
}
