//! Assigned numbers of Ethernet types and ICMP messages (IANA: IEEE 802 numbers, ICMP and ICMPv6 parameters).
//!
//! The kernel program is made from this file too, and names them by this path.

/// Ethernet types.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// The tag of a VLAN (IEEE 802.1Q section 9).
pub const ETHERTYPE_VLAN: u16 = 0x8100;
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// Message types of ICMP (RFC 792).
pub const V4_ECHO_REPLY: u8 = 0;
pub const V4_UNREACHABLE: u8 = 3;
/// Not sent any more (RFC 6633).
pub const V4_SOURCE_QUENCH: u8 = 4;
pub const V4_REDIRECT: u8 = 5;
pub const V4_ECHO_REQUEST: u8 = 8;
pub const V4_TIME_EXCEEDED: u8 = 11;
pub const V4_PARAMETER_PROBLEM: u8 = 12;

/// Message types of ICMPv6 (RFC 4443). Those below 128 are errors (section 2.1).
pub const V6_UNREACHABLE: u8 = 1;
pub const V6_TOO_BIG: u8 = 2;
pub const V6_TIME_EXCEEDED: u8 = 3;
pub const V6_PARAMETER_PROBLEM: u8 = 4;
pub const V6_ECHO_REQUEST: u8 = 128;
pub const V6_ECHO_REPLY: u8 = 129;

/// Message types of neighbour discovery (RFC 4861 section 4); all from the first to the last are its.
pub const ROUTER_SOLICITATION: u8 = 133;
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
pub const V6_REDIRECT: u8 = 137;
