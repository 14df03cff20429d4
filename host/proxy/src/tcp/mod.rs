//! TCP: a client's connection goes to one member, and bytes both ways.
//!
//! | module | what |
//! |---|---|
//! | `serve` | a connection from its beginning to its end |
//! | `data` | what rules see of its bytes, before they go on |
//! | `session` | sessions of TLS that is passed through |
//! | `connect` | from a pool to a connection to one of its members |

mod connect;
mod data;
mod serve;
mod session;

pub(crate) use connect::choose;
pub(crate) use serve::{Inner, Tcp, forward};
