//! What an answer must hold: text, or what a regular expression matches.

use regex_lite::Regex;

use crate::report::{Cause, Refusal};
use crate::shape::{pattern, text_up_to};
use crate::walk::Table;

/// What an answer must hold.
#[derive(Clone, Debug)]
pub enum Expected {
    Text(String),
    Pattern(Regex),
}

impl PartialEq for Expected {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Expected::Text(one), Expected::Text(other)) => one == other,
            (Expected::Pattern(one), Expected::Pattern(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}

impl Expected {
    /// Whether it is in these bytes. A pattern sees replacement characters where they are not UTF-8.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        match self {
            Expected::Text(text) => bytes.windows(text.len().max(1)).any(|window| window == text.as_bytes()),
            Expected::Pattern(pattern) => pattern.is_match(&String::from_utf8_lossy(bytes)),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Expected::Text(text) => text,
            Expected::Pattern(pattern) => pattern.as_str(),
        }
    }
}

/// The longest text that may be expected.
const MOST_TEXT: usize = 1024;

/// Reads two keys of which one may be written, each a name and its meaning.
pub(super) fn expected(
    table: &mut Table<'_>,
    (text, text_doc): (&'static str, &'static str),
    (matches, matches_doc): (&'static str, &'static str),
) -> Option<Expected> {
    let of_text = table.optional(text, text_doc, text_up_to::<MOST_TEXT>());
    let of_pattern = table.optional(matches, matches_doc, pattern());
    if table.wrote(text) && table.wrote(matches) {
        let message = format!("`{text}` and `{matches}` exclude each other");
        let refusal = Refusal::new(Cause::Conflict, message).help("keep one of them");
        table.refuse(matches, table.also(refusal, text));
    }
    of_text.map(Expected::Text).or(of_pattern.map(Expected::Pattern))
}
