use shunt_sdk::prelude::*;

struct Rule;

#[rule]
impl Rule {
    fn on_request(_request: &Request) -> request::Verdict {
        next()
    }
}

fn main() {}
