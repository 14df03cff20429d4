//! The reader of HTTP/1 requests, and the writer, without the proxy that they belong to.

#![no_main]
#![allow(dead_code, unreachable_pub, reason = "parts of another crate")]

#[path = "../../proxy/src/http"]
mod http {
    pub(crate) mod phases {
        #[derive(Clone, Copy)]
        pub(crate) struct BareOptions;
    }

    pub(crate) mod h1 {
        mod body;
        pub(crate) mod framing;
        pub(crate) mod fuzzed;
        mod head;
        mod input;
        pub(crate) mod refusal;
        pub(crate) mod write;
    }

    pub(crate) mod member {
        pub(crate) mod request;
    }

    pub(crate) mod target;
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| http::h1::fuzzed::http1(data));
