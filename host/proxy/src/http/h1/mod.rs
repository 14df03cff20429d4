//! HTTP/1 towards clients: a connection, the guard before its parser, and what stands between it and the phases.

pub(crate) mod connection;
pub(crate) mod framing;
pub(crate) mod guard;
pub(crate) mod half_close;
pub(crate) mod service;
