//! Packets that need no decision: of a known flow, of a known packet's fragments, or translated without flows.

mod fragments;
pub(in crate::datapath) mod hit;
mod prefetch;
mod renumber;
mod replay;
mod siit;
