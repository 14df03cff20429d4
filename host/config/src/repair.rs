//! Text that lacks a bracket, made whole so that the rest of it can be read.
//!
//! After a bracket that is missing the parser understands nothing as it was meant, and says so of line after
//! line. Here the one mistake is found and told, and put right in a copy of the text; what is wrong besides
//! is then found by reading the copy.

use std::ops::Range;

use super::reference::tables_of_lists;
use super::report::{Cause, Refusal};

/// A copy that lacks nothing, and what was done for it.
#[derive(Debug, Default)]
pub(super) struct Repaired {
    pub(super) text: String,
    /// The bytes of the copy that were put in, ascending.
    pub(super) inserted: Vec<usize>,
    /// What the original lacks, each at its bytes of the original.
    pub(super) refusals: Vec<(Range<usize>, Refusal)>,
}

/// More is another kind of file.
const MOST: usize = 20;

/// The text with its brackets put right; `None`: none that are known to be missing.
pub(super) fn repair(text: &str) -> Option<Repaired> {
    let mut repaired = Repaired { text: text.to_owned(), ..Repaired::default() };
    while let Some(missing) = missing_bracket(&repaired.text).filter(|_| repaired.refusals.len() < MOST) {
        repaired.close(text, &missing);
    }
    repaired.double_headers(text);
    (!repaired.refusals.is_empty()).then_some(repaired)
}

impl Repaired {
    /// Where a byte of the copy stands in the original.
    pub(super) fn original(&self, byte: usize) -> usize {
        original(&self.inserted, byte)
    }

    fn insert(&mut self, at: usize, bracket: u8) {
        self.text.insert(at, char::from(bracket));
        self.inserted.iter_mut().filter(|it| **it >= at).for_each(|it| *it += 1);
        let place = self.inserted.partition_point(|it| *it < at);
        self.inserted.insert(place, at);
    }

    fn close(&mut self, text: &str, missing: &Missing) {
        let (open, end) = (self.original(missing.opened), self.original(missing.at));
        let closes = closing(missing.bracket);
        let (bracket, closing) = (char::from(missing.bracket), char::from(closes));
        let before = text.get(..end).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.lines().next_back().unwrap_or_default().chars().count() + 1;
        let refusal = Refusal::new(Cause::Syntax, format!("`{bracket}` is not closed"))
            .label("opened here")
            .help(format!("a `{closing}` is missing in line {line}, at column {column}"));
        // A mark of several lines says less than one of where it begins.
        let until = if text.get(open..end).is_some_and(|it| it.contains('\n')) { open + 1 } else { end };
        self.refusals.push((open..until, refusal));
        self.insert(missing.at, closes);
    }

    /// `[virtual]` for `[[virtual]]`, where there are several of them: that is not TOML any more.
    fn double_headers(&mut self, text: &str) {
        let all = headers(text);
        for name in tables_of_lists() {
            let of_it = || all.iter().filter(|it| it.name == name);
            let single: Vec<&Header> = of_it().filter(|it| !it.doubled).collect();
            let [first, ..] = single.as_slice() else { continue };
            if of_it().count() < 2 {
                continue;
            }
            let lines = of_it().map(|it| text[..it.span.start].matches('\n').count() + 1);
            let lines = lines.map(|line| line.to_string()).collect::<Vec<_>>().join(", ");
            let refusal = Refusal::new(
                Cause::Syntax,
                format!("`[{name}]` can be written once only, and the file has several"),
            )
            .label(format!("write `[[{name}]]`"))
            .help(format!("write `[[{name}]]` for each (lines {lines})"));
            self.refusals.push((first.span.clone(), refusal));
            for header in single {
                // From behind, so that what is before stays where it is.
                for (at, bracket) in [(header.span.end, b']'), (header.span.start, b'[')] {
                    let at = self.copied(at);
                    self.insert(at, bracket);
                }
            }
        }
    }

    /// Where a byte of the original stands in the copy.
    fn copied(&self, byte: usize) -> usize {
        let mut at = byte;
        for inserted in &self.inserted {
            if *inserted <= at {
                at += 1;
            }
        }
        at
    }
}

/// Where a byte of a copy stands in the original, by the bytes that were put into the copy.
pub(super) fn original(inserted: &[usize], byte: usize) -> usize {
    byte - inserted.partition_point(|it| *it < byte)
}

fn closing(bracket: u8) -> u8 {
    if bracket == b'{' { b'}' } else { b']' }
}

/// A bracket that nothing closes.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    bracket: u8,
    opened: usize,
    /// Where the closing one belongs.
    at: usize,
}

/// A line that begins a table.
#[derive(Debug)]
struct Header<'t> {
    name: &'t str,
    doubled: bool,
    /// With its brackets.
    span: Range<usize>,
}

/// Lines of a text that begin tables, as far as that can be seen line by line.
fn headers(text: &str) -> Vec<Header<'_>> {
    let mut at = 0;
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        let start = at + (line.len() - line.trim_start().len());
        at += line.len();
        let Some((name, doubled, length)) = header(line.trim_start()) else { continue };
        found.push(Header { name, doubled, span: start..start + length });
    }
    found
}

/// The name in a line that begins a table, whether it has two brackets, and how long it is with them.
fn header(line: &str) -> Option<(&str, bool, usize)> {
    let rest = line.strip_prefix('[')?;
    let (rest, doubled) = rest.strip_prefix('[').map_or((rest, false), |rest| (rest, true));
    let (inside, behind) = rest.split_once(']')?;
    let name = inside.trim();
    let named = name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_' || it == '"')
        && name.chars().all(|it| it.is_ascii_alphanumeric() || "-_.\" ".contains(it));
    let behind = if doubled { behind.strip_prefix(']')? } else { behind };
    let nothing = behind.trim_start();
    let brackets = if doubled { 2 } else { 1 };
    (named && (nothing.is_empty() || nothing.starts_with('#'))).then_some((
        name,
        doubled,
        inside.len() + 2 * brackets,
    ))
}

/// Whether a line begins with a key and its `=`.
fn is_setting(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| {
        let key = key.trim();
        !key.is_empty() && key.chars().all(|it| it.is_ascii_alphanumeric() || "-_.\"'".contains(it))
    })
}

/// The first bracket of a value that nothing closes.
fn missing_bracket(text: &str) -> Option<Missing> {
    let bytes = text.as_bytes();
    let mut open: Vec<(u8, usize)> = Vec::new();
    // The last byte that is no space, and where it ends.
    let (mut last, mut end) = (b'\n', 0);
    let mut at = 0;
    let mut line_begins = true;
    while let Some(&byte) = bytes.get(at) {
        if line_begins {
            line_begins = false;
            let line = text.get(at..).and_then(|rest| rest.lines().next()).unwrap_or_default();
            let trimmed = line.trim_start();
            match open.last() {
                None if header(trimmed).is_some() => {
                    at += line.len();
                    continue;
                }
                Some(&(bracket, opened)) => {
                    let elsewhere = header(trimmed).is_some()
                        || is_setting(trimmed) && (bracket == b'[' || !matches!(last, b',' | b'{'));
                    if elsewhere {
                        let at = if last == b',' { end - 1 } else { end };
                        return Some(Missing { bracket, opened, at });
                    }
                }
                None => {}
            }
        }
        match (byte, open.last().copied()) {
            (b'\n', _) => line_begins = true,
            (b'#', _) => at += bytes[at..].iter().position(|it| *it == b'\n').unwrap_or(bytes.len() - at) - 1,
            (b'"' | b'\'', _) => {
                at = end_of_string(bytes, at);
                (last, end) = (byte, at + 1);
            }
            // A table where a key of one is expected.
            (b'{', Some((b'{', opened))) if last == b',' => {
                return Some(Missing { bracket: b'{', opened, at: end - 1 });
            }
            (b'{' | b'[', _) => {
                open.push((byte, at));
                (last, end) = (byte, at + 1);
            }
            (b'}' | b']', Some((bracket, opened))) => {
                if closing(bracket) != byte {
                    let at = if last == b',' { end - 1 } else { end };
                    return Some(Missing { bracket, opened, at });
                }
                open.pop();
                (last, end) = (byte, at + 1);
            }
            _ if byte.is_ascii_whitespace() => {}
            _ => (last, end) = (byte, at + 1),
        }
        at += 1;
    }
    open.last().map(|&(bracket, opened)| Missing { bracket, opened, at: end })
}

/// The last byte of a string that begins here; of the line, where it is not closed.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let long = bytes[start..].starts_with(&[quote; 3]);
    let mut at = start + if long { 3 } else { 1 };
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if !long => return at - 1,
            _ if byte == quote && (!long || bytes[at..].starts_with(&[quote; 3])) => {
                return at + if long { 2 } else { 0 };
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The copy, and what was missing.
    fn repaired(text: &str) -> (String, Vec<String>) {
        let repaired = repair(text).unwrap_or_default();
        for (at, byte) in repaired.text.bytes().enumerate() {
            if !repaired.inserted.contains(&at) {
                assert_eq!(text.as_bytes()[repaired.original(at)], byte, "{text:?} at {at}");
            }
        }
        let told = repaired.refusals.iter().map(|(_, it)| it.help.clone().unwrap_or_default());
        (repaired.text.clone(), told.collect())
    }

    #[test]
    fn brackets_are_closed_where_they_should_have_been() {
        for (text, whole, told) in [
            ("a = { b = 1\nc = 2\n", "a = { b = 1}\nc = 2\n", "a `}` is missing in line 1, at column 12"),
            ("a = [{ b = 1 ]\n", "a = [{ b = 1} ]\n", "a `}` is missing in line 1, at column 13"),
            (
                "a = [\n { b = 1,\n { b = 2 },\n]\n",
                "a = [\n { b = 1},\n { b = 2 },\n]\n",
                "a `}` is missing in line 2, at column 9",
            ),
            (
                "a = [{ b = 1 }\n[[pool]]\n",
                "a = [{ b = 1 }]\n[[pool]]\n",
                "a `]` is missing in line 1, at column 15",
            ),
            ("a = { b = \"}\" # }\n", "a = { b = \"}\"} # }\n", "a `}` is missing in line 1, at column 14"),
            ("a = [1, 2\nb = 3", "a = [1, 2]\nb = 3", "a `]` is missing in line 1, at column 10"),
        ] {
            assert_eq!(repaired(text), (whole.to_owned(), vec![told.to_owned()]), "{text:?}");
        }
    }

    #[test]
    fn what_is_whole_stays_as_it_is() {
        for text in [
            "",
            "a = { b = [1, 2], c = \"{[\" } # {\n[x]\n[[y]]\nz = '''\n{\n'''\n",
            "a = {\n  b = 1,\n  c = 2\n}\n",
            "a = [\n  [1],\n  [2]\n]\n",
            "[virtual]\nname = \"a\"\n[virtual.limits]\n",
        ] {
            assert!(repair(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn headers_are_doubled_where_there_are_several() {
        let (text, told) = repaired("[virtual]\na = 1\n[virtual.limits]\n [virtual] # two\n[[pool]]\n");
        assert_eq!(text, "[[virtual]]\na = 1\n[virtual.limits]\n [[virtual]] # two\n[[pool]]\n");
        assert_eq!(told, ["write `[[virtual]]` for each (lines 1, 4)"]);
    }
}
