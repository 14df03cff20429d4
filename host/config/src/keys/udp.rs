//! `udp` of a proxy for UDP.

use super::super::model::Udp;
use super::super::report::{Cause, Refusal};
use super::super::shape::{OnlyTrue, integer};
use super::super::walk::Table;

pub(super) fn udp(table: &mut Table<'_>) -> Option<Udp> {
    let one_shot = table.optional(
        "one-shot",
        "Each datagram of a client goes to a member by itself, and the first answer ends its session: for DNS, RADIUS and other \
         protocols of one question and one answer.",
        OnlyTrue,
    );
    let answers = table.derived(
        "answers",
        "Datagrams of the member that end a session.",
        integer(1..=1_000_000u32),
        "a session ends by `timeouts.idle` alone",
    );
    if one_shot.is_some() && table.wrote("answers") {
        let refusal = Refusal::new(Cause::Conflict, "`one-shot` ends a session with its first answer")
            .help("remove `answers`, or `one-shot`");
        table.refuse("answers", table.also(refusal, "one-shot"));
    }
    Some(Udp { one_shot: one_shot.is_some(), answers: answers.map(u64::from) })
}
