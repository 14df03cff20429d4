//! Regular expressions, of which the first of the file that matches counts.
//!
//! A text is matched in time that is linear in its length and in the size of the patterns: both are bounded, so that no
//! client can make a look-up long.

use regex::{RegexBuilder, RegexSet, RegexSetBuilder};

use super::lines::{Line, Problems};
use super::values::{Interner, ValueId};

/// Bytes of a text that is looked up.
pub(super) const LONGEST_TEXT: usize = 4096;
/// Patterns of a set.
const MOST: usize = 256;
/// Bytes of all of them, compiled.
const COMPILED: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Patterns {
    set: RegexSet,
    values: Box<[ValueId]>,
}

impl Patterns {
    pub(super) fn build<'a>(
        lines: &[Line<'a>],
        values: &mut Interner<'a>,
        problems: &mut Problems<'_>,
    ) -> Patterns {
        if lines.len() > MOST {
            problems
                .add(0, format!("the set has more than {MOST} patterns; use fewer, or another kind of set"));
            return Patterns { set: RegexSet::empty(), values: Box::default() };
        }
        let mut sound = Vec::new();
        let mut of = Vec::new();
        for line in lines {
            match RegexBuilder::new(line.entry).size_limit(COMPILED).build() {
                Ok(_) => {
                    sound.push(line.entry);
                    of.push(values.id(line.value));
                }
                Err(error) => problems.add(line.number, told(line.entry, &error)),
            }
        }
        let set = RegexSetBuilder::new(sound).size_limit(COMPILED).build().unwrap_or_else(|_| {
            let most = COMPILED >> 20;
            problems.add(
                0,
                format!("the patterns need more than {most} MiB together; use fewer or simpler ones"),
            );
            RegexSet::empty()
        });
        Patterns { set, values: of.into() }
    }

    pub(super) fn find(&self, text: &str) -> Option<(&str, ValueId)> {
        // Which ones match is told in memory of its own.
        if !self.set.is_match(text) {
            return None;
        }
        let first = self.set.matches(text).iter().next()?;
        Some((&self.set.patterns()[first], self.values[first]))
    }

    pub(super) fn bytes(&self) -> usize {
        self.set.patterns().iter().map(String::len).sum::<usize>() + size_of_val(&*self.values)
    }
}

/// The reason alone: the text of a syntax error shows the pattern over several lines.
fn told(pattern: &str, error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!("{pattern:?} needs more than {} MiB; write a simpler one", COMPILED >> 20)
        }
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("{pattern:?} is no regular expression ({reason}); fix it")
        }
    }
}
