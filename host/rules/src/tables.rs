//! Tables: what rules remember beyond a flow.
//!
//! A pack declares them under `[tables]`. A table belongs to the rule where it is attached, `virtual/rule`, and outlives
//! instances, faults, reloads and versions: a version that declares a table of the same name and kind finds what the one
//! before it left. Its bounds are those of the version that asks.

mod bucket;
pub(crate) mod declared;
mod distinct;
mod key;
mod map;
mod shard;
mod table;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use bucket::Rate;
pub use declared::{Declared, Kind};
pub use key::KeyForm;
pub(crate) use key::MAX_KEY;
pub(crate) use map::Bounds;
pub use map::{Counts, Cursor};
pub use table::{Listed, Value};
pub(crate) use table::{MAX_VALUE, Table};

use crate::Attachment;

/// Whether something is let through, and what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub allowed: bool,
    pub remaining: u32,
    /// Milliseconds; `u32::MAX`: never.
    pub retry_after_ms: u32,
}

/// What a block of so many bytes takes of an allocator that rounds up to 16.
fn allocated(bytes: usize) -> usize {
    bytes.next_multiple_of(16)
}

/// All tables of a process.
#[derive(Default)]
pub struct Tables {
    all: Mutex<ByName>,
}

/// By rule and name. One name may stand for two kinds while one version of a rule follows another.
type ByName = BTreeMap<(Arc<str>, String), Vec<Arc<Table>>>;

/// A table as a version of a rule has it.
#[derive(Clone)]
pub struct TableUse {
    name: String,
    declared: Declared,
    pub(crate) table: Arc<Table>,
    pub(crate) bounds: Bounds,
    behind: Option<Arc<Behind>>,
}

/// The table that others see, of one whose changes nobody sees.
struct Behind {
    table: Arc<Table>,
    /// Keys that were looked at: what they had is copied.
    seen: Mutex<BTreeSet<Vec<u8>>>,
}

impl Tables {
    fn lock(&self) -> MutexGuard<'_, ByName> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table of a rule: the one that is there if it is of that kind, or a new one.
    pub fn of(&self, rule: &Arc<str>, name: &str, declared: &Declared) -> TableUse {
        let mut all = self.lock();
        let kinds = all.entry((Arc::clone(rule), name.to_owned())).or_default();
        let table = match kinds.iter().find(|it| it.kind() == declared.kind) {
            Some(table) => Arc::clone(table),
            None => {
                let table = Arc::new(Table::new(declared));
                kinds.push(Arc::clone(&table));
                table
            }
        };
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let time = |time: Option<Duration>| {
            time.map_or(u64::MAX, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        };
        let bounds = Bounds {
            entries: size(declared.entries.into()),
            memory: size(declared.memory),
            idle: time(declared.idle),
            lifetime: time(declared.lifetime),
        };
        TableUse { name: name.to_owned(), declared: declared.clone(), table, bounds, behind: None }
    }

    /// Forgets the tables of rules that are not there any more (`is_there` says), and those that the running version of a
    /// rule does not have.
    pub fn retain<'a>(
        &self,
        is_there: impl Fn(&str) -> bool,
        running: impl Iterator<Item = &'a Arc<Attachment>>,
    ) {
        let running: BTreeMap<&str, &Arc<Attachment>> = running.map(|it| (&**it.name(), it)).collect();
        let mut forgotten = Vec::new();
        let mut all = self.lock();
        all.retain(|(rule, name), kinds| {
            if !is_there(rule) {
                forgotten.append(kinds);
            } else if let Some(attachment) = running.get(&**rule) {
                let used = attachment.tables().iter().find(|it| it.name == *name);
                forgotten
                    .extend(kinds.extract_if(.., |it| used.is_none_or(|used| !Arc::ptr_eq(it, &used.table))));
            }
            !kinds.is_empty()
        });
        for attachment in running.values() {
            for used in attachment.tables() {
                let kinds = all.entry((Arc::clone(attachment.name()), used.name.clone())).or_default();
                // It was made for a version that was not running when another change ended.
                if !kinds.iter().any(|it| Arc::ptr_eq(it, &used.table)) {
                    kinds.push(Arc::clone(&used.table));
                }
            }
        }
        drop(all);
        // A large one takes a while, for which nothing is held.
        drop(forgotten);
    }
}

impl TableUse {
    /// The same table as others see it now, with changes that they do not see.
    pub(crate) fn apart(&self) -> TableUse {
        let seen = Mutex::default();
        TableUse {
            table: Arc::new(self.table.apart()),
            behind: Some(Arc::new(Behind { table: Arc::clone(&self.table), seen })),
            ..self.clone()
        }
    }

    /// Has the entry of a key in this table.
    #[inline]
    pub(crate) fn see(&self, key: &[u8]) {
        if let Some(behind) = &self.behind {
            self.copy(behind, key);
        }
    }

    #[cold]
    fn copy(&self, behind: &Behind, key: &[u8]) {
        let mut seen = behind.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.insert(key.to_vec()) {
            self.table.copy(&behind.table, key);
        }
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> usize {
        match &self.behind {
            Some(behind) => behind.table.len(),
            None => self.table.len(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    pub fn counts(&self) -> Counts {
        self.table.counts()
    }

    /// The entry of a key. Times are milliseconds of the clock of the environment.
    pub fn look(&self, key: &[u8], now: u64) -> Option<Listed> {
        self.table.look(key, &self.bounds, now)
    }

    /// The next `most` entries, and where the list continues; no lock is held for more than a few hundred entries. An
    /// entry that is there all the time is listed.
    pub fn list(&self, from: Option<Cursor>, most: usize, now: u64) -> (Vec<Listed>, Option<Cursor>) {
        self.table.list(from, most, &self.bounds, now)
    }

    /// Puts a value that was written as text.
    ///
    /// # Errors
    /// Why that is no value of this table.
    pub fn write(&self, key: &[u8], text: &str, now: u64) -> Result<(), String> {
        self.table.write(key, text, &self.bounds, now)
    }

    /// Whether the entry was there.
    pub fn remove(&self, key: &[u8], now: u64) -> bool {
        self.table.remove(key, &self.bounds, now)
    }

    /// Forgets all entries; how many there were.
    pub fn clear(&self) -> usize {
        self.table.clear()
    }

    /// Forgets entries whose time is over.
    pub fn sweep(&self, now: u64) {
        self.table.sweep(&self.bounds, now);
    }
}

/// `3.17`: as an operator hands it back for the next page.
impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.shard, self.left)
    }
}

impl std::str::FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Cursor, ()> {
        let (shard, left) = text.split_once('.').ok_or(())?;
        Ok(Cursor { shard: shard.parse().map_err(|_| ())?, left: left.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(kind: &str) -> Declared {
        toml::from_str(&format!("purpose = \"p\"\nkind = \"{kind}\"")).unwrap()
    }

    #[test]
    fn a_version_with_the_same_table_finds_what_is_in_it() {
        let (tables, rule) = (Tables::default(), Arc::from("shop/limit"));
        let first = tables.of(&rule, "clients", &declared("counters"));
        first.write(b"ann", "5", 0).unwrap();
        let mut longer = declared("counters");
        longer.idle = Some(Duration::from_secs(1));
        let second = tables.of(&rule, "clients", &longer);
        assert_eq!(second.look(b"ann", 10).unwrap().value, Value::Number(5));
        assert_eq!(second.look(b"ann", 10).unwrap().ends, Some(Duration::from_millis(990)));
        assert_eq!(first.look(b"ann", 10).unwrap().ends, None);
        let other = tables.of(&rule, "clients", &declared("values"));
        assert_eq!(other.look(b"ann", 10), None);
        let another = tables.of(&Arc::from("blog/limit"), "clients", &declared("counters"));
        assert_eq!(another.look(b"ann", 10), None);
        tables.retain(|rule| rule == "shop/limit", [].into_iter());
        let again = tables.of(&rule, "clients", &declared("counters"));
        assert_eq!(again.look(b"ann", 10).unwrap().value, Value::Number(5));
        assert_eq!(tables.lock().len(), 1);
    }

    #[test]
    fn times_are_those_of_an_entry() {
        let tables = Tables::default();
        let mut asked = declared("values");
        (asked.idle, asked.lifetime) = (Some(Duration::from_millis(100)), Some(Duration::from_millis(250)));
        let of = tables.of(&Arc::from("a/b"), "t", &asked);
        let Table::Values(map) = &*of.table else { panic!() };
        let get = |now| map.get(b"k", &of.bounds, now);
        map.put(b"k", b"v", &of.bounds, 1000);
        for (now, is_there) in [(1099, true), (1198, true), (1249, true), (1250, false)] {
            assert_eq!(get(now).is_some(), is_there, "{now}");
        }
        map.put(b"k", b"v", &of.bounds, 2000);
        map.put(b"k", b"w", &of.bounds, 2090);
        assert_eq!(get(2180), Some(b"w".to_vec()));
        assert_eq!(get(2279), Some(b"w".to_vec()), "its lifetime began anew");
        assert!(of.table.end_at(b"k", 2281, &of.bounds, 2279));
        assert_eq!((get(2280).is_some(), get(2281)), (true, None));
    }

    #[test]
    fn values_are_swapped_in_one_step() {
        let of = Tables::default().of(&Arc::from("a/b"), "t", &declared("values"));
        let Table::Values(map) = &*of.table else { panic!() };
        let bounds = &of.bounds;
        assert_eq!(map.add_if_absent(b"k", b"1", bounds, 0), None);
        assert_eq!(map.add_if_absent(b"k", b"2", bounds, 0), Some(b"1".to_vec()));
        assert!(!map.compare_and_set(b"k", b"2", b"3", bounds, 0));
        assert!(map.compare_and_set(b"k", b"1", &[7; 100], bounds, 0));
        assert!(!map.compare_and_set(b"none", b"", b"3", bounds, 0));
        assert_eq!(map.get(b"k", bounds, 0), Some(vec![7; 100]));
        let full = of.counts().bytes;
        map.put(b"k", b"", bounds, 0);
        assert_eq!(full - of.counts().bytes, 112);
    }

    #[test]
    fn limits_end_when_they_say_nothing_any_more() {
        let of = Tables::default().of(&Arc::from("a/b"), "t", &declared("windows"));
        let Table::Windows(map) = &*of.table else { panic!() };
        for now in [1000, 1001] {
            map.allow(b"k", 5, 800, 1, &of.bounds, now);
        }
        assert_eq!(of.look(b"k", 1500).unwrap().value, Value::Number(2));
        assert_eq!((of.look(b"k", 1899).is_some(), of.look(b"k", 1900)), (true, None));
        of.sweep(1900);
        assert_eq!((of.counts().entries, of.counts().expired), (0, 1));
        assert!(of.write(b"k", "1", 0).unwrap_err().contains("by its rule alone"));
    }

    #[test]
    fn what_is_done_apart_is_seen_by_nobody() {
        let of = Tables::default().of(&Arc::from("a/b"), "t", &declared("counters"));
        of.write(b"k", "5", 0).unwrap();
        let apart = of.apart();
        let Table::Counters(map) = &*apart.table else { panic!() };
        apart.see(b"k");
        assert_eq!(map.add(b"k", 1, &apart.bounds, 0), 6);
        assert!(apart.remove(b"k", 0));
        apart.see(b"k");
        assert_eq!((map.read(b"k", &apart.bounds, 0), apart.count()), (0, 1));
        assert_eq!(of.look(b"k", 0).unwrap().value, Value::Number(5));
        let of = Tables::default().of(&Arc::from("a/b"), "t", &declared("distinct"));
        let (Table::Distinct(map), apart) = (&*of.table, of.apart()) else { panic!() };
        map.add(b"k", b"item", &of.bounds, 0);
        let Table::Distinct(map) = &*apart.table else { panic!() };
        apart.see(b"k");
        assert_eq!(map.add(b"k", b"item", &apart.bounds, 0), 1, "items are known by the same hash");
    }

    #[test]
    fn a_page_says_where_the_next_one_begins() {
        let cursor = Cursor { shard: 3, left: 17 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!("3".parse::<Cursor>(), Err(()));
    }
}
