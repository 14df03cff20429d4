//! A monitor that does what the member says in a line.

use shunt_sdk::prelude::*;

const UPS: table::Counters<str> = table::Counters::new("ups");

#[derive(Settings)]
struct Probes {
    /// What it sends first; it waits for a line where that is empty.
    #[settings(default)]
    hello: String,
}

#[rule]
impl Probes {
    fn on_probe(&self, probe: &Probe) -> Result<probe::Verdict, String> {
        let calls = vars::flow().get("calls").map_or(0, |value| value.len());
        vars::flow().set("calls", vec![b'x'; calls + 1]);
        if probe.step == 0 && probe.bytes.is_empty() && !self.hello.is_empty() {
            return Ok(probe::send(self.hello.as_str()));
        }
        let Some(line) = probe.line() else {
            log::info!("{} {} {:?}", probe.step, probe.bytes.len(), probe.rest);
            return Ok(probe::need(1));
        };
        let line = String::from_utf8_lossy(line).into_owned();
        let (word, argument) = line.split_once(' ').unwrap_or((&line, ""));
        Ok(match word {
            "up" => {
                UPS.add(&probe.member.to_string(), 1);
                probe::up(argument)
            }
            "down" => probe::down(argument),
            "send" => probe::send(format!("{argument}\n")),
            "nothing" => probe::send(""),
            "need" => probe::need(argument.parse().unwrap_or(0)),
            "long" => probe::up("x".repeat(257)),
            "calls" => probe::up(format!("{} calls of {}", calls + 1, probe.member)),
            "panic" => panic!("as the member says"),
            "error" => return Err(argument.to_owned()),
            "forever" => loop {
                std::hint::spin_loop();
            },
            _ => probe::need(1),
        })
    }
}
