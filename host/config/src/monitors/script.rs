//! A conversation over TCP, step by step.

use std::time::Duration;

use shunt_engine::datapath::Transport;

use super::{Expected, Kind, Tcp, expected};
use crate::containers::{list, table as in_table};
use crate::keys::{HOUR, MILLISECOND};
use crate::report::{Cause, Refusal};
use crate::shape::{duration, text_up_to};
use crate::walk::Table;

/// `script = [{ expect = "220" }, { send = "QUIT\r\n" }]`
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// At least one.
    pub steps: Vec<Step>,
}

/// A step: it sends, and waits for what is expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub send: Option<String>,
    /// In what came since the step before succeeded; `None`: nothing is waited for.
    pub expect: Option<Expected>,
    /// For this step; `None`: what is left of the time-out of the monitor.
    pub timeout: Option<Duration>,
}

impl Kind for Script {
    const KEY: &'static str = "script";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let steps = table.optional(
            Self::KEY,
            "A conversation over TCP: each step sends, and waits for what it expects.",
            list(in_table(step)),
        );
        if steps.as_ref().is_some_and(|steps| steps.len() > MOST_STEPS) {
            let refusal = Refusal::new(Cause::OutOfRange, format!("a script has at most {MOST_STEPS} steps"));
            table.refuse(Self::KEY, refusal.help("remove some"));
        }
        Some(Script { steps: steps? })
    }

    fn passes(transport: Transport) -> bool {
        Tcp::passes(transport)
    }
}

const MOST_STEPS: usize = 32;

fn step(table: &mut Table<'_>) -> Option<Step> {
    let send = table.optional(
        "send",
        "What the step sends first; write a line's end as `\\r\\n`, and bytes that are no letters as `\\u00XX`, up to 7F.",
        text_up_to::<1024>(),
    );
    let expect = expected(
        table,
        ("expect", "Text that must come then, within 64 KiB since the step before succeeded."),
        ("expect-pattern", "A regular expression that must match then."),
    );
    let timeout = table.derived(
        "timeout",
        "For the step.",
        duration(MILLISECOND..=HOUR),
        "what is left of the monitor's `timeout`",
    );
    if send.is_none()
        && expect.is_none()
        && !["send", "expect", "expect-pattern"].iter().any(|key| table.wrote(key))
    {
        let refusal = Refusal::new(Cause::MissingKey, "the step does nothing")
            .help("write what it sends, `send`, or what it waits for, `expect`");
        table.refuse("send", refusal);
    }
    Some(Step { send, expect, timeout })
}
