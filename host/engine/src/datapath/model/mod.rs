//! Values: what is configured, what comes in, and what becomes of it. Nothing here does anything.

pub(in crate::datapath) mod arrival;
pub(in crate::datapath) mod conflict;
pub(in crate::datapath) mod flow;
pub(in crate::datapath) mod id;
pub(in crate::datapath) mod index;
pub(in crate::datapath) mod mode;
pub(in crate::datapath) mod numbers;
pub(in crate::datapath) mod pool;
pub(in crate::datapath) mod probe;
pub(in crate::datapath) mod reason;
pub(in crate::datapath) mod ruling;
pub(in crate::datapath) mod stage;
pub(in crate::datapath) mod translation;
pub(in crate::datapath) mod tunnel_sources;
pub(in crate::datapath) mod unreadable;
pub(in crate::datapath) mod verdict;
pub(in crate::datapath) mod virtual_;
