use shunt_sdk::prelude::*;

struct Rule;

#[rule]
impl Rule {
    fn on_request(&mut self, _request: &Request) -> request::Verdict {
        next()
    }
}

fn main() {}
