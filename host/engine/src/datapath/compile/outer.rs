//! The outer header of a tunnel, beside what was decided for the flow.

use shunt_wire::Address;

use crate::datapath::model::virtual_::Virtual;
use crate::member::MemberState;

/// What is outside of the packets of a tunnel beside what was decided for the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) struct Outside {
    /// `None`: the address of the interface.
    pub(in crate::datapath) source: Option<Address>,
    /// The longest outer datagram that reaches the member.
    pub(in crate::datapath) mtu: u16,
}

impl Outside {
    /// Of the tunnel to a member. The upper half of `entropy` chooses the source: the lower one varies UDP ports
    /// and flow labels.
    pub(in crate::datapath) fn new(
        virtual_: Option<&Virtual>,
        member: (Address, Option<&MemberState>),
        entropy: u32,
        now: u64,
    ) -> Self {
        let (address, state) = member;
        let source = |it: &Virtual| it.tunnel_sources.of(address.family(), (entropy >> 16) as u16);
        Self {
            source: virtual_.and_then(source),
            mtu: state.and_then(|it| it.tunnel().mtu(now)).unwrap_or(u16::MAX),
        }
    }
}
