//! Asks a Redis server for its role, and finds up those that have the one that is wanted.

use shunt_sdk::prelude::*;

#[derive(Settings)]
struct RedisPrimary {
    /// `master`, or `slave` for replicas whose link to their master is up: the words of Redis.
    #[settings(default = "master")]
    role: String,
}

/// What `INFO replication` may be long.
const MOST: usize = 32_768;

#[rule]
impl RedisPrimary {
    fn on_load(&self) -> Result<(), String> {
        match self.role.as_str() {
            "master" | "slave" => Ok(()),
            _ => Err("role: write \"master\" or \"slave\"".into()),
        }
    }

    fn on_probe(&self, probe: &Probe) -> probe::Verdict {
        match probe.step {
            0 => probe::send("INFO replication\r\n"),
            1 => self.judge(probe),
            // The answer to QUIT, or the end: the role is known.
            _ => probe::up(format!("role:{}", self.role)),
        }
    }

    /// The answer is a bulk string: its length in a line, its bytes, and the end of a line.
    fn judge(&self, probe: &Probe) -> probe::Verdict {
        let Some(line) = probe.line() else { return probe::need(1) };
        let length = match line {
            [b'-', error @ ..] => return probe::down(String::from_utf8_lossy(&error[..error.len().min(80)])),
            [b'$', digits @ ..] => {
                str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok())
            }
            _ => None,
        };
        let Some(length) = length.filter(|length| *length <= MOST) else {
            return probe::down("the answer is not that of a Redis server");
        };
        let begin = line.len() + 2;
        let end = begin + length + 2;
        if probe.bytes.len() < end {
            return probe::need(end - probe.bytes.len());
        }
        let told = String::from_utf8_lossy(&probe.bytes[begin..end]);
        let value = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        match value("role") {
            Some("slave") if self.role == "slave" && value("master_link_status") != Some("up") => {
                probe::down("its link to the master is down")
            }
            Some(role) if role == self.role => probe::send("QUIT\r\n"),
            Some(role) => probe::down(format!("role:{role}")),
            None => probe::down("the answer names no role"),
        }
    }
}
