//! `monitor` of a pool: what all kinds have.

use std::time::Duration;

use super::super::monitors::{self, Monitor, Origin, Start};
use super::super::report::{Cause, Refusal};
use super::super::shape::{Flag, duration, integer, interface, one_of, source_address, target};
use super::super::units::{DURATION, milliseconds};
use super::super::walk::Table;
use super::{HOUR, MILLISECOND, SECOND};

const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=HOUR;

pub(super) fn monitor(table: &mut Table<'_>) -> Option<Monitor> {
    let probe = monitors::read(table);
    let interval = table.or(
        "interval",
        "From the start of a probe to the start of the next.",
        duration(INTERVALS),
        5 * SECOND,
    );
    let interval_down = table.derived(
        "interval-down",
        "The same while the monitor finds the member down.",
        duration(INTERVALS),
        "as `interval`",
    );
    let interval_changing = table.derived(
        "interval-changing",
        "The same from the first probe that contradicts what the monitor found before, until `rise` or `fall` decides. Short, \
         it finds a failure soon, although healthy members are probed seldom.",
        duration(INTERVALS),
        "as `interval`, and `interval-down` while down",
    );
    let jitter = table.or(
        "jitter",
        "By how many percent of the interval each probe may come early, at random, so that several balancers do not probe \
         at the same times.",
        integer(0..=50u32),
        0,
    );
    let timeout = table.derived(
        "timeout",
        "For one probe; at most `interval`. Where another interval is shorter, the next probe waits for the last one's end.",
        duration(MILLISECOND..=HOUR),
        "`\"2s\"`, or `interval` where that is shorter",
    );
    let rise = table.or("rise", "Successful probes in a row until a member is up.", integer(1..=100u32), 2);
    let fall = table.or("fall", "Failed probes in a row until a member is down.", integer(1..=100u32), 3);
    let start = table.or(
        "start",
        "What a new member counts as until its first probe, which decides at once.",
        one_of(&[("up", Start::Up), ("down", Start::Down)]),
        Start::Up,
    );
    let inverse = table
        .derived("inverse", "A probe that succeeds counts as failed, and one that fails as good.", Flag, "no")
        .unwrap_or(false);
    let source = table.derived(
        "source",
        "The address of this host that probes come from, straight to the member. Those on the service path come from \
         `probe-from` of the virtual.",
        source_address(),
        "the first of the pool's `source` that is of the member's family, unless `interface` is written; else as the route to \
         the member says",
    );
    let source_interface = table.optional(
        "interface",
        "The interface that probes leave by, straight to the member, whatever the routes say; such as that of a VRF.",
        interface(),
    );
    let dscp = table.optional(
        "dscp",
        "The DSCP of packets of probes that go straight to the member.",
        integer(0..=63u8),
    );
    let size = table.optional(
        "size",
        "For `ping` and `http`: the length in bytes of IP packets that a probe sends, and that nobody may fragment (DF). A path \
         that loses long packets and passes short ones fails the probe.",
        integer(576..=9216u16),
    );
    let target = table.optional(
        "target",
        "For packet virtuals that listen on every address and have `probe-from`: the destination of probes through the \
         member, such as the load balancer on the other side of a firewall.",
        target(),
    );

    if let Some(timeout) = timeout.filter(|timeout| *timeout > interval) {
        let shown = |duration| DURATION.show(milliseconds(duration));
        let message =
            format!("a probe may take {}, but the next begins after {}", shown(timeout), shown(interval));
        let refusal = Refusal::new(Cause::Conflict, message)
            .label("longer than `interval`")
            .help(format!("use at most `{}`, or a longer `interval`", shown(interval)));
        table.refuse("timeout", table.also(refusal, "interval"));
    }

    if let Some(probe) = probe.as_ref().filter(|probe| size.is_some() && !probe.has_size()) {
        let message = format!("`size` means nothing for `{}`", probe.as_str());
        let refusal = Refusal::new(Cause::Conflict, message)
            .help("remove it, and use it in a monitor of the pool with `ping` or `http`");
        table.refuse("size", refusal);
    }

    let timeout = timeout.unwrap_or(interval.min(2 * SECOND));
    Some(Monitor {
        probe: probe?,
        interval,
        interval_down: interval_down.unwrap_or(interval),
        interval_changing,
        jitter,
        timeout,
        rise,
        fall,
        start,
        inverse,
        origin: Origin { source, interface: source_interface, dscp, size },
        target,
    })
}
