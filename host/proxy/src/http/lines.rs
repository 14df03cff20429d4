//! The fields of an answer as lines, where they are passed on and nothing asks for one of them.

use std::cell::Cell;

use http::{HeaderName, header};
use shunt_rules::HeaderEdit;

/// What is kept of the memory for the lines of the worker's next answer.
const MOST_KEPT: usize = 16 << 10;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Field lines as a client gets them: names in lower case, and none that says something about the member's connection
/// or about framing.
#[derive(Debug)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    is_dated: bool,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Lines { bytes: SPARE.take(), is_dated: false }
    }

    /// A name and a value that a parser took.
    pub(crate) fn push(&mut self, name: &str, value: &[u8]) {
        self.is_dated |= name.eq_ignore_ascii_case(header::DATE.as_str());
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes[begin..].make_ascii_lowercase();
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Does what a rule asked for. It cannot ask for fields of framing or of the connection.
    pub(crate) fn edit(&mut self, edit: &HeaderEdit) {
        self.remove(edit.name());
        if let HeaderEdit::Set(name, value) = edit {
            self.push(name.as_str(), value.as_bytes());
        }
    }

    /// Removes the fields of a name.
    pub(crate) fn remove(&mut self, name: &HeaderName) {
        let mut begin = 0;
        while let Some(end) = memchr::memchr(b'\n', &self.bytes[begin..]) {
            let end = begin + end + 1;
            let line = &self.bytes[begin..end];
            match line.strip_prefix(name.as_str().as_bytes()) {
                Some([b':', ..]) => drop(self.bytes.drain(begin..end)),
                _ => begin = end,
            }
        }
        self.is_dated &= *name != header::DATE;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether one of them is `Date`.
    pub(crate) fn is_dated(&self) -> bool {
        self.is_dated
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if self.bytes.capacity() <= MOST_KEPT {
            self.bytes.clear();
            let bytes = std::mem::take(&mut self.bytes);
            // Where the thread ends there is no next answer.
            let _ = SPARE.try_with(|spare| spare.set(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn fields_are_removed_by_name() {
        let mut lines = Lines::new();
        for (name, value) in [("Server", "x"), ("X-A", "1"), ("Date", "now"), ("x-a", ""), ("X-Ab", "x-a: 2")]
        {
            lines.push(name, value.as_bytes());
        }
        assert!(lines.is_dated());
        lines.remove(&HeaderName::from_static("x-a"));
        assert_eq!(lines.as_bytes(), b"server: x\r\ndate: now\r\nx-ab: x-a: 2\r\n");
        lines.remove(&header::DATE);
        assert!(!lines.is_dated());
        lines.edit(&HeaderEdit::Remove(header::SERVER));
        lines.edit(&HeaderEdit::Set(header::DATE, HeaderValue::from_static("then")));
        assert_eq!(lines.as_bytes(), b"x-ab: x-a: 2\r\ndate: then\r\n");
        assert!(lines.is_dated());
        drop(lines);
        assert!(Lines::new().as_bytes().is_empty(), "the next answer has none of them");
    }
}
