use shunt_sdk::prelude::*;

#[derive(Settings)]
struct Computed {
    #[settings(default = String::new())]
    name: String,
    #[settings(defualt = 5)]
    percent: u8,
}

#[derive(Settings)]
struct Mistyped {
    #[settings(default = "five")]
    percent: u8,
}

fn main() {}
