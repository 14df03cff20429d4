use shunt_sdk::prelude::*;

struct Rule;

#[rule]
impl Rule {
    async fn on_request(&self, _request: &Request) -> request::Verdict {
        next()
    }
}

fn main() {}
