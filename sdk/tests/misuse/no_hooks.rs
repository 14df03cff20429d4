use shunt_sdk::prelude::*;

struct Rule;

#[rule]
impl Rule {
    fn answer(&self) -> u16 {
        200
    }
}

fn main() {}
