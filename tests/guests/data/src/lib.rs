//! Does with a connection what its bytes say: a word, then a line feed. What follows the word is its argument.

use shunt_sdk::prelude::*;

struct Rule;

#[rule]
impl Rule {
    fn on_data(&self, flow: &Flow, data: &Data) -> data::Verdict {
        let Data { direction, bytes, offset, rest } = data;
        log::info!("{direction:?} {} {offset} {rest:?} {}", bytes.len(), flow.client);
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            return if data.is_open() { data::need(1) } else { next() };
        };
        let line = String::from_utf8_lossy(&bytes[..end]);
        let (word, argument) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "to" => to_pool("other"),
            "key" => as_configured().persist(argument),
            "member" => match argument.parse() {
                Ok(member) => to_member(member),
                Err(_) => reject(),
            },
            "reject" => reject(),
            "replace" => data::replace(argument),
            "lines" => data::pass(end + 1),
            "upper" => data::pass_as(end + 1, line.to_ascii_uppercase() + "\n"),
            "away" => data::pass_as(end + 1, ""),
            "swell" => data::pass_as(end + 1, vec![b'x'; argument.parse().unwrap_or(0)]),
            "need" => data::need(argument.parse().unwrap_or(0)),
            "pass" => data::pass(argument.parse().unwrap_or(0)),
            "grow" => data::replace(vec![b'x'; argument.parse().unwrap_or(0)]),
            "panic" => panic!("bytes"),
            "count" => {
                let seen = vars::flow().text("seen").map_or(1, |seen| seen.len() + 1);
                vars::flow().set("seen", "x".repeat(seen));
                data::pass_as(end + 1, format!("{seen}\n"))
            }
            _ => next(),
        }
    }
}
