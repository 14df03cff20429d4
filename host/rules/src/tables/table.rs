//! One table, of one of the kinds.

use std::time::Duration;

use super::bucket::{Bucket, Rate};
use super::declared::{Declared, Kind};
use super::distinct::Distinct;
use super::key::{shown, written};
use super::map::{Bounds, Content, Counts, Cursor, Map};
use super::shard::Entry;
use super::window::Window;
use super::{Allowance, allocated};

impl Content for Box<[u8]> {
    fn heap(&self) -> usize {
        allocated(self.len())
    }
}

impl Content for i64 {}

impl Content for Window {
    fn ends(&self) -> u64 {
        Window::ends(self)
    }
}

impl Content for Bucket {
    fn ends(&self) -> u64 {
        Bucket::ends(self)
    }
}

impl Content for Distinct {
    fn heap(&self) -> usize {
        Distinct::heap(self)
    }
}

/// Bytes of a value, as the contract says.
pub(crate) const MAX_VALUE: usize = 4096;

/// A table. It is shared by all workers, and outlives the versions of its rule.
pub(crate) enum Table {
    Values(Map<Box<[u8]>>),
    Counters(Map<i64>),
    Windows(Map<Window>),
    Buckets(Map<Bucket>),
    Distinct(Map<Distinct>),
}

/// The same of each kind.
macro_rules! each {
    ($table:expr, $map:ident => $do:expr) => {
        match $table {
            Table::Values($map) => $do,
            Table::Counters($map) => $do,
            Table::Windows($map) => $do,
            Table::Buckets($map) => $do,
            Table::Distinct($map) => $do,
        }
    };
}

/// An entry, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: Vec<u8>,
    pub value: Value,
    pub idle: Duration,
    /// Until it ends; `None`: it stays.
    pub ends: Option<Duration>,
}

/// What an entry holds, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Bytes(Vec<u8>),
    /// A count; of a window what was let through in it, of a bucket the milliseconds until it is full.
    Number(i64),
}

impl Value {
    /// As text: bytes that are no text that can be read as `0x` and digits.
    pub fn show(&self) -> String {
        match self {
            Value::Bytes(bytes) => shown(bytes),
            Value::Number(number) => number.to_string(),
        }
    }
}

fn number(number: u64) -> Value {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

impl Table {
    pub(super) fn new(declared: &Declared) -> Table {
        let entries = declared.entries as usize;
        match declared.kind {
            Kind::Values => Table::Values(Map::new(entries)),
            Kind::Counters => Table::Counters(Map::new(entries)),
            Kind::Windows => Table::Windows(Map::new(entries)),
            Kind::Buckets => Table::Buckets(Map::new(entries)),
            Kind::Distinct => Table::Distinct(Map::new(entries)),
        }
    }

    /// An empty one of the same kind, into which entries of this one can be copied.
    pub(super) fn apart(&self) -> Table {
        match self {
            Table::Values(map) => Table::Values(map.apart()),
            Table::Counters(map) => Table::Counters(map.apart()),
            Table::Windows(map) => Table::Windows(map.apart()),
            Table::Buckets(map) => Table::Buckets(map.apart()),
            Table::Distinct(map) => Table::Distinct(map.apart()),
        }
    }

    /// Copies the entry of a key from the one that this was made of.
    pub(super) fn copy(&self, from: &Table, key: &[u8]) {
        match (self, from) {
            (Table::Values(map), Table::Values(from)) => map.copy(from, key),
            (Table::Counters(map), Table::Counters(from)) => map.copy(from, key),
            (Table::Windows(map), Table::Windows(from)) => map.copy(from, key),
            (Table::Buckets(map), Table::Buckets(from)) => map.copy(from, key),
            (Table::Distinct(map), Table::Distinct(from)) => map.copy(from, key),
            _ => {}
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Table::Values(_) => Kind::Values,
            Table::Counters(_) => Kind::Counters,
            Table::Windows(_) => Kind::Windows,
            Table::Buckets(_) => Kind::Buckets,
            Table::Distinct(_) => Kind::Distinct,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        each!(self, map => map.counts())
    }

    pub(crate) fn len(&self) -> usize {
        each!(self, map => map.len())
    }

    pub(crate) fn remove(&self, key: &[u8], bounds: &Bounds, now: u64) -> bool {
        each!(self, map => map.remove(key, bounds, now))
    }

    pub(crate) fn clear(&self) -> usize {
        each!(self, map => map.clear())
    }

    pub(crate) fn sweep(&self, bounds: &Bounds, now: u64) {
        each!(self, map => map.sweep(bounds, now));
    }

    /// Ends an entry at a moment, however it is used; whether it is there.
    pub(crate) fn end_at(&self, key: &[u8], ends: u64, bounds: &Bounds, now: u64) -> bool {
        each!(self, map => map.with(key, bounds, now, |entry| entry.ends = ends).is_some())
    }

    pub(crate) fn look(&self, key: &[u8], bounds: &Bounds, now: u64) -> Option<Listed> {
        match self {
            Table::Values(map) => map.look(key, bounds, now, |it| listed(it, bytes(it), bounds, now)),
            Table::Counters(map) => {
                map.look(key, bounds, now, |it| listed(it, Value::Number(it.value), bounds, now))
            }
            Table::Windows(map) => {
                map.look(key, bounds, now, |it| listed(it, number(it.value.used(now).into()), bounds, now))
            }
            Table::Buckets(map) => {
                map.look(key, bounds, now, |it| listed(it, number(it.value.until_full(now)), bounds, now))
            }
            Table::Distinct(map) => {
                map.look(key, bounds, now, |it| listed(it, number(it.value.count()), bounds, now))
            }
        }
    }

    /// The next `most` entries, and where the list continues.
    pub(crate) fn list(
        &self,
        from: Option<Cursor>,
        most: usize,
        bounds: &Bounds,
        now: u64,
    ) -> (Vec<Listed>, Option<Cursor>) {
        match self {
            Table::Values(map) => map.list(from, most, bounds, now, |it| listed(it, bytes(it), bounds, now)),
            Table::Counters(map) => {
                map.list(from, most, bounds, now, |it| listed(it, Value::Number(it.value), bounds, now))
            }
            Table::Windows(map) => map.list(from, most, bounds, now, |it| {
                listed(it, number(it.value.used(now).into()), bounds, now)
            }),
            Table::Buckets(map) => map.list(from, most, bounds, now, |it| {
                listed(it, number(it.value.until_full(now)), bounds, now)
            }),
            Table::Distinct(map) => {
                map.list(from, most, bounds, now, |it| listed(it, number(it.value.count()), bounds, now))
            }
        }
    }

    /// Puts what was written as text.
    ///
    /// # Errors
    /// Why that is no value of this table.
    pub(crate) fn write(&self, key: &[u8], text: &str, bounds: &Bounds, now: u64) -> Result<(), String> {
        match self {
            Table::Values(map) => {
                let value = written(text);
                if value.len() > MAX_VALUE {
                    return Err(format!("a value of {} bytes; at most {MAX_VALUE} are allowed", value.len()));
                }
                map.put(key, &value, bounds, now);
            }
            Table::Counters(map) => {
                let value = text.parse::<i64>();
                let value = value.map_err(|_| format!("{text:?} is not an integer of 64 bits"))?;
                map.upsert(key, value, bounds, now, renew(bounds, now));
            }
            Table::Windows(_) | Table::Buckets(_) | Table::Distinct(_) => {
                return Err(format!(
                    "an entry of kind {:?} is made by its rule alone; delete it instead",
                    self.kind().name()
                ));
            }
        }
        Ok(())
    }
}

fn bytes(entry: &Entry<Box<[u8]>>) -> Value {
    Value::Bytes(entry.value.to_vec())
}

fn listed<V>(entry: &Entry<V>, value: Value, bounds: &Bounds, now: u64) -> Listed {
    let by_idle = entry.used.saturating_add(bounds.idle);
    let ends = entry.ends.min(by_idle);
    Listed {
        key: entry.key().to_vec(),
        value,
        idle: Duration::from_millis(now.saturating_sub(entry.used)),
        ends: (ends < u64::MAX).then(|| Duration::from_millis(ends.saturating_sub(now))),
    }
}

/// Puts a value in the place of the one that is there; its time begins anew.
fn renew<V>(bounds: &Bounds, now: u64) -> impl FnOnce(&mut Entry<V>, Option<V>) {
    let ends = now.saturating_add(bounds.lifetime);
    move |entry, fresh| {
        if let Some(value) = fresh {
            (entry.value, entry.ends) = (value, ends);
        }
    }
}

impl Map<Box<[u8]>> {
    pub(crate) fn get(&self, key: &[u8], bounds: &Bounds, now: u64) -> Option<Vec<u8>> {
        self.with(key, bounds, now, |entry| entry.value.to_vec())
    }

    pub(crate) fn put(&self, key: &[u8], value: &[u8], bounds: &Bounds, now: u64) {
        self.upsert(key, value.into(), bounds, now, renew(bounds, now));
    }

    /// The value that is there; `None`: there was none, and this one is there now.
    pub(crate) fn add_if_absent(
        &self,
        key: &[u8],
        value: &[u8],
        bounds: &Bounds,
        now: u64,
    ) -> Option<Vec<u8>> {
        self.upsert(key, value.into(), bounds, now, |entry, fresh| fresh.map(|_| entry.value.to_vec()))
    }

    /// Whether the value was the one that is expected, and is the new one now.
    pub(crate) fn compare_and_set(
        &self,
        key: &[u8],
        expected: &[u8],
        value: &[u8],
        bounds: &Bounds,
        now: u64,
    ) -> bool {
        let set = |entry: &mut Entry<Box<[u8]>>| {
            let same = *entry.value == *expected;
            if same {
                entry.value = value.into();
            }
            same
        };
        self.with(key, bounds, now, set).unwrap_or(false)
    }
}

impl Map<i64> {
    /// 0 where there is no entry.
    pub(crate) fn read(&self, key: &[u8], bounds: &Bounds, now: u64) -> i64 {
        self.with(key, bounds, now, |entry| entry.value).unwrap_or(0)
    }

    /// The new count. It stays at the least or the greatest number where the sum is beyond it.
    pub(crate) fn add(&self, key: &[u8], by: i64, bounds: &Bounds, now: u64) -> i64 {
        self.upsert(key, 0, bounds, now, |entry, _| {
            entry.value = entry.value.saturating_add(by);
            entry.value
        })
    }
}

impl Map<Window> {
    pub(crate) fn allow(
        &self,
        key: &[u8],
        limit: u32,
        window_ms: u32,
        cost: u32,
        bounds: &Bounds,
        now: u64,
    ) -> Allowance {
        self.upsert(key, Window::default(), bounds, now, |entry, _| {
            entry.ends = u64::MAX;
            entry.value.allow(limit, window_ms, cost, now)
        })
    }
}

impl Map<Bucket> {
    pub(crate) fn take_tokens(
        &self,
        key: &[u8],
        rate: Rate,
        cost: u32,
        bounds: &Bounds,
        now: u64,
    ) -> Allowance {
        self.upsert(key, Bucket::default(), bounds, now, |entry, _| {
            entry.ends = u64::MAX;
            entry.value.take(rate, cost, now)
        })
    }
}

impl Map<Distinct> {
    /// How many different items there are now.
    pub(crate) fn add(&self, key: &[u8], item: &[u8], bounds: &Bounds, now: u64) -> u64 {
        let hash = self.hash(item);
        self.upsert(key, Distinct::default(), bounds, now, |entry, _| entry.value.add(hash))
    }

    pub(crate) fn read(&self, key: &[u8], bounds: &Bounds, now: u64) -> u64 {
        self.with(key, bounds, now, |entry| entry.value.count()).unwrap_or(0)
    }
}
