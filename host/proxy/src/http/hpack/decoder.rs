//! Reads field blocks (RFC 7541 sections 3 and 6).

use super::table::{Name, Table};
use super::{huffman, integer, names, table};

/// What is kept of the fields of a connection at most: what a reader has that says nothing else (RFC 9113 section 6.5.2).
const CAPACITY: usize = 4096;

/// Why a block cannot be read. What its connection has learnt is lost with it (RFC 9113 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Malformed {
    /// It ends within a field.
    Cut,
    /// A number that no field needs (RFC 7541 section 5.1).
    Number,
    /// A text that Huffman's code has not (section 5.2).
    Huffman,
    /// An index of no field (section 6.1).
    Index,
    /// A size of the table beyond what there is, or behind a field (sections 4.2 and 6.3).
    Resize,
    /// The fields are larger than was asked for.
    TooLarge,
}

/// Where texts are put that are not in a block as they are.
#[derive(Debug, Default)]
pub(in crate::http) struct Scratch {
    name: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Debug)]
pub(in crate::http) struct Decoder {
    table: Table,
}

impl Decoder {
    pub(in crate::http) fn new() -> Self {
        Decoder { table: Table::new(CAPACITY) }
    }

    /// Reads a whole block, of at most so many bytes of fields, their overhead among them (RFC 9113 section 6.5.2). `take`
    /// gets each, and whether it is never to be indexed.
    ///
    /// # Errors
    /// It is malformed, and nothing more can be read on the connection.
    pub(in crate::http) fn decode(
        &mut self,
        mut block: &[u8],
        most: usize,
        scratch: &mut Scratch,
        mut take: impl FnMut(Name<'_>, &[u8], bool),
    ) -> Result<(), Malformed> {
        let mut left = most;
        let mut count = |name: Name<'_>, value: &[u8]| {
            left = left.checked_sub(table::size(name, value)).ok_or(Malformed::TooLarge)?;
            Ok(())
        };
        while let [0x20..0x40, ..] = block {
            // Section 4.2: only before the first field.
            let capacity = integer::take(&mut block, 5)?;
            if capacity > CAPACITY {
                return Err(Malformed::Resize);
            }
            self.table.set_capacity(capacity);
        }
        while let Some(&first) = block.first() {
            if first & 0x80 != 0 {
                // Section 6.1.
                let index = integer::take(&mut block, 7)?;
                let (name, value) = self.field(index)?;
                count(name, value)?;
                take(name, value, false);
                continue;
            }
            // Section 6.2.
            let (prefix, learns) = match first {
                0x40.. => (6, true),
                0x20.. => return Err(Malformed::Resize),
                _ => (4, false),
            };
            let index = integer::take(&mut block, prefix)?;
            let name = match index {
                0 => Name::of(take_text(&mut block, &mut scratch.name)?),
                index => self.field(index)?.0,
            };
            let value = take_text(&mut block, &mut scratch.value)?;
            count(name, value)?;
            // Section 6.2.3.
            take(name, value, (0x10..0x20).contains(&first));
            if learns {
                // Made before others go for it: one of them may have its name (section 4.4).
                let entry = self.table.entry(name, value);
                self.table.insert(entry);
            }
        }
        Ok(())
    }

    fn field(&self, index: usize) -> Result<(Name<'_>, &[u8]), Malformed> {
        if let Some((_, value)) = names::field(index) {
            return Ok((Name::Known(names::first(index as u8)), value.as_bytes()));
        }
        let entry = index.checked_sub(1 + usize::from(names::LAST)).and_then(|index| self.table.get(index));
        entry.map(|entry| (entry.name(), entry.value())).ok_or(Malformed::Index)
    }
}

/// Takes a text off the front (section 5.2), which is put into `room` where it is not there as it is.
fn take_text<'a, 'b: 'a>(block: &mut &'b [u8], room: &'a mut Vec<u8>) -> Result<&'a [u8], Malformed> {
    let is_huffman = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer::take(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or(Malformed::Cut)?;
    *block = rest;
    if !is_huffman {
        return Ok(text);
    }
    room.clear();
    huffman::decode(text, room)?;
    Ok(room)
}

#[cfg(test)]
impl Decoder {
    pub(super) fn table(&self) -> &Table {
        &self.table
    }
}
