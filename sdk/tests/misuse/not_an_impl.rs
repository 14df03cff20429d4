use shunt_sdk::prelude::*;

#[rule]
struct Rule;

fn main() {}
