//! Chooses a pool by the first 64 bytes of a client: what the bench of `on-data` calls.

use shunt_sdk::prelude::*;

const PREFIX: usize = 64;

struct Rule;

#[rule]
impl Rule {
    fn on_data(&self, _: &Flow, data: &Data) -> data::Verdict {
        match data.bytes.first_chunk::<PREFIX>() {
            Some(prefix) if prefix.iter().fold(0, |sum, byte| sum ^ byte) == 0 => to_pool("b"),
            Some(_) => to_pool("a"),
            None if data.is_open() => data::need(PREFIX - data.bytes.len()),
            None => next(),
        }
    }
}
