use shunt_sdk::prelude::*;

struct Rule;

#[rule]
impl Rule {
    fn on_request(&self) -> request::Verdict {
        next()
    }

    fn on_flow(&self, _flow: &Flow, _request: &Request) -> flow::Verdict {
        next()
    }
}

fn main() {}
