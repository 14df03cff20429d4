//! Which frames Shunt needs of the kernel, beside those for its own addresses: what the maps of the kernel program say
//! (`shunt_wire::steering`), by what virtuals are.

use std::collections::BTreeSet;

use shunt_wire::steering::{ReturnEndpoint, Segment, Takes, TunnelEnd};
use shunt_wire::{Endpoint, ip};

use crate::datapath::{ModeName, Transport};

/// What a virtual says of the frames that it needs.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    pub listen: Endpoint,
    pub transport: Transport,
    pub mode: ModeName,
    /// Rules take part: they may choose any mode for a flow.
    pub has_rules: bool,
    pub gue_port: u16,
}

/// The frames that virtuals need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Members' endpoints whose packets can be answers to Shunt.
    pub return_endpoints: BTreeSet<ReturnEndpoint>,
    /// Where tunnels lead.
    pub tunnels: BTreeSet<TunnelEnd>,
    /// Segments of which a virtual needs every frame.
    pub whole: BTreeSet<Segment>,
}

impl Demand {
    /// Takes in a member that flows of a virtual can go to.
    pub fn add_member(&mut self, virtual_: &Needs, member: Endpoint) {
        let ends = virtual_.tunnel_protocols().iter().map(|protocol| match *protocol {
            ip::UDP => TunnelEnd::udp(member.address, virtual_.gue_port),
            protocol => TunnelEnd::of_protocol(member.address, protocol),
        });
        self.tunnels.extend(ends);
        if !virtual_.may_be(ModeName::Nat) {
            return;
        }
        // A member without a port of its own listens on the virtual's, and on all where the virtual takes all.
        let port = if member.port == 0 { virtual_.listen.port } else { member.port };
        let endpoints = protocols(virtual_.transport).iter().map(|(protocol, has_port)| {
            ReturnEndpoint::new(member.address, if *has_port { port } else { 0 }, *protocol)
        });
        self.return_endpoints.extend(endpoints);
        if virtual_.transport == Transport::All {
            self.return_endpoints.insert(ReturnEndpoint::other_protocols(member.address));
        }
    }

    /// Takes in a segment of a virtual; `begins` where its flows begin.
    pub fn add_segment(&mut self, virtual_: &Needs, segment: Segment, begins: bool) {
        if virtual_.takes(begins) == Takes::All {
            self.whole.insert(segment);
        }
    }
}

impl Needs {
    /// Which frames the virtual needs of one of its interfaces: more than those of Shunt's addresses and of members where
    /// flows to every address begin, and where answers come in that neither end tells.
    #[must_use]
    pub fn takes(&self, begins: bool) -> Takes {
        let is_wildcard = self.listen.address.to_ip().is_unspecified();
        let others_answer = self.may_be(ModeName::Route) || self.may_be(ModeName::Nat);
        if is_wildcard && (begins || others_answer) { Takes::All } else { Takes::Owned }
    }

    /// The IP protocols that members take tunnelled packets by.
    #[must_use]
    pub const fn tunnel_protocols(&self) -> &'static [u8] {
        if self.has_rules {
            return &[ip::IPIP, ip::IPV6, ip::GRE, ip::UDP];
        }
        match self.mode {
            ModeName::L3dsrIpip => &[ip::IPIP, ip::IPV6],
            ModeName::L3dsrGre => &[ip::GRE],
            ModeName::L3dsrGue => &[ip::UDP],
            ModeName::Nat | ModeName::Snat | ModeName::Route | ModeName::L2dsr | ModeName::L3dsrDscp => &[],
        }
    }

    fn may_be(&self, mode: ModeName) -> bool {
        self.mode == mode || self.has_rules
    }
}

/// The IP protocols of what a virtual forwards, and whether each has ports; `all` has others besides.
const fn protocols(transport: Transport) -> &'static [(u8, bool)] {
    const TCP: (u8, bool) = (ip::TCP, true);
    const UDP: (u8, bool) = (ip::UDP, true);
    const ICMP: (u8, bool) = (ip::ICMP, false);
    const ICMPV6: (u8, bool) = (ip::ICMPV6, false);
    match transport {
        Transport::Tcp => &[TCP],
        Transport::Udp => &[UDP],
        Transport::Any | Transport::All => &[TCP, UDP, ICMP, ICMPV6],
    }
}

#[cfg(test)]
mod tests {
    use shunt_wire::Address;

    use super::*;

    /// 10.0.0.1.
    const MEMBER: Address = Address { hi: 0, lo: 0xffff_0a00_0001 };
    /// 203.0.113.1.
    const VIRTUAL: Address = Address { hi: 0, lo: 0xffff_cb00_7101 };

    fn returns(port: u16, transport: Transport, member_port: u16) -> BTreeSet<ReturnEndpoint> {
        let listen = Endpoint { address: VIRTUAL, port };
        let needs = Needs { listen, transport, mode: ModeName::Nat, has_rules: false, gue_port: 0 };
        let mut demand = Demand::default();
        demand.add_member(&needs, Endpoint { address: MEMBER, port: member_port });
        demand.return_endpoints
    }

    fn endpoints(known: &[(u16, u8)]) -> BTreeSet<ReturnEndpoint> {
        known.iter().map(|(port, protocol)| ReturnEndpoint::new(MEMBER, *port, *protocol)).collect()
    }

    #[test]
    fn replies_come_from_the_port_that_members_are_asked_on() {
        let cases = [
            ("of the virtual", 53, Transport::Udp, 0, 53),
            ("of the member", 53, Transport::Udp, 5353, 5353),
            ("of the member, whichever was asked for", 0, Transport::Udp, 5353, 5353),
            ("every one", 0, Transport::Udp, 0, 0),
        ];
        for (story, port, transport, member_port, expected) in cases {
            assert_eq!(returns(port, transport, member_port), endpoints(&[(expected, ip::UDP)]), "{story}");
        }
    }

    #[test]
    fn replies_of_every_protocol_are_needed_where_all_are_forwarded() {
        let any = endpoints(&[(0, ip::TCP), (0, ip::UDP), (0, ip::ICMP), (0, ip::ICMPV6)]);
        assert_eq!(returns(0, Transport::Any, 0), any);
        let others = ReturnEndpoint::other_protocols(MEMBER);
        assert_eq!(returns(0, Transport::All, 0), any.into_iter().chain([others]).collect());
    }
}
