//! HTTP carriage. What becomes of a request is in [`phases`]; everything else here serves it.

pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod deadline;
pub(crate) mod fields;
pub(crate) mod finish;
pub(crate) mod framing;
pub(crate) mod guard;
pub(crate) mod member;
pub(crate) mod phases;
pub(crate) mod problem;
pub(crate) mod tunnel;
