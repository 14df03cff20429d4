//! Packets from and to Shunt itself: replies, errors, announcements, probes, and packets pending for a neighbour.

mod announce;
pub(in crate::datapath) mod answer;
mod errors;
mod pending;
mod probes;
pub(in crate::datapath) mod tunnels;
