//! What a worker keeps from packet to packet.

pub(in crate::datapath) mod accounting;
pub(in crate::datapath) mod config;
pub(in crate::datapath) mod counters;
pub(in crate::datapath) mod entries;
pub(in crate::datapath) mod flow;
pub(in crate::datapath) mod flows;
mod owner;
pub(in crate::datapath) mod path;
pub(in crate::datapath) mod pending;
pub(in crate::datapath) mod trace;
