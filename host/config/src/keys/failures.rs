//! What pools say of failures: `retry`, `ejection` and `on-empty`.

use shunt_engine::ejection;

use super::super::containers::one_or_list;
use super::super::model::{Ejection, OnEmpty, Retry};
use super::super::report::{Cause, Refusal};
use super::super::shape::{OnlyTrue, duration, integer, pool_name, statuses};
use super::super::units::milliseconds;
use super::super::walk::Table;
use super::{HOUR, MILLISECOND, SECOND};

/// More than a host has ports and descriptors for.
pub(super) const MOST_CONNECTIONS: u32 = 10_000_000;

pub(super) fn retry(table: &mut Table<'_>) -> Option<Retry> {
    let attempts = table.or(
        "attempts",
        "How many members are tried for a request, or for a connection, the first among them.",
        integer(1..=10u32),
        3,
    );
    let budget = table.optional(
        "budget",
        "How many retries a hundred requests may have together. Ten are free where there were none for a while.",
        integer(1..=100u32),
    );
    let at_once = table.optional(
        "at-once",
        "How many requests may be at another member than their first at once, over all workers.",
        integer(1..=MOST_CONNECTIONS),
    );
    let timeout = table.optional(
        "timeout",
        "For the head of a response, of each attempt but the last: that has `timeouts.first-byte` of the virtual.",
        duration(MILLISECOND..=HOUR),
    );
    let no_answer = table.optional(
        "no-answer",
        "Requests are sent again whose member closed the connection without a response.",
        OnlyTrue,
    );
    let answers = table.optional(
        "answers",
        "Requests are sent again that got one of these statuses: `[502, 503]`, `\"500-599\"`.",
        one_or_list(statuses()),
    );
    let (no_answer, answers) = (no_answer.is_some(), answers.unwrap_or_default());
    Some(Retry { attempts: attempts as usize, budget, at_once, timeout, no_answer, answers })
}

pub(super) fn ejection(table: &mut Table<'_>) -> Option<Ejection> {
    let failures =
        table.or("failures", "How many failures in a row eject a member.", integer(1..=1000u32), 5);
    let slow = table.optional(
        "slow",
        "An answer that begins later than this is a failure.",
        duration(MILLISECOND..=HOUR),
    );
    let time = table.or(
        "time",
        "How long the member is out; twice as long each time that it happens again.",
        duration(SECOND..=HOUR),
        10 * SECOND,
    );
    let most_time = table.or(
        "most-time",
        "The longest time. After so long in peace, the first is `time` again.",
        duration(SECOND..=HOUR),
        300 * SECOND,
    );
    let most_share = table.or(
        "most-share",
        "At most so many members in a hundred are out at once: where most fail, it is not the members that are broken.",
        integer(0..=100u32),
        50,
    );
    if most_time < time {
        let refusal = Refusal::new(Cause::Conflict, "the longest time is shorter than the first")
            .help("use a shorter `time`, or a longer `most-time`");
        table.refuse("most-time", refusal);
    }
    let policy = ejection::Policy {
        failures,
        time: milliseconds(time),
        most_time: milliseconds(most_time),
        most_share,
    };
    Some(Ejection { policy, slow })
}

/// What `on-empty` is in one word.
pub(super) static AT_ONCE: [(&str, OnEmpty); 2] = [("reset", OnEmpty::Reset), ("route", OnEmpty::Route)];

pub(super) fn on_empty(table: &mut Table<'_>) -> Option<OnEmpty> {
    let pool = table.optional("pool", "They go to this pool, as configured there.", pool_name());
    let queue = table.optional(
        "queue",
        "For proxies for HTTP and TCP: they wait for a member in the order of their arrival, at most so many at once; the rest \
         is treated as without this key.",
        integer(1..=1_000_000u32),
    );
    let timeout = table.derived(
        "timeout",
        "How long one waits in the `queue` before it is treated as the rest.",
        duration(MILLISECOND..=HOUR),
        "`\"10s\"`",
    );
    table.exactly_one(&["pool", "queue"]);
    if table.wrote("timeout") && !table.wrote("queue") {
        let refusal = Refusal::new(Cause::Conflict, "`timeout` means nothing without `queue`")
            .help("remove it, or use `queue = 100` in the place of `pool`");
        table.refuse("timeout", refusal);
    }
    let queue = queue.map(|most| OnEmpty::Queue { most, timeout: timeout.unwrap_or(10 * SECOND) });
    queue.or(pool.map(OnEmpty::Pool))
}
