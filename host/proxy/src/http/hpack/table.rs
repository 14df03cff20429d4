//! The fields that a connection has learnt (RFC 7541 sections 2.3.2 and 4).

use std::collections::VecDeque;

use super::names;

/// What a field counts beside its name and its value (section 4.1).
const OVERHEAD: usize = 32;

/// A name as a block says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Name<'a> {
    /// By the first index of it that both sides know from the beginning.
    Known(u8),
    /// It has none.
    Text(&'a [u8]),
}

impl<'a> Name<'a> {
    pub(in crate::http) fn of(text: &'a [u8]) -> Self {
        match names::find(text) {
            0 => Name::Text(text),
            index => Name::Known(index),
        }
    }

    pub(in crate::http) fn as_bytes(&self) -> &'a [u8] {
        match self {
            Name::Known(index) => names::name(*index).as_bytes(),
            Name::Text(text) => text,
        }
    }
}

/// A field of the table.
#[derive(Debug)]
pub(super) struct Entry {
    /// The name, where it is not known, and the value.
    text: Box<[u8]>,
    name_length: u16,
    known: u8,
}

impl Entry {
    /// A field that fits a table.
    fn new(name: Name<'_>, value: &[u8]) -> Self {
        let (known, name) = match name {
            Name::Known(index) => (index, &[][..]),
            Name::Text(text) => (0, text),
        };
        Entry { text: [name, value].concat().into(), name_length: name.len() as u16, known }
    }

    pub(super) fn name(&self) -> Name<'_> {
        match self.known {
            0 => Name::Text(&self.text[..usize::from(self.name_length)]),
            index => Name::Known(index),
        }
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.text[usize::from(self.name_length)..]
    }

    fn size(&self) -> usize {
        size(self.name(), self.value())
    }
}

pub(super) fn size(name: Name<'_>, value: &[u8]) -> usize {
    name.as_bytes().len() + value.len() + OVERHEAD
}

#[derive(Debug)]
pub(super) struct Table {
    /// The newest first, as indices count them.
    entries: VecDeque<Entry>,
    size: usize,
    /// The size that it may have: 64 KiB at most, so that lengths fit.
    capacity: usize,
}

impl Table {
    pub(super) fn new(capacity: usize) -> Self {
        Table { entries: VecDeque::new(), size: 0, capacity }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Section 4.3.
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.make_room(0);
    }

    /// A field as it is kept; `None`: it is larger than the table may be.
    pub(super) fn entry(&self, name: Name<'_>, value: &[u8]) -> Option<Entry> {
        (size(name, value) <= self.capacity).then(|| Entry::new(name, value))
    }

    /// Section 4.4. What is larger than the table empties it.
    pub(super) fn insert(&mut self, entry: Option<Entry>) {
        match entry {
            Some(entry) => {
                let size = entry.size();
                self.make_room(size);
                self.size += size;
                self.entries.push_front(entry);
            }
            None => {
                self.entries.clear();
                self.size = 0;
            }
        }
    }

    fn make_room(&mut self, size: usize) {
        while self.size + size > self.capacity
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
        }
    }

    /// By its index behind those of the fields that are known.
    pub(super) fn get(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }
}
