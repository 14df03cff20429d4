use shunt_sdk::prelude::*;

struct Rule {
    percent: u8,
}

#[rule]
impl Rule {
    fn on_request(&self, _request: &Request) -> request::Verdict {
        if self.percent > 0 { next() } else { reject() }
    }
}

fn main() {}
