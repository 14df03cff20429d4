//! The packet plane as the control thread holds it. Nothing here runs on a packet thread.

pub mod change;
pub mod plane;
pub(crate) mod ports;
pub(crate) mod probe_link;
pub(crate) mod probes;
pub mod report;
pub(crate) mod snapshot;
