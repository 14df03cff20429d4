//! What a packet that belongs to no flow passes, in this order.

use std::fmt;

/// A stage of the slow path. Each has a file of its own under `datapath/slow/` (the last one is the fast
/// path's own, `fast/hit.rs`), and each either hands on to the next or ends the packet with a
/// [`DropReason`](crate::datapath::DropReason) that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Virtual,
    Limits,
    Rule,
    Persistence,
    Selection,
    SnatLease,
    Translation,
    Compile,
    Insert,
    Send,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 10] = [
        Self::Virtual,
        Self::Limits,
        Self::Rule,
        Self::Persistence,
        Self::Selection,
        Self::SnatLease,
        Self::Translation,
        Self::Compile,
        Self::Insert,
        Self::Send,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Virtual => "virtual",
            Self::Limits => "limits",
            Self::Rule => "rule",
            Self::Persistence => "persistence",
            Self::Selection => "selection",
            Self::SnatLease => "snat-lease",
            Self::Translation => "translation",
            Self::Compile => "compile",
            Self::Insert => "insert",
            Self::Send => "send",
        }
    }

    /// What it does, in a sentence.
    #[must_use]
    pub const fn does(self) -> &'static str {
        match self {
            Self::Virtual => "finds the virtual of the destination address, port and transport",
            Self::Limits => "takes a token of the virtual's rate limits, and a place among its flows",
            Self::Rule => "asks the rules of the virtual: pool, member, mode, SNAT pool, persistence key",
            Self::Persistence => "looks up the member that the client's key is bound to",
            Self::Selection => "chooses a member of the pool that is up and enabled",
            Self::SnatLease => "leases a port of the SNAT pool toward the member",
            Self::Translation => "settles how the packet comes to an address of the member's family",
            Self::Compile => "finds the next hops and compiles the rewrite of each direction",
            Self::Insert => "puts the flow into the table, the direction of the answers first",
            Self::Send => "replays the compiled rewrite on the packet, as for all that follow",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
