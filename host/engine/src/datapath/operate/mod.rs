//! What operators see and do: flows, counters, and why a packet goes where it goes.

mod counters;
pub(in crate::datapath) mod explain;
pub(in crate::datapath) mod list;
