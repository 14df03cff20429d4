//! Assigned numbers of the IPv4 protocol and IPv6 next-header fields (IANA, protocol numbers).
//!
//! The kernel program is made from this file too, and names them by this path: of the module above it
//! uses nothing.

pub const HOP_BY_HOP: u8 = 0;
pub const ICMP: u8 = 1;
pub const IGMP: u8 = 2;
/// IPv4 inside.
pub const IPIP: u8 = 4;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
/// IPv6 inside.
pub const IPV6: u8 = 41;
pub const ROUTING: u8 = 43;
pub const FRAGMENT: u8 = 44;
pub const GRE: u8 = 47;
pub const AUTHENTICATION: u8 = 51;
pub const ICMPV6: u8 = 58;
pub const DESTINATION_OPTIONS: u8 = 60;
pub const MOBILITY: u8 = 135;
pub const HOST_IDENTITY: u8 = 139;
pub const SHIM6: u8 = 140;
