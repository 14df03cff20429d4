//! `table`

use super::{Interface, function};
use crate::abi::Allowance;
use crate::state::{Refusal, State};
use crate::tables::{Bounds, Kind, MAX_KEY, MAX_VALUE, Rate, Table, TableUse};

pub(super) fn define(table: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(table, "get", (table: text, key: octets) -> memory, get)?;
    function!(table, "put", (table: text, key: octets, value: octets) -> nothing, put)?;
    function!(table, "add-if-absent", (table: text, key: octets, value: octets) -> memory, add_if_absent)?;
    function!(table, "compare-and-set", (table: text, key: octets, expected: octets, value: octets) -> flat,
        compare_and_set)?;
    function!(table, "counter", (table: text, key: octets) -> flat, counter)?;
    function!(table, "add", (table: text, key: octets, by: i64) -> flat, add)?;
    function!(table, "allow-in-window",
        (table: text, key: octets, limit: u32, window_ms: u32, cost: u32) -> memory, allow_in_window)?;
    function!(table, "take-tokens",
        (table: text, key: octets, tokens: u32, per_ms: u32, burst: u32, cost: u32) -> memory, take_tokens)?;
    function!(table, "add-distinct", (table: text, key: octets, item: octets) -> flat, add_distinct)?;
    function!(table, "distinct", (table: text, key: octets) -> flat, distinct)?;
    function!(table, "delete", (table: text, key: octets) -> flat, delete)?;
    function!(table, "keep-for", (table: text, key: octets, ms: u32) -> flat, keep_for)?;
    function!(table, "count", (table: text) -> flat, count)
}

/// A table of the rule, and the milliseconds of the clock.
struct Found<'a> {
    of: &'a TableUse,
    bounds: &'a Bounds,
    now: u64,
}

#[inline]
fn find<'a>(state: &'a mut State, name: &str) -> wasmtime::Result<Found<'a>> {
    let now = state.now_ms();
    let tables = state.attachment.tables();
    match tables.iter().find(|it| it.name() == name) {
        Some(of) => Ok(Found { of, bounds: &of.bounds, now }),
        None => Err(Refusal::host_call(format!("named the table {name:?}, which the pack does not declare"))),
    }
}

/// Checks the key, too.
#[inline]
fn find_key<'a>(state: &'a mut State, name: &str, key: &[u8]) -> wasmtime::Result<Found<'a>> {
    if key.len() > MAX_KEY {
        return Err(Refusal::host_call(format!(
            "used a key of {} bytes in the table {name:?}; at most {MAX_KEY} are allowed",
            key.len()
        )));
    }
    let found = find(state, name)?;
    found.of.see(key);
    Ok(found)
}

fn check_value(name: &str, value: &[u8]) -> wasmtime::Result<()> {
    if value.len() <= MAX_VALUE {
        return Ok(());
    }
    Err(Refusal::host_call(format!(
        "put a value of {} bytes into the table {name:?}; at most {MAX_VALUE} are allowed",
        value.len()
    )))
}

/// The table is of another kind than the function is for.
#[cold]
fn other_kind<T>(of: &TableUse, kind: Kind) -> wasmtime::Result<T> {
    Err(Refusal::host_call(format!(
        "used the table {:?} as one of {kind}, and the pack declares it as one of {}",
        of.name(),
        of.declared().kind
    )))
}

/// The map of a table of this kind, or a fault.
macro_rules! map {
    ($found:expr, $kind:ident) => {
        match &*$found.of.table {
            Table::$kind(map) => map,
            _ => return other_kind($found.of, Kind::$kind),
        }
    };
}

fn get(state: &mut State, table: &str, key: &[u8]) -> wasmtime::Result<Option<Vec<u8>>> {
    let found = find_key(state, table, key)?;
    Ok(map!(found, Values).get(key, found.bounds, found.now))
}

fn put(state: &mut State, table: &str, key: &[u8], value: &[u8]) -> wasmtime::Result<()> {
    check_value(table, value)?;
    let found = find_key(state, table, key)?;
    map!(found, Values).put(key, value, found.bounds, found.now);
    Ok(())
}

fn add_if_absent(
    state: &mut State,
    table: &str,
    key: &[u8],
    value: &[u8],
) -> wasmtime::Result<Option<Vec<u8>>> {
    check_value(table, value)?;
    let found = find_key(state, table, key)?;
    Ok(map!(found, Values).add_if_absent(key, value, found.bounds, found.now))
}

fn compare_and_set(
    state: &mut State,
    table: &str,
    key: &[u8],
    expected: &[u8],
    value: &[u8],
) -> wasmtime::Result<bool> {
    check_value(table, value)?;
    let found = find_key(state, table, key)?;
    Ok(map!(found, Values).compare_and_set(key, expected, value, found.bounds, found.now))
}

fn counter(state: &mut State, table: &str, key: &[u8]) -> wasmtime::Result<i64> {
    let found = find_key(state, table, key)?;
    Ok(map!(found, Counters).read(key, found.bounds, found.now))
}

fn add(state: &mut State, table: &str, key: &[u8], by: i64) -> wasmtime::Result<i64> {
    let found = find_key(state, table, key)?;
    Ok(map!(found, Counters).add(key, by, found.bounds, found.now))
}

fn allow_in_window(
    state: &mut State,
    table: &str,
    key: &[u8],
    limit: u32,
    window_ms: u32,
    cost: u32,
) -> wasmtime::Result<Allowance> {
    let found = find_key(state, table, key)?;
    Ok(map!(found, Windows).allow(key, limit, window_ms, cost, found.bounds, found.now).into())
}

fn take_tokens(
    state: &mut State,
    table: &str,
    key: &[u8],
    tokens: u32,
    per_ms: u32,
    burst: u32,
    cost: u32,
) -> wasmtime::Result<Allowance> {
    let found = find_key(state, table, key)?;
    let rate = Rate { tokens, per_ms, burst };
    Ok(map!(found, Buckets).take_tokens(key, rate, cost, found.bounds, found.now).into())
}

fn add_distinct(state: &mut State, table: &str, key: &[u8], item: &[u8]) -> wasmtime::Result<u64> {
    check_value(table, item)?;
    let found = find_key(state, table, key)?;
    Ok(map!(found, Distinct).add(key, item, found.bounds, found.now))
}

fn distinct(state: &mut State, table: &str, key: &[u8]) -> wasmtime::Result<u64> {
    let found = find_key(state, table, key)?;
    Ok(map!(found, Distinct).read(key, found.bounds, found.now))
}

fn delete(state: &mut State, table: &str, key: &[u8]) -> wasmtime::Result<bool> {
    let found = find_key(state, table, key)?;
    Ok(found.of.table.remove(key, found.bounds, found.now))
}

fn keep_for(state: &mut State, table: &str, key: &[u8], ms: u32) -> wasmtime::Result<bool> {
    let found = find_key(state, table, key)?;
    if matches!(found.of.declared().kind, Kind::Windows | Kind::Buckets) {
        return Err(Refusal::host_call(format!(
            "set the time of an entry of the table {table:?}, whose entries end by themselves"
        )));
    }
    Ok(found.of.table.end_at(key, found.now.saturating_add(ms.into()), found.bounds, found.now))
}

fn count(state: &mut State, table: &str) -> wasmtime::Result<u64> {
    Ok(find(state, table)?.of.count() as u64)
}
