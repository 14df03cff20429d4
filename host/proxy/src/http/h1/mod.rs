//! HTTP/1 towards clients: a connection, the guard before its parser, and tunnels.

pub(crate) mod connection;
pub(crate) mod framing;
pub(crate) mod guard;
pub(crate) mod half_close;
pub(crate) mod tunnel;
