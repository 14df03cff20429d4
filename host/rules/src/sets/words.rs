//! Texts that are looked up whole, by their beginning, or by the labels at the end of a host name.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use super::SetKind;
use super::lines::{Line, Problems};
use super::values::{Interner, ValueId, append, nth};

/// Bytes of a text that is looked up: what a head may have.
pub(super) const LONGEST_TEXT: usize = 64 << 10;
/// Bytes of a host name (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 253;

#[derive(Debug)]
pub(super) struct Words {
    text: Box<str>,
    ends: Box<[u32]>,
    values: Box<[ValueId]>,
    way: Way,
}

/// How they are found.
#[derive(Debug)]
enum Way {
    Exact(Table),
    /// They are sorted, and have for each the longest other that it begins with: 0 for none, else its number and one more.
    Prefix(Box<[u32]>),
    Suffix(Table),
}

impl Words {
    pub(super) fn build<'a>(
        kind: SetKind,
        lines: &[Line<'a>],
        values: &mut Interner<'a>,
        problems: &mut Problems<'_>,
    ) -> Words {
        let mut entries: Vec<(String, ValueId, usize)> = Vec::with_capacity(lines.len());
        for line in lines {
            let word = match kind {
                SetKind::Suffix => match host(line.entry) {
                    Ok(name) => name,
                    Err(message) => {
                        problems.add(line.number, message);
                        continue;
                    }
                },
                _ => line.entry.to_owned(),
            };
            entries.push((word, values.id(line.value), line.number));
        }
        entries.sort_unstable();
        entries.dedup_by(|(word, value, number), (kept, kept_value, kept_number)| {
            let same = word == kept;
            if same && value != kept_value {
                problems.twice(*number, word, *kept_number);
            }
            same
        });
        let (mut text, mut ends, mut of) = (String::new(), Vec::new(), Vec::new());
        for (word, value, _) in &entries {
            append(&mut text, &mut ends, word);
            of.push(*value);
        }
        let (text, ends): (Box<str>, Box<[u32]>) = (text.into(), ends.into());
        let way = match kind {
            SetKind::Prefix => Way::Prefix(outer(&text, &ends)),
            SetKind::Suffix => Way::Suffix(Table::build(&text, &ends)),
            _ => Way::Exact(Table::build(&text, &ends)),
        };
        Words { text, ends, values: of.into(), way }
    }

    pub(super) fn find(&self, text: &str) -> Option<(&str, ValueId)> {
        let number = match &self.way {
            Way::Exact(table) => table.find(text.as_bytes(), &self.text, &self.ends),
            Way::Prefix(outer) => self.longest_beginning(text, outer),
            Way::Suffix(table) => self.longest_end(text, table),
        }?;
        Some((nth(&self.text, &self.ends, number), self.values[number as usize]))
    }

    /// All that a text begins with lie one in the other, and before it: so the last word before it begins with the longest
    /// of them, or is it.
    fn longest_beginning(&self, text: &str, outer: &[u32]) -> Option<u32> {
        let (mut from, mut to) = (0, self.ends.len());
        while from < to {
            let middle = from.midpoint(to);
            let word = nth(&self.text, &self.ends, u32::try_from(middle).ok()?);
            if word <= text { from = middle + 1 } else { to = middle }
        }
        let mut number = u32::try_from(from).ok()?;
        while let Some(candidate) = number.checked_sub(1) {
            if text.starts_with(nth(&self.text, &self.ends, candidate)) {
                return Some(candidate);
            }
            number = outer[candidate as usize];
        }
        None
    }

    fn longest_end(&self, text: &str, table: &Table) -> Option<u32> {
        let name = text.strip_suffix('.').unwrap_or(text).as_bytes();
        if name.len() > LONGEST_NAME {
            return None;
        }
        let mut lower = [0; LONGEST_NAME];
        let lower = &mut lower[..name.len()];
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let mut rest = &*lower;
        loop {
            if let Some(number) = table.find(rest, &self.text, &self.ends) {
                return Some(number);
            }
            let dot = rest.iter().position(|byte| *byte == b'.')?;
            rest = &rest[dot + 1..];
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let way = match &self.way {
            Way::Exact(table) | Way::Suffix(table) => size_of_val(&*table.places),
            Way::Prefix(outer) => size_of_val(&**outer),
        };
        self.text.len() + size_of_val(&*self.ends) + size_of_val(&*self.values) + way
    }
}

/// A host name in lower case, without the root's dot.
fn host(entry: &str) -> Result<String, String> {
    let name = entry.strip_suffix('.').unwrap_or(entry);
    let rest = name.strip_prefix("*.").or_else(|| name.strip_prefix('.'));
    if let Some(rest) = rest {
        return Err(format!(
            "{entry:?} is no host name; write {rest}, which is for the name and all below it"
        ));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() > LONGEST_NAME || !name.split('.').all(is_label) {
        return Err(format!(
            "{entry:?} is no host name; write one such as shop.example, of other letters as in xn--bcher-kva.example"
        ));
    }
    Ok(name.to_ascii_lowercase())
}

/// For each of sorted words the longest other that it begins with.
fn outer(text: &str, ends: &[u32]) -> Box<[u32]> {
    let mut outer = Vec::with_capacity(ends.len());
    // Those that the word before begins with, and it.
    let mut open: Vec<u32> = Vec::new();
    for number in (0..).take(ends.len()) {
        let word = nth(text, ends, number);
        while open.last().is_some_and(|last| !word.starts_with(nth(text, ends, *last))) {
            open.pop();
        }
        outer.push(open.last().map_or(0, |last| last + 1));
        open.push(number);
    }
    outer.into()
}

/// Where words are by their hash: open addressing with linear probing, half of it empty at least.
#[derive(Debug)]
struct Table {
    /// 0 for none, else the number of a word and one more.
    places: Box<[u32]>,
    hasher: RandomState,
}

impl Table {
    fn build(text: &str, ends: &[u32]) -> Table {
        let places = vec![0; (ends.len() * 2).next_power_of_two()];
        let mut table = Table { places: places.into(), hasher: RandomState::new() };
        for number in (0..).take(ends.len()) {
            let mut at = table.place(nth(text, ends, number).as_bytes());
            while table.places[at] != 0 {
                at = (at + 1) % table.places.len();
            }
            table.places[at] = number + 1;
        }
        table
    }

    fn place(&self, word: &[u8]) -> usize {
        let hash = usize::try_from(self.hasher.hash_one(word) & u64::from(u32::MAX)).unwrap_or(0);
        hash & (self.places.len() - 1)
    }

    fn find(&self, word: &[u8], text: &str, ends: &[u32]) -> Option<u32> {
        let mut at = self.place(word);
        loop {
            let number = self.places[at].checked_sub(1)?;
            if nth(text, ends, number).as_bytes() == word {
                return Some(number);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }
}
