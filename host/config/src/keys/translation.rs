//! `[virtual.translation]`

use std::net::IpAddr;
use std::sync::Arc;

use shunt_engine::datapath::Translation;
use shunt_engine::mapping::{Embedding, LENGTHS, Map, Mapping, Maps, Routers, Unfit};
use shunt_engine::network::Prefix;
use shunt_wire::Family;

use super::super::containers::{list, table as in_table};
use super::super::report::{Cause, Refusal};
use super::super::shape::{addresses, integer, prefix};
use super::super::walk::Table;

/// RFC 8200 section 5: the least that every link of IPv6 carries.
const LEAST_MTU: u16 = 1280;

/// Explicit maps at most. Each costs some hundred bytes.
const MOST_MAPS: usize = 65_536;

pub(super) fn translation(table: &mut Table<'_>) -> Option<Arc<Translation>> {
    let embedding = table.optional(
        "prefix",
        "The prefix of IPv6 that IPv4 addresses are written behind (RFC 6052), 32, 40, 48, 56, 64 or 96 bits long. Behind \
         `64:ff9b::/96` there are no private addresses.",
        prefix(),
    );
    let maps = table.optional(
        "map",
        "Prefixes that stand for each other (RFC 7757). They come before `prefix`, and of several that fit the longest \
         decides.",
        list(in_table(map)),
    );
    let routers = table.optional(
        "routers",
        "Mode `siit`: IPv4 addresses that stand in for routers which have none, when they report errors (RFC 6791). \
         Without them it is the address of Shunt's own interface.",
        list(addresses()),
    );
    let lowest_ipv6_mtu = table.or(
        "lowest-ipv6-mtu",
        "How large IPv6 packets may be that are made of IPv4 packets whose senders let routers fragment them, in bytes: \
         the smallest MTU of the IPv6 network (RFC 7915 section 4.1).",
        integer(LEAST_MTU..=u16::MAX),
        LEAST_MTU,
    );
    // Everything that is wrong is told at once.
    let embedding = embedding.map(|prefix| embedding_of(table, prefix));
    let maps = maps_of(table, maps.unwrap_or_default());
    let routers = routers_of(table, &routers.unwrap_or_default());
    let embedding = match embedding {
        Some(embedding) => Some(embedding?),
        None => None,
    };
    Some(Arc::new(Translation { mapping: Mapping::new(embedding, maps?, routers?), lowest_ipv6_mtu }))
}

fn map(table: &mut Table<'_>) -> Option<Map> {
    let v4 = table.required("v4", "Of IPv4: `192.0.2.0/24`, or an address.", prefix());
    let v6 = table.required(
        "v6",
        "Of IPv6: `2001:db8:1::/120`, or an address. It leaves at least as many bits as that of IPv4.",
        prefix(),
    );
    let (v4, v6) = (v4?, v6?);
    for (name, found, wanted) in [("v4", v4, Family::V4), ("v6", v6, Family::V6)] {
        if found.family() != wanted {
            let word = if wanted == Family::V4 { "IPv4" } else { "IPv6" };
            let refusal = Refusal::new(Cause::BadValue, format!("`{found}` is no prefix of {word}"))
                .help("`v4` and `v6` have one prefix each");
            table.refuse(name, refusal);
        }
    }
    let fit = (v4.family(), v6.family()) == (Family::V4, Family::V6);
    fit.then_some(Map { v4, v6 })
}

fn embedding_of(table: &mut Table<'_>, prefix: Prefix) -> Option<Embedding> {
    let found = Embedding::new(prefix);
    if found.is_none() {
        let lengths = LENGTHS.map(|length| length.to_string()).join(", ");
        let refusal = Refusal::new(Cause::BadValue, format!("IPv4 addresses cannot stand behind `{prefix}`"))
            .help(format!(
                "such a prefix is of IPv6, {lengths} bits long, and its bits 64 to 71 are zero (RFC 6052 section 2.2)"
            ));
        table.refuse("prefix", refusal);
    }
    found
}

fn maps_of(table: &mut Table<'_>, maps: Vec<Map>) -> Option<Maps> {
    if maps.len() > MOST_MAPS {
        let message = format!("{} maps are more than {MOST_MAPS}", maps.len());
        let help = "a map of longer prefixes stands for many addresses at once";
        table.refuse("map", Refusal::new(Cause::OutOfRange, message).help(help));
        return None;
    }
    let text = |place: usize| maps.get(place).map(|map| format!("`{}` and `{}`", map.v4, map.v6));
    let name = |place| text(place).unwrap_or_default();
    let refusal = match Maps::new(maps.clone()) {
        Ok(maps) => return Some(maps),
        Err(Unfit::Suffix(place)) => {
            Refusal::new(Cause::Conflict, format!("{} do not fit each other", name(place)))
                .help("the prefix of IPv6 must leave at least as many bits as that of IPv4: `/24` goes with `/120` or less")
        }
        Err(Unfit::Twice(first, second)) => {
            let message = format!("{}, and again {}: they have a prefix in common", name(first), name(second));
            Refusal::new(Cause::Duplicate, message).help("each prefix stands for one other")
        }
        Err(Unfit::Mapped(place) | Unfit::Families(place)) => {
            Refusal::new(Cause::BadValue, format!("{} cannot stand for each other", name(place)))
                .help("no packet has a v4-mapped address")
        }
    };
    table.refuse("map", refusal);
    None
}

fn routers_of(table: &mut Table<'_>, ranges: &[std::ops::RangeInclusive<IpAddr>]) -> Option<Routers> {
    let ranges: Vec<_> = ranges.iter().map(|range| (*range.start()).into()..=(*range.end()).into()).collect();
    let found = Routers::new(&ranges);
    if let Err(range) = &found {
        let message = format!("`{}` is no address of IPv4", range.start());
        let help = "routers of IPv6 are translated by `prefix` and `map`, and need no stand-in toward IPv6";
        table.refuse("routers", Refusal::new(Cause::BadValue, message).help(help));
    }
    found.ok()
}
