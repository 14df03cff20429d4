//! HTTP/1 towards clients: a connection, the heads and bodies that come on it, and the answers that are written.
//!
//! | module | what |
//! |---|---|
//! | [`connection`] | a connection from its first request to its end |
//! | `wire` | its bytes: what came and was not looked at, what waits to be written |
//! | `input`, `head`, `body` | requests as the bytes say them |
//! | [`refusal`] | what is refused of them |
//! | `answer` | answers as bytes |
//! | `half_close` | a client that has ended its side |
//! | [`framing`], [`write`] | numbers and pieces that members' messages have, too |

pub(crate) mod answer;
mod body;
pub(crate) mod connection;
pub(crate) mod framing;
#[cfg(test)]
mod fuzzed;
mod half_close;
pub(crate) mod head;
mod input;
pub(crate) mod refusal;
pub(crate) mod wire;
pub(crate) mod write;

pub(crate) use wire::read_head;
