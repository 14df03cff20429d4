//! The proxy plane: workers, one thread per core, that accept connections, terminate TLS and forward
//! requests to members.
//!
//! | module | what |
//! |---|---|
//! | [`worker`] | a thread with its own runtime, listeners, rule instances and connections to members |
//! | [`change`] | a change: listeners are opened before any worker takes the snapshot |
//! | `accepting` | a socket that listens |
//! | `listener` | accepts, asks `on-flow`, hands each connection to what serves it |
//! | `member` | a member as a worker sees it, with the connections that are kept to it |
//! | `view` | a worker's view of virtuals, pools and rules, built on the one before it |
//! | `connection` | a client's connection as its rules see it, whatever protocol runs over it |
//! | `client` | a client's stream of bytes, with TLS or without |
//! | `server` | a stream of bytes to a member, with TLS or without |
//! | `relay` | bytes both ways between a client and a member |
//! | `socket` | the bytes of a connection without TLS |
//! | `route` | where a connection or a request is to go |
//! | `selected` | asks `on-selected` whether the chosen member is to be taken |
//! | `away` | waiting for the member that a client is bound to |
//! | `beyond` | clients beyond a limit, told in the log |
//! | [`explain`] | how a request would be handled |
//! | `trace` | what a connection or a request passes, for who asks why |
//! | `tls` | what a client says before the handshake, and TLS that is passed through |
//! | `done` | what rules are told at the end of a connection without requests |
//! | `turn` | the time, read once for what is done at once |
//! | `deadline` | the one time-out that a stream waits for at a moment |
//! | `protocol` | which of the two below serves a connection |
//! | `tcp` | TCP: a connection to a member, and bytes both ways |
//! | `udp` | UDP: sessions of clients with members |
//! | `http` | HTTP: connections, their streams, and the phases of a request |

mod accepting;
mod away;
mod beyond;
pub mod change;
mod client;
mod connection;
mod deadline;
mod done;
mod eject;
pub mod explain;
mod http;
mod listener;
mod loops;
mod member;
mod protocol;
mod proxy_protocol;
mod queue;
mod relay;
mod route;
mod selected;
mod server;
mod socket;
mod tcp;
mod tls;
mod trace;
mod turn;
mod udp;
mod view;
pub mod worker;
