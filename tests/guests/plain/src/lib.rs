//! The least that a rule can be: what it weighs is what every rule weighs.

use shunt_sdk::prelude::*;

struct Plain;

#[rule]
impl Plain {
    fn on_request(&self, request: &Request) -> request::Verdict {
        if request.path() == "/" { to_pool("web") } else { next() }
    }
}
