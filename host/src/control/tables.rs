//! Tables of rules, which outlive their versions: how they are swept, and the shapes that the admin interface sends.

use std::time::Duration;

use shunt_api::counts::TableCounts;
use shunt_api::tables::{ClearedTable, TableEntries, TableEntry, TableStatus};
use shunt_rules::{Attachment, Counts, Cursor, Listed, TableUse};
use shunt_runtime::clock;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::operate::NotFound;
use super::{Actor, Control, RuleName};

/// Between two sweeps of a table that has few entries.
const EVERY: Duration = Duration::from_secs(1);
/// A table with so many entries, or more, is swept less often in proportion: a sweep of these takes about a millisecond.
const FEW: u64 = 100_000;

/// Forgets entries whose time is over, table by table, on another thread. For ever.
pub async fn follow_tables(control: &Mutex<Control>) {
    let mut round = 0_u64;
    loop {
        sleep(EVERY).await;
        round += 1;
        let due = |it: &&TableUse| round.is_multiple_of(1 + it.counts().entries / FEW);
        let due: Vec<TableUse> = {
            let control = control.lock().await;
            control.attachments().flat_map(|it| it.tables()).filter(due).cloned().collect()
        };
        if due.is_empty() {
            continue;
        }
        let sweep = move || {
            for table in due {
                table.sweep(clock::monotonic_ms());
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(sweep).await {
            tracing::error!(%error, "tables were not swept");
        }
    }
}

/// A table of a rule, for operators. It is used without the lock of the control.
pub struct OperatedTable {
    rule: RuleName,
    of: TableUse,
}

/// Why an entry is not there or cannot be.
#[derive(Debug)]
pub enum EntryError {
    /// What was written is no key, or no value, of the table.
    Unfit(String),
    NotFound(NotFound),
}

impl Control {
    /// Every table of the rules that run.
    pub fn tables(&self) -> Vec<TableStatus> {
        self.attachments().flat_map(|it| statuses(it)).collect()
    }

    /// # Errors
    /// There is no such rule, or it has no such table.
    pub fn table(&self, rule: RuleName, table: &str) -> Result<OperatedTable, NotFound> {
        let attachment = self.running(&rule)?;
        match attachment.tables().iter().find(|it| it.name() == table) {
            Some(of) => Ok(OperatedTable { rule, of: of.clone() }),
            None => {
                let known = attachment.tables().iter().map(|it| it.name().to_owned()).collect();
                Err(NotFound { what: format!("table {table} of rule {rule}"), known })
            }
        }
    }
}

impl OperatedTable {
    /// A page of entries.
    pub fn entries(&self, after: Option<Cursor>, limit: usize) -> TableEntries {
        let (listed, next) = self.of.list(after, limit, clock::monotonic_ms());
        let entries = listed.into_iter().map(|it| self.shown(it)).collect();
        TableEntries { entries, next: next.map(|it| it.to_string()) }
    }

    /// # Errors
    /// It is not there.
    pub fn entry(&self, key: &str) -> Result<TableEntry, EntryError> {
        let found = self.of.look(&self.key(key)?, clock::monotonic_ms());
        found.map(|it| self.shown(it)).ok_or_else(|| self.missing(key))
    }

    /// # Errors
    /// That is no key or no value of the table.
    pub fn set(&self, key: &str, value: &str, by: &Actor) -> Result<TableEntry, EntryError> {
        self.of.write(&self.key(key)?, value, clock::monotonic_ms()).map_err(EntryError::Unfit)?;
        let (rule, table) = (&self.rule, self.of.name());
        tracing::info!(by = by.to_string(), %rule, table, key, value, "table entry set");
        self.entry(key)
    }

    /// Gives what it was.
    ///
    /// # Errors
    /// It is not there.
    pub fn delete(&self, key: &str, by: &Actor) -> Result<TableEntry, EntryError> {
        let before = self.entry(key)?;
        if !self.of.remove(&self.key(key)?, clock::monotonic_ms()) {
            return Err(self.missing(key));
        }
        let (rule, table) = (&self.rule, self.of.name());
        tracing::info!(by = by.to_string(), %rule, table, key, value = before.value, "table entry deleted");
        Ok(before)
    }

    /// Deletes all entries.
    pub fn clear(&self, by: &Actor) -> ClearedTable {
        let cleared = self.of.clear() as u64;
        let (rule, table) = (self.rule.to_string(), self.of.name().to_owned());
        tracing::info!(by = by.to_string(), rule, table, cleared, "table cleared");
        ClearedTable { rule, table, cleared }
    }

    fn key(&self, text: &str) -> Result<Vec<u8>, EntryError> {
        self.of.declared().key.parse(text).map_err(EntryError::Unfit)
    }

    fn missing(&self, key: &str) -> EntryError {
        let what = format!("entry {key} in table {} of rule {}", self.of.name(), self.rule);
        EntryError::NotFound(NotFound { what, known: Vec::new() })
    }

    fn shown(&self, listed: Listed) -> TableEntry {
        TableEntry {
            key: self.of.declared().key.show(&listed.key),
            value: listed.value.show(),
            idle_ms: milliseconds(listed.idle),
            ends_ms: listed.ends.map(milliseconds),
        }
    }
}

/// The tables of a rule.
pub(super) fn statuses(attachment: &Attachment) -> impl Iterator<Item = TableStatus> {
    attachment.tables().iter().map(|it| {
        let Counts { entries, bytes, expired, evicted, refused } = it.counts();
        let declared = it.declared();
        TableStatus {
            rule: attachment.name().to_string(),
            name: it.name().to_owned(),
            purpose: declared.purpose.clone(),
            kind: declared.kind.name().to_owned(),
            key: declared.key.name().to_owned(),
            most_entries: declared.entries.into(),
            most_bytes: declared.memory,
            idle_ms: declared.idle.map(milliseconds),
            lifetime_ms: declared.lifetime.map(milliseconds),
            counts: TableCounts { entries, bytes, expired, evicted, refused },
        }
    })
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
