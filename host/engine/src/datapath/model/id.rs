//! The numbers by which flows remember what is kept for them.

/// The number of a virtual's or a member's entry: what a flow remembers of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::datapath) struct EntryId(pub(in crate::datapath) u32);

impl EntryId {
    /// Of a member that is none: where there is no pool.
    pub(in crate::datapath) const NONE: Self = Self(u32::MAX);
}
