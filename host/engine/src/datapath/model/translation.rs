//! Translation between IPv4 and IPv6, of a virtual's flows or of whole links.

use std::sync::Arc;

use crate::mapping::Mapping;

/// Translation between IPv4 and IPv6, as a virtual does it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    pub mapping: Mapping,
    /// The longest IPv6 datagram that comes of an IPv4 packet that may be fragmented, in bytes (RFC 7915 section 4.1).
    pub lowest_ipv6_mtu: u16,
}

/// A virtual of mode `siit`: translates every packet that comes in by its links. Its name is its
/// identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translator {
    pub name: Arc<str>,
    /// By the kernel's numbers; a VLAN has a number of its own.
    pub interfaces: Vec<u32>,
    pub translation: Arc<Translation>,
}
