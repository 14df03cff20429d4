//! Prints what the book and editors need to know of the product: `reference` the configuration as
//! Markdown, `reference schema` as JSON Schema, `reference metrics` the metrics as Markdown.
//! `cargo xtask docs --write` puts them in their places.

use shunt::admin::metrics;
use shunt_config as config;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("schema") => println!("{:#}", config::schema()),
        Some("metrics") => print!("{}", metrics::reference_markdown()),
        _ => print!("{}", config::reference_markdown()),
    }
}
