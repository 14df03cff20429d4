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

/// RFC 8200 section 5: the smallest MTU of an IPv6 link.
const LEAST_MTU: u16 = 1280;

/// Explicit maps at most. Each costs some hundred bytes.
const MOST_MAPS: usize = 65_536;

pub(super) fn translation(table: &mut Table<'_>) -> Option<Arc<Translation>> {
    let embedding = table.optional(
        "prefix",
        "The IPv6 prefix in which IPv4 addresses are embedded (RFC 6052), 32, 40, 48, 56, 64 or 96 bits long. \
         `64:ff9b::/96` embeds no private addresses.",
        prefix(),
    );
    let maps = table.optional(
        "map",
        "Explicit mappings of prefixes (RFC 7757). They take precedence over `prefix`; of several that match, the longest \
         decides.",
        list(in_table(map)),
    );
    let routers = table.optional(
        "routers",
        "Mode `siit`: IPv4 source addresses for ICMP errors of IPv6 routers that have no mapping (RFC 6791). \
         Without them it is the address of Shunt's own interface.",
        list(addresses()),
    );
    let lowest_ipv6_mtu = table.or(
        "lowest-ipv6-mtu",
        "The smallest MTU of the IPv6 network, in bytes. Shunt fragments IPv4 packets without DF so that the IPv6 packets \
         are no longer (RFC 7915 section 4.1).",
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
    let v4 = table.required("v4", "An IPv4 prefix, such as `192.0.2.0/24`, or an IPv4 address.", prefix());
    let v6 = table.required(
        "v6",
        "An IPv6 prefix, such as `2001:db8:1::/120`, or an IPv6 address. It leaves at least as many bits as `v4`.",
        prefix(),
    );
    let (v4, v6) = (v4?, v6?);
    for (name, found, wanted) in [("v4", v4, Family::V4), ("v6", v6, Family::V6)] {
        if found.family() != wanted {
            let word = if wanted == Family::V4 { "IPv4" } else { "IPv6" };
            let refusal = Refusal::new(Cause::BadValue, format!("`{found}` is not an {word} prefix"))
                .help("write the IPv4 prefix as `v4` and the IPv6 prefix as `v6`");
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
        let refusal =
            Refusal::new(Cause::BadValue, format!("IPv4 addresses cannot be embedded in `{prefix}`")).help(
                format!(
                    "use an IPv6 prefix of {lengths} bits whose bits 64 to 71 are zero (RFC 6052 section 2.2)"
                ),
            );
        table.refuse("prefix", refusal);
    }
    found
}

fn maps_of(table: &mut Table<'_>, maps: Vec<Map>) -> Option<Maps> {
    if maps.len() > MOST_MAPS {
        let message = format!("there are {} maps; {MOST_MAPS} are possible", maps.len());
        let help = "use maps of shorter prefixes, each of which stands for many addresses";
        table.refuse("map", Refusal::new(Cause::OutOfRange, message).help(help));
        return None;
    }
    let text = |place: usize| maps.get(place).map(|map| format!("`{}` and `{}`", map.v4, map.v6));
    let name = |place| text(place).unwrap_or_default();
    let refusal = match Maps::new(maps.clone()) {
        Ok(maps) => return Some(maps),
        Err(Unfit::Suffix(place)) => {
            Refusal::new(Cause::Conflict, format!("{} cannot be mapped to each other", name(place)))
                .help("use an IPv6 prefix that leaves at least as many bits as the IPv4 prefix: `/24` goes with `/120` or less")
        }
        Err(Unfit::Twice(first, second)) => {
            let message = format!("{} and {} have a prefix in common", name(first), name(second));
            Refusal::new(Cause::Duplicate, message).help("map each prefix to one other")
        }
        Err(Unfit::Mapped(place) | Unfit::Families(place)) => {
            Refusal::new(Cause::BadValue, format!("{} cannot be mapped to each other", name(place)))
                .help("use IPv4 and IPv6 prefixes that packets have; none has a v4-mapped address")
        }
    };
    table.refuse("map", refusal);
    None
}

fn routers_of(table: &mut Table<'_>, ranges: &[std::ops::RangeInclusive<IpAddr>]) -> Option<Routers> {
    let ranges: Vec<_> = ranges.iter().map(|range| (*range.start()).into()..=(*range.end()).into()).collect();
    let found = Routers::new(&ranges);
    if let Err(range) = &found {
        let message = format!("`{}` is not an IPv4 address", range.start());
        let help = "remove it: `prefix` and `map` translate the addresses of IPv6 routers";
        table.refuse("routers", Refusal::new(Cause::BadValue, message).help(help));
    }
    found.ok()
}
