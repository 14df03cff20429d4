//! HPACK (RFC 7541): how HTTP/2 writes fields.
//!
//! | module | what |
//! |---|---|
//! | `integer`, [`huffman`] | numbers and texts (section 5) |
//! | `names` | the fields that both sides know from the beginning (appendix A) |
//! | `table` | the fields that a connection has learnt (section 2.3.2) |
//! | [`decoder`], [`encoder`] | field blocks (section 6) |
//!
//! No module does I/O. An idle connection keeps as much memory as its tables have fields, which is why this is here and not
//! in `host/wire`, which does not allocate.

pub(in crate::http) mod decoder;
pub(in crate::http) mod encoder;
#[cfg(test)]
pub(crate) mod fuzzed;
mod huffman;
mod integer;
pub(in crate::http) mod names;
pub(in crate::http) mod table;
#[cfg(test)]
mod tests;
