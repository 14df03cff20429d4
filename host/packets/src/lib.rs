//! The packet plane: threads that forward frames between AF_XDP sockets and the engine's datapath.
//!
//! | module | thread | what |
//! |---|---|---|
//! | [`control::plane`] | control | the whole plane: opened, asked, closed |
//! | [`control::change`] | control | a change of it: what can fail first, then what cannot |
//! | `control::ports` | control | interfaces: sockets opened, the XDP program attached, and its maps of which frames it steers to Shunt |
//! | `control::snapshot` | control | the configuration and its live parts, as the engine takes them |
//! | `control::probes` | control | what monitors have sent along the service path, and what became of it |
//! | `control::probe_link` | control | the TUN device of those probes |
//! | [`control::report`] | control | what the workers counted, put together |
//! | [`worker`] | packet | frames, timers, commands |
//! | `worker::driver` | packet | what the datapath asks of its thread |
//! | `worker::rules` | packet | a worker's instances of rules, and what their verdicts mean to packets |
//! | `worker::hand_over` | packet | frames of flows that another worker owns |
//! | [`worker::explain`] | both | how a packet would be handled, asked of the worker that owns its flow |
//! | `network` | its own | the kernel's interfaces, neighbours and routes, followed |
//! | `restarts` | packet, network | how often a thread may begin again after a panic |
//! | `bench` | any | a worker without a kernel, for benches |
//!
//! The threads share nothing but members' health, bindings, and bounded queues. What reaches a worker from
//! outside is a command.

mod bench;
pub mod control;
mod network;
mod restarts;
#[cfg(test)]
mod tests;
pub mod worker;

#[doc(hidden)]
pub use bench::{Bare, Next, Successions};
pub use control::change::PacketPlane;
pub use control::plane::Packets;
pub use control::ports::carrier;
pub use control::probes::{ProbeGuard, ProbeTarget, Probes};
pub use control::report;
pub use network::{holder, network_of};
#[doc(hidden)]
pub use worker::Replaced;
pub use worker::explain;
