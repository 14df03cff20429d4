//! `[[snat-pool]]`

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::super::containers::{list, once};
use super::super::model::SnatPool;
use super::super::report::{Cause, Refusal};
use super::super::shape::{addresses, duration, name, ports};
use super::super::walk::Table;
use super::{HOUR, SECOND};

/// Addresses of one pool at most. Each has a table of ports for every member endpoint that it reaches. No
/// more serve tunnels either.
const MOST_ADDRESSES: usize = 256;

pub(super) fn snat_pool(table: &mut Table<'_>) -> Option<SnatPool> {
    let name = table.required(
        "name",
        "Its name in virtuals, slots, commands, logs and metrics. No pool may have the same name.",
        once(name(), |walk| &mut walk.seen.snat_pools, "there is already a SNAT pool"),
    );
    let ranges = table.required(
        "addresses",
        "Source addresses that members see, of one family: `[\"10.10.1.1-10.10.1.4\", \"10.10.2.1\"]`. They \
         belong to Shunt alone: no host has them, and members have a route to Shunt for them.",
        list(addresses()),
    );
    let ports = table.or(
        "ports",
        "Source ports, the first and the last. Each worker leases those of a block of its own.",
        ports(),
        1024..=u16::MAX,
    );
    let time_wait = table.or(
        "time-wait",
        "How long a port is quarantined after a connection that the member closed first, or whose end Shunt did not see. It \
         should be at least the members' own TIME_WAIT, which Linux rounds up from 60 s to at most 65 s. `0s` allows a port to \
         be leased again while the member is in TIME_WAIT.",
        duration(Duration::ZERO..=HOUR),
        66 * SECOND,
    );
    let ranges = ranges?;
    if ranges.iter().any(|range| range.start().is_ipv4() != ranges[0].start().is_ipv4()) {
        let refusal = Refusal::new(Cause::Conflict, "a SNAT pool cannot have both IPv4 and IPv6 addresses")
            .help("make one pool for IPv4 and another for IPv6");
        table.refuse("addresses", refusal);
        return None;
    }
    let enough = "use fewer: each gives some 64,000 ports toward every member";
    let addresses = expand(table, "addresses", &ranges, enough)?;
    Some(SnatPool { name: name?, addresses, ports, time_wait })
}

/// Every address of the ranges of a key; `enough` says why fewer do.
pub(super) fn expand(
    table: &mut Table<'_>,
    key: &str,
    ranges: &[std::ops::RangeInclusive<IpAddr>],
    enough: &str,
) -> Option<Vec<IpAddr>> {
    let mut refuse = |cause, message: String, help: &str| {
        table.refuse(key, Refusal::new(cause, message).help(help));
        None
    };
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for range in ranges {
        for address in each(range).take(MOST_ADDRESSES + 1) {
            if !seen.insert(address) {
                let message = format!("`{key}` has `{address}` twice");
                return refuse(Cause::Duplicate, message, "write each address once");
            }
            all.push(address);
        }
    }
    if all.len() > MOST_ADDRESSES {
        let message = format!("the ranges have more than {MOST_ADDRESSES} addresses");
        return refuse(Cause::OutOfRange, message, enough);
    }
    Some(all)
}

fn each(range: &std::ops::RangeInclusive<IpAddr>) -> Box<dyn Iterator<Item = IpAddr>> {
    match (*range.start(), *range.end()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            Box::new((first.to_bits()..=last.to_bits()).map(|bits| IpAddr::V4(bits.into())))
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            Box::new((first.to_bits()..=last.to_bits()).map(|bits| IpAddr::V6(bits.into())))
        }
        // Refused when it was read.
        _ => Box::new(std::iter::empty()),
    }
}
