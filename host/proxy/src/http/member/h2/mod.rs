//! HTTP/2 towards members (RFC 9113), on the crate `h2`: the requests of a worker share connections to a member.
//!
//! | module | what |
//! |---|---|
//! | [`connections`] | the connections of a worker to a member, and who waits for room on one |
//! | `connection` | a connection, whose task the crate needs |
//! | `wire` | the member's bytes on their way to the crate |
//! | `exchange` | a request and its answer, driven by the task that waits for it |
//! | `upload` | a request body on its way out |
//! | `head` | what a request becomes, and what an answer must be |
//! | `socket` | a stream that has become a tunnel |
//! | `websocket` | a request that asks for a WebSocket (RFC 8441) |

mod connection;
pub(super) mod connections;
mod exchange;
mod head;
mod socket;
mod upload;
mod websocket;
mod wire;

pub(super) use exchange::Exchange;
pub(super) use socket::Socket;
