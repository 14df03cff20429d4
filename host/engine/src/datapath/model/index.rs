//! Places in a snapshot.

/// The place of a virtual in a [`Snapshot`](crate::datapath::Snapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualIndex(pub usize);

/// The place of a pool in a [`Snapshot`](crate::datapath::Snapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolIndex(pub usize);

/// The place of a SNAT pool in a [`Snapshot`](crate::datapath::Snapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnatPoolIndex(pub usize);

/// The place of a virtual of mode `siit` in a [`Snapshot`](crate::datapath::Snapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TranslatorIndex(pub usize);
