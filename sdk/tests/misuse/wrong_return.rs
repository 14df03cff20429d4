use shunt_sdk::prelude::*;

struct Rule;

#[rule]
impl Rule {
    fn on_request(&self, _request: &Request) -> bool {
        true
    }

    fn on_response(&self, _request: &Request, _response: &Response) -> request::Verdict {
        next()
    }
}

fn main() {}
