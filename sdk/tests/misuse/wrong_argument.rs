use shunt_sdk::prelude::*;

struct Rule;

#[rule]
impl Rule {
    fn on_request(&self, _request: &Response) -> request::Verdict {
        next()
    }
}

fn main() {}
