//! What contradicts itself in a configuration.

use std::sync::Arc;

use shunt_wire::Address;

/// Why a snapshot cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Two virtuals of one name.
    Name(Arc<str>),
    /// Two virtuals take the same packets.
    Listen([Arc<str>; 2]),
    /// A virtual names a pool that is not there.
    Pool(Arc<str>),
    /// The pool that stands in for this one is not there, or this one stands in for it in turn.
    StandIn(Arc<str>),
    /// A virtual names a SNAT pool that is not there.
    SnatPool(Arc<str>),
    /// An address serves two ends: two SNAT pools, a virtual, probes, or tunnels. Probes and tunnels of several
    /// virtuals may share one.
    Address(Address),
    /// Two virtuals of mode `siit` take the packets of one link.
    Link(u32),
}
