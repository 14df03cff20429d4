//! TCP: a client's connection goes to one member, and bytes both ways.
//!
//! | module | what |
//! |---|---|
//! | `serve` | a connection from its beginning to its end |
//! | `data` | what rules see of its bytes, before they go on |
//! | `connect` | from a pool to a connection to one of its members |

mod connect;
mod data;
mod serve;

pub(crate) use connect::choose;
pub(crate) use serve::{Inner, Tcp, forward};
