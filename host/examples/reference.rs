//! Prints what the book and editors need to know of the configuration: `reference` as Markdown,
//! or `reference schema` as JSON Schema. `cargo xtask docs --write` puts both in their places.

use shunt::config;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("schema") => println!("{:#}", config::schema()),
        _ => print!("{}", config::reference_markdown()),
    }
}
