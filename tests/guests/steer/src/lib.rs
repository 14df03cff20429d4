//! What the benches call: each hook does what a usual rule does.

use shunt_sdk::prelude::*;

struct Steer;

#[rule]
impl Steer {
    fn on_flow(&self, flow: &Flow) -> flow::Verdict {
        if flow.client.port() == 0 { reject() } else { next() }
    }

    /// Path and one header read, one header set, a pool picked.
    fn on_request(&self, request: &Request) -> request::Verdict {
        let canary = request.path().starts_with("/api/") && request.header_is("x-canary", "1");
        request.set_header("x-pool", if canary { "canary" } else { "primary" }).ok();
        if canary { to_pool("canary") } else { to_pool("primary") }
    }
}
