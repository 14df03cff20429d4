//! The values of entries, each once: many entries share one.

use std::collections::HashMap;

/// Which value.
pub(super) type ValueId = u32;

/// The first is the empty one.
#[derive(Debug, Default)]
pub(super) struct Values {
    text: Box<str>,
    ends: Box<[u32]>,
}

impl Values {
    #[inline]
    pub(super) fn get(&self, value: ValueId) -> &str {
        nth(&self.text, &self.ends, value)
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.ends)
    }
}

/// The text of a number, of texts one after the other.
#[inline]
pub(super) fn nth<'a>(texts: &'a str, ends: &[u32], number: u32) -> &'a str {
    let number = number as usize;
    let begin = if number == 0 { 0 } else { ends[number - 1] as usize };
    &texts[begin..ends[number] as usize]
}

/// Texts one after the other. What a set may have fits 32 bits.
pub(super) fn append(texts: &mut String, ends: &mut Vec<u32>, text: &str) {
    texts.push_str(text);
    ends.push(u32::try_from(texts.len()).unwrap_or(u32::MAX));
}

/// Gathers values.
pub(super) struct Interner<'a> {
    known: HashMap<&'a str, ValueId>,
    text: String,
    ends: Vec<u32>,
}

impl Default for Interner<'_> {
    fn default() -> Self {
        Interner { known: HashMap::from([("", 0)]), text: String::new(), ends: vec![0] }
    }
}

impl<'a> Interner<'a> {
    pub(super) fn id(&mut self, value: &'a str) -> ValueId {
        *self.known.entry(value).or_insert_with(|| {
            append(&mut self.text, &mut self.ends, value);
            u32::try_from(self.ends.len() - 1).unwrap_or(u32::MAX)
        })
    }

    pub(super) fn finish(self) -> Values {
        Values { text: self.text.into(), ends: self.ends.into() }
    }
}
