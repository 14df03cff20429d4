//! The admin API `/v1`: the shape of everything that is sent and read, once. The daemon serialises these types,
//! the command line deserialises them, and OpenAPI is generated from them.
//!
//! | module | what |
//! |---|---|
//! | [`counts`] | what is counted, each declared by one row |
//! | [`status`] | the process, its proxies, pools and members |
//! | [`packets`] | packet virtuals, and the threads that forward packets |
//! | [`rules`] | rules where they are attached |
//! | [`flows`] | flows of packet virtuals |
//! | [`explain`] | how a packet would be handled |
//! | [`requests`] | what bodies and queries of requests may say |
//! | [`refusal`] | why something was not done |
//! | [`openapi`] | every operation, and the document that describes them |
//!
//! Within `/v1` fields are added and never removed. A field that the other side does not know is ignored,
//! and one that the other side does not send is empty, so that the two may be of different versions.

pub mod bindings;
pub mod counts;
pub mod explain;
pub mod flags;
pub mod flows;
pub mod openapi;
pub mod packets;
pub mod refusal;
pub mod requests;
pub mod rules;
pub mod sets;
pub mod status;
pub mod tables;
