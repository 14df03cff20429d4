use std::collections::HashMap;

use shunt_sdk::prelude::*;

#[derive(Settings)]
struct Rule {
    weights: HashMap<String, u32>,
}

fn main() {}
