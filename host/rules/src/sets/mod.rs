//! Sets (data groups): entries that the operator keeps and rules look up, each with a value where it has one.
//!
//! A set is built from its lines as a whole and never changes; a [`LiveSet`] is where rules find the one in force.

mod lines;
mod patterns;
mod prefixes;
#[cfg(test)]
mod tests;
mod values;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::mem;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use arc_swap::{ArcSwap, Guard};
use serde::{Deserialize, Serialize};

use crate::{Digest, plain_file};
use lines::Problems;
use patterns::Patterns;
use prefixes::Prefixes;
use values::Values;
use words::Words;

pub use lines::{LineProblem, SetError};

/// Bytes of the lines of a set: a million prefixes with values of their own are some 60 MiB.
pub const MAX_SET_BYTES: usize = 256 << 20;

/// Bytes of a set that take longer to free than a thread to start.
const LARGE: usize = 1 << 20;

/// What the entries of a set are, and what they match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetKind {
    /// Addresses and prefixes; the longest prefix that has the address.
    Addresses,
    /// The same text.
    Exact,
    /// The longest entry that the text begins with.
    Prefix,
    /// The longest host name that the text is, or is below.
    Suffix,
    /// The first pattern of the file that matches.
    Regex,
}

impl SetKind {
    /// The name in `pack.toml`.
    pub fn name(self) -> &'static str {
        match self {
            SetKind::Addresses => "addresses",
            SetKind::Exact => "exact",
            SetKind::Prefix => "prefix",
            SetKind::Suffix => "suffix",
            SetKind::Regex => "regex",
        }
    }
}

/// `[sets]` of `pack.toml`: `deny = { kind = "addresses", purpose = "who is refused" }`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredSet {
    pub kind: SetKind,
    /// What it is for, in a sentence.
    pub purpose: String,
}

/// The lines of a set, as the operator wrote them, and where.
#[derive(Clone, Debug)]
pub struct SetLines {
    /// A path, or what else stands before the number of a line in an error.
    pub source: String,
    pub bytes: Vec<u8>,
}

impl SetLines {
    pub fn new(source: impl Into<String>, bytes: impl Into<Vec<u8>>) -> SetLines {
        SetLines { source: source.into(), bytes: bytes.into() }
    }

    /// Of a list in a file of another kind.
    pub fn of_list(source: impl Into<String>, lines: &[String]) -> SetLines {
        SetLines::new(source, lines.join("\n"))
    }

    /// Of a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_file(path: &Path) -> Result<SetLines, SetError> {
        let source = path.display().to_string();
        let mut bytes = Vec::new();
        // A byte more than there may be is enough to refuse it.
        let read = plain_file::open(path)
            .and_then(|file| file.take(MAX_SET_BYTES as u64 + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(SetLines { source, bytes }),
            Err(error) => Err(SetError::unreadable(source, &error)),
        }
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// A set that is built.
pub struct Set {
    kind: SetKind,
    source: String,
    digest: Digest,
    entries: usize,
    content: Content,
    values: Values,
}

enum Content {
    Prefixes(Prefixes),
    Words(Words),
    Patterns(Patterns),
}

/// An entry that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    pub matched: Cow<'a, str>,
    /// Empty where the entry has none.
    pub value: &'a str,
}

impl Set {
    /// Takes about a second for a million entries: call it where nothing waits.
    ///
    /// # Errors
    /// Every line that is wrong.
    pub fn build(kind: SetKind, lines: &SetLines) -> Result<Set, SetError> {
        let digest = lines.digest();
        let mut problems = Problems::new(&lines.source);
        let lines_of = problems.lines(&lines.bytes)?;
        let entries = lines_of.len();
        let mut values = values::Interner::default();
        let content = match kind {
            SetKind::Addresses => Content::Prefixes(Prefixes::build(&lines_of, &mut values, &mut problems)),
            SetKind::Exact | SetKind::Prefix | SetKind::Suffix => {
                Content::Words(Words::build(kind, &lines_of, &mut values, &mut problems))
            }
            SetKind::Regex => Content::Patterns(Patterns::build(&lines_of, &mut values, &mut problems)),
        };
        let values = values.finish();
        problems.finish()?;
        Ok(Set { kind, source: lines.source.clone(), digest, entries, content, values })
    }

    pub fn kind(&self) -> SetKind {
        self.kind
    }

    /// Where its lines came from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Of its lines.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many lines have one.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Bytes of memory; of patterns, about.
    pub fn bytes(&self) -> usize {
        let content = match &self.content {
            Content::Prefixes(prefixes) => prefixes.bytes(),
            Content::Words(words) => words.bytes(),
            Content::Patterns(patterns) => patterns.bytes(),
        };
        content + self.values.bytes()
    }

    /// Bytes of a text that may be looked up.
    pub fn longest(&self) -> usize {
        match self.content {
            Content::Patterns(_) => patterns::LONGEST_TEXT,
            Content::Prefixes(_) | Content::Words(_) => words::LONGEST_TEXT,
        }
    }

    /// The value of the longest prefix that has an address; `None`: none has it, or this is a set of texts.
    #[inline]
    pub fn value_of(&self, address: IpAddr) -> Option<&str> {
        let Content::Prefixes(prefixes) = &self.content else { return None };
        prefixes.find(address).map(|found| self.values.get(found.value))
    }

    /// The entry that matches a text, which is no longer than [`Set::longest`].
    pub fn find<'a>(&'a self, text: &str) -> Option<Hit<'a>> {
        let (matched, value) = match &self.content {
            Content::Prefixes(prefixes) => {
                let found = prefixes.find(text.parse().ok()?)?;
                (Cow::Owned(found.prefix.to_string()), found.value)
            }
            Content::Words(words) => {
                let (word, value) = words.find(text)?;
                (Cow::Borrowed(word), value)
            }
            Content::Patterns(patterns) => {
                let (pattern, value) = patterns.find(text)?;
                (Cow::Borrowed(pattern), value)
            }
        };
        Some(Hit { matched, value: self.values.get(value) })
    }
}

impl Default for Content {
    fn default() -> Content {
        Content::Prefixes(Prefixes::default())
    }
}

/// Who lets go of a set last may be a worker, which has better to do than to give much memory back.
impl Drop for Set {
    fn drop(&mut self) {
        if self.bytes() < LARGE {
            return;
        }
        let all = (mem::take(&mut self.content), mem::take(&mut self.values));
        // Where there is no thread, it is freed here.
        let _ = thread::Builder::new().name("free".to_owned()).spawn(move || drop(all));
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Set { kind, source, entries, .. } = self;
        write!(f, "{entries} {} of {source}", kind.name())
    }
}

/// A set where a rule is attached: the one in force, which another takes the place of at once and as a whole.
#[derive(Debug)]
pub struct LiveSet {
    current: ArcSwap<Set>,
    /// Of the lines that the configuration has: while they stay the same, a reload leaves alone what was loaded.
    configured: Digest,
}

impl LiveSet {
    /// From the lines of the configuration.
    ///
    /// # Errors
    /// As [`Set::build`].
    pub fn build(kind: SetKind, lines: &SetLines) -> Result<Arc<LiveSet>, SetError> {
        let set = Set::build(kind, lines)?;
        Ok(Arc::new(LiveSet { configured: set.digest(), current: ArcSwap::from_pointee(set) }))
    }

    #[inline]
    pub fn current(&self) -> Guard<Arc<Set>> {
        self.current.load()
    }

    pub fn configured(&self) -> Digest {
        self.configured
    }

    /// Puts another set of the same kind in force, for the next look-up.
    ///
    /// # Errors
    /// As [`Set::build`]; the one in force stays.
    pub fn load(&self, lines: &SetLines) -> Result<Arc<Set>, SetError> {
        let set = Arc::new(Set::build(self.current.load().kind, lines)?);
        self.current.store(Arc::clone(&set));
        Ok(set)
    }
}
