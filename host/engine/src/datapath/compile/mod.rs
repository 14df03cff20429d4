//! What was decided for a flow becomes the rewrite of each direction, for the network as it is.

pub(in crate::datapath) mod outer;
pub(in crate::datapath) mod plan;
pub(in crate::datapath) mod render;
