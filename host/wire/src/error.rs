//! What rewriting and translating packets have in common: what becomes of the hop limit, and why one cannot be done.

/// What becomes of the time to live, or hop limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Hop {
    /// As a router does (RFC 1812 section 5.3.1, RFC 8200 section 3).
    Decrement,
    /// As a bridge does: `l2dsr`.
    Keep,
}

/// Why a frame was not rewritten. It is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteError {
    /// The result would not fit the way out. The sender may send datagrams of `mtu` bytes, as it counts them.
    TooBig { mtu: u16 },
    /// The result would not fit the way out, and is to be fragmented: by [`Rewrite::apply_to_cut`](crate::Rewrite::apply_to_cut) or
    /// [`translate_to_cut`](crate::translation::translate_to_cut).
    MustFragment,
    /// It may travel no further: the hop limit ends here.
    HopLimit,
    /// The buffer has less room in front than the rewrite needs: [`crate::frame::HEADROOM`] is enough.
    NoRoom,
    /// The rewrite was not compiled for this frame: it is of the other family, or shorter than its layout.
    Mismatch,
    /// It wants to be routed by what it says itself, which the other family cannot say. In IPv6, `pointer` is
    /// where it says how far it is from its end (RFC 7915 sections 4.1 and 5.1).
    SourceRoute { pointer: u16 },
    /// Behind its fragment header follow headers that the other family cannot have (RFC 7915 section 5.1.1).
    ExtendedFragment,
    /// The first fragment of a datagram over IPv4 that its sender did not sum. IPv6 wants a sum, and only the
    /// whole has one (RFC 7915 section 4.5).
    NoChecksum,
    /// It has no counterpart in the other family, and no ICMP error is to be sent.
    Untranslatable,
}
