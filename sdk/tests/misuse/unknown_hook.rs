use shunt_sdk::prelude::*;

struct Rule;

#[rule]
impl Rule {
    fn on_reqest(&self, _request: &Request) -> request::Verdict {
        next()
    }

    fn on_midnight(&self) {}
}

fn main() {}
