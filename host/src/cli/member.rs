//! `shunt pool …` and `shunt member …`

use std::collections::BTreeMap;

use http::Method;
use serde_json::json;
use shunt_engine::member::Admin;

use super::args::{MemberCommand, MemberName, PoolCommand};
use super::client::{Body, Client};
use super::failure::Failure;
use super::format;
use super::screen::{Screen, Tone};
use super::table::{Align, Cell, Table};
use shunt_api::status::{MemberStatus, PoolStatus, Pools};

/// Lists pools, or changes which of their members are used.
///
/// # Errors
/// No daemon answers, or there is no such pool or member.
pub(super) fn pool(command: PoolCommand, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = match command {
        PoolCommand::List => return list(client, screen),
        PoolCommand::Priority { pool, configured: true, .. } => {
            client.ask(Method::DELETE, &["pools", &pool, "priorities"], Body::None)?
        }
        PoolCommand::Priority { pool, priorities, .. } => {
            let priorities: BTreeMap<String, u16> =
                priorities.into_iter().map(|(address, priority)| (address.to_string(), priority)).collect();
            let change = Body::Json(json!({ "priorities": priorities }));
            client.ask(Method::PUT, &["pools", &pool, "priorities"], change)?
        }
        PoolCommand::FailBack { pool } => {
            client.ask(Method::POST, &["pools", &pool, "fail-back"], Body::None)?
        }
    };
    let pool = [client.read::<PoolStatus>(&answer)?];
    screen.show(&answer, |paint| groups(&pool).render(paint));
    Ok(())
}

fn list(client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.get("pools")?;
    let pools = client.read::<Pools>(&answer)?.pools;
    screen.show(&answer, |paint| {
        if pools.is_empty() {
            return "no pools\n".to_owned();
        }
        let tables = [summary(&pools), groups(&pools), table(&pools), on_path(&pools)];
        let shown = tables.iter().filter(|table| !table.is_empty()).map(|table| table.render(paint));
        shown.collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// Changes what the operator wants of a member.
///
/// # Errors
/// No daemon answers, or there is no such member.
pub(super) fn set(command: MemberCommand, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let (MemberName { pool, address }, admin) = match command {
        MemberCommand::Drain(name) => (name, Admin::Draining),
        MemberCommand::Enable(name) => (name, Admin::Enabled),
        MemberCommand::Disable(name) => (name, Admin::Disabled),
    };
    let address = address.to_string();
    let change = Body::Json(json!({ "admin": admin.as_str() }));
    let answer = client.ask(Method::PUT, &["pools", &pool, "members", &address], change)?;
    let member: MemberStatus = client.read(&answer)?;
    screen.show(&answer, |_| {
        format!("{} in pool {pool} is {}, {} in flight\n", member.address, member.admin, in_flight(&member))
    });
    Ok(())
}

/// What the member has to do: `2 requests`, `1 flow`.
fn in_flight(member: &MemberStatus) -> String {
    let requests = u64::from(member.active).saturating_sub(member.flows.unwrap_or_default());
    match member.flows {
        None => format::count(requests, "request"),
        Some(flows) if requests == 0 => format::count(flows, "flow"),
        Some(flows) => format!("{} and {}", format::count(requests, "request"), format::count(flows, "flow")),
    }
}

fn summary(pools: &[PoolStatus]) -> Table {
    let mut table = Table::new([("POOL", Align::Left), ("BALANCE", Align::Left), ("USABLE", Align::Left)]);
    for pool in pools {
        let tone = if pool.usable == 0 { Tone::Bad } else { Tone::Plain };
        let usable = format!("{} of {}", pool.usable, pool.members.len());
        table.row([(&pool.name).into(), (&pool.balance).into(), Cell::from(usable).tone(tone)]);
    }
    table
}

/// The priority groups of pools that have several.
fn groups(pools: &[PoolStatus]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("POOL", Left),
        ("PRIORITY", Right),
        ("USABLE", Left),
        ("IN USE", Left),
        ("MEMBERS", Left),
    ]);
    for pool in pools.iter().filter(|pool| pool.groups.len() > 1) {
        for group in &pool.groups {
            let members = pool.members.iter().filter(|it| it.priority == group.priority);
            let members: Vec<&str> = members.map(|it| it.address.as_str()).collect();
            table.row([
                (&pool.name).into(),
                u32::from(group.priority).into(),
                format!("{} of {}", group.usable, group.members).into(),
                if group.in_use { "yes" } else { "no" }.into(),
                members.join(" ").into(),
            ]);
        }
    }
    table
}

/// All members of all pools.
pub(super) fn table(pools: &[PoolStatus]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("POOL", Left),
        ("MEMBER", Left),
        ("WEIGHT", Right),
        ("ADMIN", Left),
        ("HEALTH", Left),
        ("ACTIVE", Right),
        ("REQUESTS", Right),
        ("FAILED", Right),
        ("LAST PROBE", Left),
    ]);
    for (pool, member) in pools.iter().flat_map(|pool| pool.members.iter().map(move |member| (pool, member)))
    {
        let admin = if member.admin == "enabled" { Tone::Plain } else { Tone::Faint };
        // What the operator did, and that it is down, stands beside.
        let known = |why: &&str| ["down", "disabled", "draining"].contains(why);
        let why = member.ineligible.as_deref().filter(|why| !known(why));
        let shown = why.map_or_else(|| member.health.clone(), |why| format!("{}, {why}", member.health));
        let health = if shown == "up" { Tone::Good } else { Tone::Bad };
        table.row([
            (&pool.name).into(),
            (&member.address).into(),
            member.weight.into(),
            Cell::from(&member.admin).tone(admin),
            Cell::from(shown).tone(health),
            member.active.into(),
            member.counts.requests.into(),
            (member.counts.connects_failed + member.counts.failures).into(),
            member.reason.as_ref().into(),
        ]);
    }
    table
}

/// Members as the clients of virtuals find them that probe on their way.
pub(super) fn on_path(pools: &[PoolStatus]) -> Table {
    use Align::Left;
    let mut table = Table::new([
        ("SERVICE PATH OF", Left),
        ("MODE", Left),
        ("POOL", Left),
        ("MEMBER", Left),
        ("HEALTH", Left),
        ("LAST PROBE", Left),
    ]);
    for pool in pools {
        for member in &pool.members {
            for found in &member.on_path {
                let health = if found.health == "up" { Tone::Good } else { Tone::Bad };
                table.row([
                    (&found.virtual_name).into(),
                    (&found.mode).into(),
                    (&pool.name).into(),
                    (&member.address).into(),
                    Cell::from(&found.health).tone(health),
                    found.reason.as_ref().into(),
                ]);
            }
        }
    }
    table
}

/// Names that members are written with.
pub(super) fn names(pools: &[PoolStatus]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("NAME", Left),
        ("POOL", Left),
        ("MEMBERS", Right),
        ("HELD", Right),
        ("TTL", Right),
        ("LAST ERROR", Left),
    ]);
    for (pool, it) in pools.iter().flat_map(|pool| pool.names.iter().map(move |it| (pool, it))) {
        let members = if it.addresses.is_empty() { Tone::Bad } else { Tone::Plain };
        table.row([
            (&it.name).into(),
            (&pool.name).into(),
            Cell::from(it.addresses.len() as u64).tone(members),
            (it.held as u64).into(),
            it.ttl_seconds.map(|seconds| format!("{seconds} s")).as_ref().into(),
            it.error.as_ref().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample;

    #[test]
    fn requests_and_flows_are_told_apart() {
        let said = |active: u32, flows: Option<u64>| {
            let member = sample::status().pools[0].members[0].clone();
            in_flight(&MemberStatus { active, flows, ..member })
        };
        assert_eq!(said(1, None), "1 request");
        assert_eq!(said(1, Some(1)), "1 flow");
        assert_eq!(said(0, Some(0)), "0 flows");
        assert_eq!(said(3, Some(2)), "1 request and 2 flows");
    }
}
