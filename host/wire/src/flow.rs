//! What makes packets one flow.

use core::fmt;
use core::hash::{Hash, Hasher};

use crate::{Address, Endpoint, Family, ip};

/// Source, destination and protocol of the packets of one direction of a flow.
///
/// 40 bytes without holes, so that equal keys are equal bytes, as a kernel map compares them.
///
/// An ICMP echo exchange is a flow: a request has its identifier as source port and destination
/// port 0; a reply has source port 0 and the identifier as destination port. So the key of the
/// reply is the [`reversed`](FlowKey::reversed) key of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct FlowKey {
    source: Address,
    destination: Address,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
    zero: [u8; 3],
}

const _: () = assert!(size_of::<FlowKey>() == 40);

impl FlowKey {
    /// `protocol` is the number of the IP header's last next-header field, such as [`ip::TCP`].
    #[must_use]
    pub const fn new(source: Endpoint, destination: Endpoint, protocol: u8) -> Self {
        Self {
            source: source.address,
            destination: destination.address,
            source_port: source.port,
            destination_port: destination.port,
            protocol,
            zero: [0; 3],
        }
    }

    #[must_use]
    pub const fn source(&self) -> Endpoint {
        Endpoint { address: self.source, port: self.source_port }
    }

    #[must_use]
    pub const fn destination(&self) -> Endpoint {
        Endpoint { address: self.destination, port: self.destination_port }
    }

    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The key of the answers.
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self::new(self.destination(), self.source(), self.protocol)
    }

    /// The family of both addresses.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.source.family()
    }
}

impl Hash for FlowKey {
    /// Five whole words: less work for a hasher than field by field.
    fn hash<H: Hasher>(&self, state: &mut H) {
        for address in [self.source, self.destination] {
            state.write_u64(address.hi);
            state.write_u64(address.lo);
        }
        state.write_u64(
            u64::from(self.source_port) << 32
                | u64::from(self.destination_port) << 16
                | u64::from(self.protocol),
        );
    }
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            ip::TCP => f.write_str("tcp ")?,
            ip::UDP => f.write_str("udp ")?,
            ip::ICMP | ip::ICMPV6 => f.write_str("icmp ")?,
            other => write!(f, "protocol {other} ")?,
        }
        write!(f, "{} > {}", self.source(), self.destination())
    }
}
