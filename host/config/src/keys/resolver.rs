//! `[resolver]`

use std::time::Duration;

use super::super::containers::list;
use super::super::model::Resolver;
use super::super::report::{Cause, Refusal};
use super::super::shape::{dns_server, duration};
use super::super::walk::Table;
use super::{DAY, HOUR, MILLISECOND, SECOND};

pub(in super::super) fn resolver(table: &mut Table<'_>) -> Option<Resolver> {
    let servers = table.derived(
        "servers",
        "Recursive DNS servers, each with its port where that is not 53, in the order in which Shunt asks them.",
        list(dns_server()),
        "those of `/etc/resolv.conf`; names in `/etc/hosts` have the addresses there",
    );
    let timeout = table.or(
        "timeout",
        "How long Shunt waits for the answer of one server before it asks the next. A start or a reload waits so long at most \
         for names that it does not know.",
        duration(10 * MILLISECOND..=30 * SECOND),
        2 * SECOND,
    );
    let min_ttl = table.or(
        "min-ttl",
        "Shunt asks no more often than this, whatever the TTL of answers.",
        duration(100 * MILLISECOND..=HOUR),
        SECOND,
    );
    let max_ttl = table.or(
        "max-ttl",
        "Shunt asks at least this often, whatever the TTL of answers.",
        duration(SECOND..=DAY),
        5 * 60 * SECOND,
    );
    let hold = table.or(
        "hold",
        "How long members stay after the last answer that had them, while no server answers or answers are empty.",
        duration(Duration::ZERO..=30 * DAY),
        HOUR,
    );
    if min_ttl > max_ttl {
        let refusal = Refusal::new(Cause::Conflict, "`min-ttl` is longer than `max-ttl`")
            .help("use at most `max-ttl`, or a longer `max-ttl`");
        let refusal = table.also(refusal, "max-ttl");
        table.refuse(if table.wrote("min-ttl") { "min-ttl" } else { "max-ttl" }, refusal);
    }
    Some(Resolver { servers: servers.unwrap_or_default(), timeout, min_ttl, max_ttl, hold })
}
