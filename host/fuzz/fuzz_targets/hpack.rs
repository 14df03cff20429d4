//! The reader and the writer of HPACK, without the proxy that they belong to.

#![no_main]
#![allow(dead_code, unreachable_pub, reason = "parts of another crate")]

#[path = "../../proxy/src/http"]
mod http {
    pub(crate) mod hpack {
        pub(in crate::http) mod decoder;
        pub(in crate::http) mod encoder;
        pub(crate) mod fuzzed;
        mod huffman;
        mod integer;
        pub(in crate::http) mod names;
        mod table;
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| http::hpack::fuzzed::hpack(data));
