use shunt_sdk::prelude::*;

/// Sends calls of the API that ask for it to the new version, and names the version in
/// a field of the response.
struct ApiCanary;

#[rule]
impl ApiCanary {
    fn on_request(&self, request: &Request) -> request::Verdict {
        let canary = request.path().starts_with("/api/") && request.header_is("x-canary", "1");
        let slot = if canary { "b" } else { "a" };
        request.set_response_header("x-pool", slot).ok();
        to_pool(slot)
    }
}
