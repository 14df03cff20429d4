//! HTTP/2 towards clients (RFC 9113).
//!
//! | module | what |
//! |---|---|
//! | [`connection`] | a connection: its bytes both ways, how long it may do nothing, and how it ends |
//! | `receive` | what the client's frames do |
//! | `requests` | what becomes of requests that begin |
//! | `floods` | what is too much of a kind of frames |
//! | `session` | what the streams of a connection share: what goes out, and how much of it may |
//! | `output` | what goes to the client, gathered from all streams |
//! | `history` | what became of the streams that are closed |
//! | `streams` | a stream: what came on it, and the two ends by which its task has it |
//! | `fields`, `head` | the fields of a block, and what the phases take of them |
//! | [`body`] | the body of a request |
//! | `exchange` | a stream's task: from a request to the end of its answer |
//! | `answer` | the head of an answer |
//! | `grpc` | answers of Shunt's own to gRPC clients |
//! | `websocket` | a stream that becomes a WebSocket (RFC 8441) or another tunnel |

mod answer;
pub(crate) mod body;
pub(crate) mod connection;
mod exchange;
mod fields;
mod floods;
mod grpc;
mod head;
mod history;
mod output;
mod receive;
mod requests;
mod session;
mod streams;
mod websocket;

pub(crate) use floods::PREFACE;
pub(in crate::http) use floods::{Bound, Spent};
pub(crate) use head::read_head;
