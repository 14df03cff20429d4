//! `shunt table list|get|set|delete|clear`

use http::Method;
use serde_json::json;

use super::args::TableCommand;
use super::client::{Body, Client};
use super::failure::Failure;
use super::format;
use super::screen::{Paint, Screen};
use super::table::{Align, Table};
use crate::control::RuleName;
use shunt_api::tables::{ClearedTable, TableEntries, TableEntry, TableStatus, Tables};

/// Does what is asked for.
///
/// # Errors
/// No daemon answers, or it does not have what is asked for.
pub(super) fn run(command: TableCommand, client: &Client, screen: &Screen) -> Result<(), Failure> {
    match command {
        TableCommand::List { rule: None, .. } => {
            let answer = client.get("tables")?;
            let tables: Tables = client.read(&answer)?;
            screen.show(&answer, |paint| listed(&tables.tables, paint));
        }
        TableCommand::List { rule: Some(rule), table: None, .. } => {
            let answer = client.get("tables")?;
            let Tables { mut tables } = client.read(&answer)?;
            let name = rule.to_string();
            tables.retain(|it| it.rule == name);
            screen.show(&json!({ "tables": tables }), |paint| listed(&tables, paint));
        }
        TableCommand::List { rule: Some(rule), table: Some(table), after, limit } => {
            let query = [("after", after), ("limit", Some(limit.to_string()))];
            let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let answer = client.search(&path(&rule, &table, None), &query)?;
            let entries: TableEntries = client.read(&answer)?;
            screen.show(&answer, |paint| entries_listed(&entries, paint));
        }
        TableCommand::Get { rule, table, key } => {
            let answer = client.ask(Method::GET, &path(&rule, &table, Some(&key)), Body::None)?;
            let entry: TableEntry = client.read(&answer)?;
            screen.show(&answer, |_| format!("{}\n", entry.value));
        }
        TableCommand::Set { rule, table, key, value } => {
            let body = Body::Json(json!({ "value": value }));
            let answer = client.ask(Method::PUT, &path(&rule, &table, Some(&key)), body)?;
            let entry: TableEntry = client.read(&answer)?;
            screen.show(&answer, |_| format!("{} of {rule} {table} is {}\n", entry.key, entry.value));
        }
        TableCommand::Delete { rule, table, key } => {
            let answer = client.ask(Method::DELETE, &path(&rule, &table, Some(&key)), Body::None)?;
            let entry: TableEntry = client.read(&answer)?;
            let told = |_| format!("{} of {rule} {table} is deleted; it was {}\n", entry.key, entry.value);
            screen.show(&answer, told);
        }
        TableCommand::Clear { rule, table } => {
            let answer = client.ask(Method::DELETE, &path(&rule, &table, None), Body::None)?;
            let ClearedTable { cleared, .. } = client.read(&answer)?;
            let entries = if cleared == 1 { "1 entry".to_owned() } else { format!("{cleared} entries") };
            screen.show(&answer, |_| format!("{rule} {table} is empty; it had {entries}\n"));
        }
    }
    Ok(())
}

fn path<'a>(rule: &'a RuleName, table: &'a str, key: Option<&'a str>) -> Vec<&'a str> {
    ["tables", &rule.virtual_name, &rule.rule, table].into_iter().chain(key).collect()
}

fn listed(tables: &[TableStatus], paint: Paint) -> String {
    use Align::{Left, Right};
    if tables.is_empty() {
        return "no tables\n".to_owned();
    }
    let columns = [
        ("RULE", Left),
        ("TABLE", Left),
        ("KIND", Left),
        ("ENTRIES", Right),
        ("OF", Right),
        ("MEMORY", Right),
        ("EVICTED", Right),
        ("REFUSED", Right),
        ("FOR", Left),
    ];
    let mut table = Table::new(columns);
    for it in tables {
        table.row([
            it.rule.as_str().into(),
            it.name.as_str().into(),
            it.kind.as_str().into(),
            it.counts.entries.to_string().into(),
            it.most_entries.to_string().into(),
            format::bytes(it.counts.bytes).into(),
            it.counts.evicted.to_string().into(),
            it.counts.refused.to_string().into(),
            it.purpose.as_str().into(),
        ]);
    }
    table.render(paint)
}

fn entries_listed(entries: &TableEntries, paint: Paint) -> String {
    use Align::{Left, Right};
    if entries.entries.is_empty() && entries.next.is_none() {
        return "no entries\n".to_owned();
    }
    let mut table = Table::new([("KEY", Left), ("VALUE", Left), ("IDLE", Right), ("ENDS IN", Right)]);
    for it in &entries.entries {
        table.row([
            it.key.as_str().into(),
            it.value.as_str().into(),
            milliseconds(it.idle_ms).into(),
            it.ends_ms.map_or_else(|| "-".to_owned(), milliseconds).into(),
        ]);
    }
    let mut text = table.render(paint);
    if let Some(next) = &entries.next {
        text.push_str(&format!("there are more; `--after {next}` shows the next ones\n"));
    }
    text
}

/// To the millisecond below ten seconds, where limits are counted.
fn milliseconds(ms: u64) -> String {
    if ms < 10_000 { format!("{ms}ms") } else { format::span(ms / 1_000) }
}
