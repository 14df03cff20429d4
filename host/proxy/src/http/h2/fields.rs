//! The fields of a block as they are read: where their texts stand one behind the other.

use std::ops::Range;

use bytes::Bytes;
use http::HeaderValue;

use crate::http::hpack::decoder::{Decoder, Malformed, Scratch};
use crate::http::hpack::table::Name;

/// Where a field stands. The name of a known one is its index.
#[derive(Clone, Debug)]
struct Place {
    known: u8,
    name: Range<u32>,
    value: Range<u32>,
    /// It is never to be indexed (RFC 7541 section 6.2.3).
    secret: bool,
}

/// A field, with the place of its value.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) name: Name<'a>,
    value: Range<usize>,
    secret: bool,
}

impl Field<'_> {
    /// The value, of a copy of all texts.
    pub(super) fn value(&self, text: &Bytes) -> Bytes {
        text.slice(self.value.clone())
    }

    /// Its value, which whoever writes it by HTTP/2 never indexes where it came so.
    pub(super) fn mark(&self, mut value: HeaderValue) -> HeaderValue {
        value.set_sensitive(self.secret);
        value
    }
}

/// The fields of one block. A worker has one place for them, for each is done with before the next is read.
#[derive(Debug, Default)]
pub(super) struct Fields {
    text: Vec<u8>,
    places: Vec<Place>,
    scratch: Scratch,
}

/// What is kept of the memory.
const MOST_KEPT: usize = 16 << 10;

impl Fields {
    /// Reads a block, see [`Decoder::decode`].
    pub(super) fn read(&mut self, decoder: &mut Decoder, block: &[u8], most: usize) -> Result<(), Malformed> {
        let Fields { text, places, scratch } = self;
        text.clear();
        text.shrink_to(MOST_KEPT);
        places.clear();
        decoder.decode(block, most, scratch, |name, value, secret| push(text, places, name, value, secret))
    }

    /// Those of a block that says these.
    pub(super) fn said(fields: &[(String, String)]) -> Self {
        let mut said = Fields::default();
        for (name, value) in fields {
            let name = Name::of(name.as_bytes());
            push(&mut said.text, &mut said.places, name, value.as_bytes(), false);
        }
        said
    }

    /// All texts.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.places.iter().map(|place| {
            let range = |place: &Range<u32>| place.start as usize..place.end as usize;
            let name = match place.known {
                0 => Name::Text(&self.text[range(&place.name)]),
                index => Name::Known(index),
            };
            Field { name, value: range(&place.value), secret: place.secret }
        })
    }

    /// Those whose names begin with `secret` are never to be indexed.
    #[cfg(test)]
    pub(super) fn of(fields: &[(&str, &str)]) -> Self {
        use crate::http::hpack::encoder::Encoder;
        let mut block = Vec::new();
        let mut encoder = Encoder::new();
        for (name, value) in fields {
            encoder.field(name.as_bytes(), value.as_bytes(), name.starts_with("secret"), &mut block);
        }
        let mut read = Fields::default();
        read.read(&mut Decoder::new(), &block, usize::MAX).unwrap();
        read
    }
}

fn push(text: &mut Vec<u8>, places: &mut Vec<Place>, name: Name<'_>, value: &[u8], secret: bool) {
    let begin = text.len() as u32;
    let known = match name {
        Name::Known(index) => index,
        Name::Text(name) => {
            text.extend_from_slice(name);
            0
        }
    };
    let end = text.len() as u32;
    text.extend_from_slice(value);
    places.push(Place { known, name: begin..end, value: end..text.len() as u32, secret });
}
