//! Writes field blocks (RFC 7541 sections 3 and 6).

use super::table::{Name, Table};
use super::{huffman, integer, names, table};

/// What a reader keeps that has said nothing else (RFC 9113 section 6.5.2), and the most that it is let keep.
const CAPACITY: usize = 4096;
/// What is kept here of it, the newest: about a dozen fields, and a connection that is idle keeps them.
const MOST_KEPT: usize = 1024;
/// So many values of a name are kept: one that changes from answer to answer is not to push out others.
const MOST_VALUES: usize = 3;
/// What is longer is not likely to be the same again, and would push out most of the others.
const LONGEST: usize = MOST_KEPT / 4;

/// Indices of appendix A.
mod index {
    pub(super) const AGE: u8 = 21;
    pub(super) const AUTHORIZATION: u8 = 23;
    pub(super) const CONTENT_LENGTH: u8 = 28;
    pub(super) const CONTENT_RANGE: u8 = 30;
    pub(super) const COOKIE: u8 = 32;
    pub(super) const DATE: u8 = 33;
    pub(super) const ETAG: u8 = 34;
    pub(super) const LAST_MODIFIED: u8 = 44;
    pub(super) const LOCATION: u8 = 46;
    pub(super) const PROXY_AUTHORIZATION: u8 = 49;
    pub(super) const SET_COOKIE: u8 = 55;
}

/// How a field is written that the table has not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Section 6.2.1: the next may be an index.
    Learn,
    /// Section 6.2.2.
    Once,
    /// Section 6.2.3. In a table that others' fields go through, too, what is secret could be guessed at by the size of
    /// what is written (section 7.1), and who passes it on is told so.
    Never,
}

impl Way {
    fn of(name: Name<'_>) -> Self {
        use index::*;
        match name {
            Name::Known(AUTHORIZATION | COOKIE | PROXY_AUTHORIZATION | SET_COOKIE) => Way::Never,
            // They belong to one answer, or nearly so.
            Name::Known(AGE | CONTENT_LENGTH | CONTENT_RANGE | ETAG | LAST_MODIFIED | LOCATION) => Way::Once,
            _ => Way::Learn,
        }
    }
}

#[derive(Debug)]
pub(in crate::http) struct Encoder {
    table: Table,
    /// What the reader was told of the size of its table.
    told: usize,
    /// What it is to be told, the least first that it was in between (section 4.2).
    to_tell: Option<(usize, usize)>,
}

impl Encoder {
    pub(in crate::http) fn new() -> Self {
        Encoder { table: Table::new(MOST_KEPT), told: CAPACITY, to_tell: None }
    }

    /// The reader lets the table have so many bytes: SETTINGS_HEADER_TABLE_SIZE.
    pub(in crate::http) fn set_capacity(&mut self, capacity: u32) {
        let capacity = CAPACITY.min(capacity as usize);
        let (least, now) = self.to_tell.unwrap_or((self.told, self.told));
        if capacity != now {
            self.to_tell = Some((least.min(capacity), capacity));
            // What the reader loses is not referred to; it has nothing of what was lost here.
            self.table.set_capacity(capacity.min(MOST_KEPT));
        }
    }

    /// Begins a block.
    pub(in crate::http) fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some((least, last)) = self.to_tell.take() {
            if least < last.min(self.told) {
                integer::write(out, 0x20, 5, least);
            }
            if last != self.told || least < last {
                integer::write(out, 0x20, 5, last);
            }
            self.told = last;
        }
    }

    pub(in crate::http) fn status(&mut self, status: u16, out: &mut Vec<u8>) {
        match status {
            200 => out.push(0x88),
            204 => out.push(0x89),
            206 => out.push(0x8a),
            304 => out.push(0x8b),
            400 => out.push(0x8c),
            404 => out.push(0x8d),
            500 => out.push(0x8e),
            _ => {
                let digits = [status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
                self.write(Name::Known(names::STATUS), &digits, Way::Learn, out);
            }
        }
    }

    /// Appends a field, whose name is in lower case; `secret`: it is never to be indexed.
    pub(in crate::http) fn field(&mut self, name: &[u8], value: &[u8], secret: bool, out: &mut Vec<u8>) {
        let name = Name::of(name);
        self.write(name, value, if secret { Way::Never } else { Way::of(name) }, out);
    }

    fn write(&mut self, name: Name<'_>, value: &[u8], mut way: Way, out: &mut Vec<u8>) {
        let (mut name_at, mut values) = (None, 0);
        if way == Way::Learn {
            for (at, entry) in self.table.iter().enumerate() {
                if entry.name() == name {
                    if entry.value() == value {
                        return integer::write(out, 0x80, 7, behind_known(at));
                    }
                    name_at = name_at.or(Some(at));
                    values += 1;
                }
            }
            // The date is the same for all answers of a second.
            let changes = values >= MOST_VALUES && name != Name::Known(index::DATE);
            if changes || table::size(name, value) > LONGEST.min(self.table.capacity()) {
                way = Way::Once;
            }
        }
        let name_index = match name {
            Name::Known(index) => usize::from(index),
            Name::Text(_) => name_at.map_or(0, behind_known),
        };
        match way {
            Way::Learn => integer::write(out, 0x40, 6, name_index),
            Way::Once => integer::write(out, 0, 4, name_index),
            Way::Never => integer::write(out, 0x10, 4, name_index),
        }
        if name_index == 0 {
            write_text(name.as_bytes(), out);
        }
        write_text(value, out);
        if way == Way::Learn {
            let entry = self.table.entry(name, value);
            self.table.insert(entry);
        }
    }
}

/// The index of a field of the table.
fn behind_known(at: usize) -> usize {
    at + 1 + usize::from(names::LAST)
}

/// Section 5.2: in Huffman's code where that is shorter.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let length = huffman::length(text);
    if length < text.len() {
        integer::write(out, 0x80, 7, length);
        huffman::encode(text, out);
    } else {
        integer::write(out, 0, 7, text.len());
        out.extend_from_slice(text);
    }
}
