//! What `shunt status` shows of packet virtuals.

use super::format::{self, count};
use super::screen::Tone;
use super::table::{Align, Cell, Table};
use shunt_api::counts::{InterfaceCounts, TrafficCounts};
use shunt_api::packets::PacketStatus;

/// One line above the tables.
pub(super) fn head(packets: &PacketStatus) -> String {
    let flows = count(packets.counts.flows, "flow");
    format!("packets: {flows}, {}\n", count(packets.workers, "worker"))
}

/// The tables that have rows.
pub(super) fn tables(packets: &PacketStatus) -> Vec<Table> {
    let all = [
        virtuals(packets),
        translators(packets),
        members(packets),
        modes(packets),
        snat(packets),
        interfaces(packets),
        drops(packets),
    ];
    all.into_iter().filter(|table| !table.is_empty()).collect()
}

fn virtuals(packets: &PacketStatus) -> Table {
    let mut table = Table::new(columns([
        ("PACKET VIRTUAL", Align::Left),
        ("LISTEN", Align::Left),
        ("TRANSPORT", Align::Left),
        ("POOL", Align::Left),
        ("MODE", Align::Left),
        ("REFUSED", Align::Right),
    ]));
    for it in &packets.virtuals {
        let own: [Cell; 6] = [
            (&it.name).into(),
            (&it.listen).into(),
            (&it.transport).into(),
            it.pool.as_ref().into(),
            (&it.mode).into(),
            it.counts.refused.into(),
        ];
        table.row(own.into_iter().chain(traffic(&it.traffic)));
    }
    table
}

fn translators(packets: &PacketStatus) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("TRANSLATOR", Left),
        ("INTERFACES", Left),
        ("REFUSED", Right),
        ("TO IPV4", Right),
        ("TO IPV6", Right),
    ]);
    for it in &packets.translators {
        table.row([
            Cell::from(&it.name),
            (&it.interfaces.join(",")).into(),
            it.counts.refused.into(),
            format::bytes(it.counts.bytes_to_v4).into(),
            format::bytes(it.counts.bytes_to_v6).into(),
        ]);
    }
    table
}

fn members(packets: &PacketStatus) -> Table {
    let mut table = Table::new(columns([("POOL", Align::Left), ("MEMBER", Align::Left)]));
    for it in &packets.members {
        table.row([Cell::from(&it.pool), (&it.member).into()].into_iter().chain(traffic(&it.traffic)));
    }
    table
}

/// Those with traffic.
fn modes(packets: &PacketStatus) -> Table {
    let mut table = Table::new(columns([("MODE", Align::Left)]));
    for it in packets.modes.iter().filter(|it| it.traffic.flows > 0) {
        table.row([Cell::from(&it.mode)].into_iter().chain(traffic(&it.traffic)));
    }
    table
}

fn snat(packets: &PacketStatus) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("SNAT POOL", Left),
        ("ADDRESSES", Right),
        ("LEASED", Right),
        ("QUARANTINED", Right),
        ("LEAST FREE", Right),
    ]);
    for it in &packets.snat_pools {
        let tone = if it.least_free == Some(0) { Tone::Bad } else { Tone::Plain };
        table.row([
            (&it.name).into(),
            (it.addresses as u64).into(),
            it.counts.leased.into(),
            it.counts.resting.into(),
            Cell::from(it.least_free).tone(tone),
        ]);
    }
    table
}

fn interfaces(packets: &PacketStatus) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("INTERFACE", Left),
        ("XDP", Left),
        ("QUEUES", Right),
        ("RECEIVED", Right),
        ("SENT", Right),
        ("LOST", Right),
    ]);
    for it in &packets.interfaces {
        let mode = if it.mode == "generic" { Tone::Bad } else { Tone::Plain };
        let InterfaceCounts { received, sent, copied: _, send_full, receive_full, no_buffer, dropped } =
            it.counts;
        let lost = send_full + receive_full + no_buffer + dropped;
        table.row([
            (&it.name).into(),
            Cell::from(&it.mode).tone(mode),
            it.queues.into(),
            received.into(),
            sent.into(),
            Cell::from(lost).tone(if lost > 0 { Tone::Bad } else { Tone::Plain }),
        ]);
    }
    table
}

fn drops(packets: &PacketStatus) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([("NOT FORWARDED", Left), ("PACKETS", Right), ("WHAT TO DO", Left)]);
    for it in &packets.drops {
        table.row([(&it.reason).into(), it.count.into(), (&it.remedy).into()]);
    }
    table
}

/// These columns, and the traffic of flows.
fn columns<const N: usize>(own: [(&'static str, Align); N]) -> impl Iterator<Item = (&'static str, Align)> {
    let traffic = ["ACTIVE", "FLOWS", "TO SERVER", "TO CLIENT"];
    own.into_iter().chain(traffic.map(|name| (name, Align::Right)))
}

fn traffic(traffic: &TrafficCounts) -> [Cell; 4] {
    [
        traffic.active.into(),
        traffic.flows.into(),
        format::bytes(traffic.bytes_to_server).into(),
        format::bytes(traffic.bytes_to_client).into(),
    ]
}
