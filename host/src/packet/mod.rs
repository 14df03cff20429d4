//! Packet virtuals: threads that carry frames between AF_XDP sockets and the engine's datapath.
//!
//! | module | what |
//! |---|---|
//! | `bare` | a worker without a kernel, for benches |
//! | [`carry`] | all of it, as the control thread holds it: opened, changed by a plan, closed |
//! | `ports` | interfaces: sockets opened, the XDP program attached and told whose frames are whose |
//! | `snapshot` | the configuration and its live parts, as the engine takes them |
//! | `worker` | a thread: frames, timers, commands |
//! | `driver` | what the datapath asks of its thread |
//! | `rules` | a thread's instances of rules, and what their verdicts mean to packets |
//! | `probes` | what monitors have sent on the way of clients, and what became of it |
//! | `probe_link` | the TUN device by which that comes |
//! | [`explain`] | what would become of a packet, asked of the worker that has its flow |
//! | `hand_over` | frames for flows of other threads |
//! | `network` | the kernel's interfaces, neighbours and routes, followed |
//! | [`report`] | what the threads counted, put together |
//!
//! The threads share nothing but members' health, bindings, and bounded queues. What reaches them from
//! outside is a command.

mod bare;
pub mod carry;
mod driver;
pub mod explain;
mod hand_over;
mod network;
mod ports;
mod probe_link;
mod probes;
pub mod report;
mod rules;
mod snapshot;
#[cfg(test)]
mod tests;
mod worker;

#[doc(hidden)]
pub use bare::Bare;
pub use carry::{Change, Packets};
pub(crate) use network::{holder, network_of};
pub(crate) use ports::carrier;
pub use probes::{Meant, Probes, Ticket};
