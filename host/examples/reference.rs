//! Prints what the book, editors and generators of clients need to know of the product: the `configuration` as
//! Markdown, its JSON `schema`, the `metrics` as Markdown, and the admin API as `openapi`.
//! `cargo xtask docs --write` puts them in their places.

use shunt::admin::metrics;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("configuration") => print!("{}", shunt_config::reference_markdown()),
        Some("schema") => println!("{:#}", shunt_config::schema()),
        Some("metrics") => print!("{}", metrics::reference_markdown()),
        Some("openapi") => println!("{:#}", shunt_api::openapi::document()),
        other => eprintln!("reference: {other:?} is none of configuration, schema, metrics, openapi"),
    }
}
