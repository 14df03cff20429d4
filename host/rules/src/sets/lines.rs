//! The lines of a set: an entry, a space, its value. `#` begins a comment, at the beginning of a line or after a space.

use std::fmt;

use super::MAX_SET_BYTES;

/// Entries of a set.
pub(super) const MOST_ENTRIES: usize = 4 << 20;
/// Bytes of an entry.
const LONGEST_ENTRY: usize = 4096;
/// Bytes of a value.
const LONGEST_VALUE: usize = 4096;
/// Lines that are told; of the others, their number.
const MOST_TOLD: usize = 20;

/// A line that has an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub number: usize,
    pub entry: &'a str,
    pub value: &'a str,
}

/// A line that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineProblem {
    pub line: usize,
    /// What is wrong, and what to write.
    pub message: String,
}

/// Why there is no set of these lines: each that is wrong, the first twenty of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SetError {
    pub source_name: String,
    pub problems: Vec<LineProblem>,
    /// Problems that are not told.
    pub more: usize,
}

impl SetError {
    /// Of lines that cannot be read.
    pub fn unreadable(source: impl Into<String>, error: &std::io::Error) -> SetError {
        let problem = LineProblem { line: 0, message: format!("cannot read it: {error}") };
        SetError { source_name: source.into(), problems: vec![problem], more: 0 }
    }
}

/// `deny.txt:7: …`, a line each; line 0 is the file as a whole.
impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, LineProblem { line, message }) in self.problems.iter().enumerate() {
            let end = if index > 0 { "\n" } else { "" };
            match line {
                0 => write!(f, "{end}{}: {message}", self.source_name)?,
                line => write!(f, "{end}{}:{line}: {message}", self.source_name)?,
            }
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n{}: {more} more lines are wrong", self.source_name),
        }
    }
}

/// Gathers what is wrong.
pub(super) struct Problems<'a> {
    source: &'a str,
    told: Vec<LineProblem>,
    more: usize,
}

impl<'a> Problems<'a> {
    pub(super) fn new(source: &'a str) -> Problems<'a> {
        Problems { source, told: Vec::new(), more: 0 }
    }

    pub(super) fn add(&mut self, line: usize, message: impl Into<String>) {
        if self.told.len() < MOST_TOLD {
            self.told.push(LineProblem { line, message: message.into() });
        } else {
            self.more += 1;
        }
    }

    /// Two lines with one entry and two values.
    pub(super) fn twice(&mut self, line: usize, entry: &str, before: usize) {
        self.add(line, format!("{entry:?} has another value in line {before}; remove one of the lines"));
    }

    pub(super) fn finish(&mut self) -> Result<(), SetError> {
        let (problems, more) = (std::mem::take(&mut self.told), self.more);
        if problems.is_empty() {
            return Ok(());
        }
        Err(SetError { source_name: self.source.to_owned(), problems, more })
    }

    /// The lines that have an entry.
    pub(super) fn lines<'t>(&mut self, bytes: &'t [u8]) -> Result<Vec<Line<'t>>, SetError> {
        if bytes.len() > MAX_SET_BYTES {
            self.add(0, format!("the set has more than {} MiB; make it smaller", MAX_SET_BYTES >> 20));
            return self.finish().map(|()| Vec::new());
        }
        let text = match str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
                self.add(line, "the line is not UTF-8 text; save the file as UTF-8");
                return self.finish().map(|()| Vec::new());
            }
        };
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = without_comment(line).trim();
            let (entry, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim_start();
            if entry.len() > LONGEST_ENTRY {
                self.add(number, format!("the entry has more than {LONGEST_ENTRY} bytes; shorten it"));
            } else if value.len() > LONGEST_VALUE {
                self.add(number, format!("the value has more than {LONGEST_VALUE} bytes; shorten it"));
            } else if !entry.is_empty() {
                lines.push(Line { number, entry, value });
            }
        }
        if lines.len() > MOST_ENTRIES {
            self.add(0, format!("the set has more than {MOST_ENTRIES} entries; make it smaller"));
        }
        Ok(lines)
    }
}

fn without_comment(line: &str) -> &str {
    let comment = line
        .match_indices('#')
        .find(|(at, _)| line[..*at].chars().next_back().is_none_or(char::is_whitespace));
    comment.map_or(line, |(at, _)| &line[..at])
}
