use shunt_sdk::prelude::*;

struct Rule;

#[rule]
impl Rule {
    fn on_request(&self, _request: &Request) {}
}

fn main() {}
