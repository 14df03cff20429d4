//! HTTP/2 towards clients (RFC 9113), on the crate `h2`.
//!
//! | module | what |
//! |---|---|
//! | [`connection`] | a connection: its streams, how long it may do nothing, and how it ends |
//! | `floods` | what is too much of a kind of frames |
//! | `watched` | the client's bytes on their way to and from the crate |
//! | `wire` | what goes to the client, gathered from all streams |
//! | `head` | what a request must be beyond what the crate asks for, and what the phases take |
//! | [`body`] | the body of a request |
//! | `exchange` | a stream: from a request to the end of its answer |
//! | `grpc` | answers of Shunt's own to gRPC clients |
//! | `websocket` | a stream that becomes a WebSocket (RFC 8441) or another tunnel |

pub(crate) mod body;
pub(crate) mod connection;
mod exchange;
mod floods;
mod grpc;
mod head;
mod watched;
mod websocket;
mod wire;

pub(in crate::http) use exchange::detach;
pub(crate) use floods::PREFACE;
pub(in crate::http) use floods::{Bound, Spent};
pub(crate) use head::read_head;
pub(in crate::http) use websocket::Socket;
