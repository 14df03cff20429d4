use shunt_sdk::prelude::*;

#[derive(Settings)]
enum Mode {
    Strict,
    Lenient,
}

fn main() {}
