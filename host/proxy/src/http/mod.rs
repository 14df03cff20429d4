//! HTTP carriage. What becomes of a request is in [`phases`]; everything else here serves it.

pub(crate) mod body;
pub(crate) mod client_body;
pub(crate) mod fields;
pub(crate) mod finish;
mod frames;
pub(crate) mod h1;
pub(crate) mod h2;
mod hpack;
pub(crate) mod lines;
pub(crate) mod member;
pub(crate) mod own_answer;
pub(crate) mod phases;
pub(crate) mod problem;
pub(crate) mod reason;
pub(crate) mod serve;
pub(crate) mod stream;
mod target;
pub(crate) mod tunnel;
