//! What came from a client and was not looked at.

use bytes::{Buf, BytesMut};

use super::head::{self, Head, Judged, Limits, Lines};
use super::refusal::Refusal;

/// Bytes at the place where a head begins, or behind one that was taken.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) bytes: BytesMut,
    /// Those of the head at the front, as far as it is there.
    lines: Lines,
    /// What was found of them already.
    judged: Judged,
    /// Bytes of empty lines before it.
    blank: usize,
}

impl Input {
    /// The head in what just came, if it is all there; what is left is kept.
    pub(super) fn head_in(&mut self, came: &[u8], limits: Limits) -> Result<Option<Box<Head>>, Refusal> {
        let is_first = self.bytes.is_empty();
        if is_first && self.blank == 0 && !came.starts_with(b"\r\n") {
            // The usual case: one head, alone.
            let mut lines = Lines::default();
            if let Ok(Some(length)) = lines.end(came)
                && length <= limits.head
                && let Ok(head) = head::read(&came[..length], limits.fields)
            {
                self.bytes.extend_from_slice(&came[length..]);
                return Ok(Some(Box::new(head)));
            }
        }
        // What is refused is found again, and stays.
        self.bytes.extend_from_slice(came);
        let head = self.take_head(limits)?;
        if head.is_none() {
            self.judged.judge(&self.bytes, self.lines.begun())?;
        }
        Ok(head)
    }

    /// Whether the method is HEAD of what is refused, as far as that shows: its answer has no body then (RFC 9110
    /// section 9.3.2).
    pub(super) fn asks_for_head_alone(&self) -> bool {
        self.bytes[head::blank(&self.bytes)..].starts_with(b"HEAD ")
    }

    /// Takes the head off the front of what came, if it is all there.
    pub(super) fn take_head(&mut self, limits: Limits) -> Result<Option<Box<Head>>, Refusal> {
        if self.lines.is_new() {
            let blank = head::blank(&self.bytes);
            if blank > 0 {
                self.bytes.advance(blank);
                self.blank += blank;
                self.lines = Lines::default();
            }
        }
        let length = match self.lines.end(&self.bytes)? {
            Some(length) if length <= limits.head && self.blank < limits.head => length,
            None if self.bytes.len() < limits.head && self.blank < limits.head => {
                self.let_go();
                return Ok(None);
            }
            Some(_) | None => return Err(Refusal::HeadTooLarge),
        };
        let head = head::read(&self.bytes[..length], limits.fields)?;
        self.bytes.advance(length);
        (self.lines, self.judged) = (Lines::default(), Judged::default());
        self.blank = 0;
        self.let_go();
        Ok(Some(Box::new(head)))
    }

    /// Holds no memory where nothing is held.
    pub(super) fn let_go(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_before_a_request_have_the_limit_of_a_head_however_they_are_cut() {
        let limits = Limits { head: 64, fields: 10 };
        let read = |blank: usize, piece: usize| {
            let bytes = ["\r\n".repeat(blank).as_str(), "GET / HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
            let mut input = Input::default();
            for came in bytes.as_bytes().chunks(piece) {
                if input.head_in(came, limits)?.is_some() {
                    return Ok(());
                }
            }
            unreachable!("it is all there")
        };
        for piece in [1, 2, 7, 1_000] {
            assert_eq!(read(31, piece), Ok(()), "in pieces of {piece}");
            assert_eq!(read(32, piece), Err(Refusal::HeadTooLarge), "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_refused_says_whether_its_method_is_head() {
        let limits = Limits { head: 200, fields: 10 };
        for (bytes, is_head) in [
            ("HEAD / HTTP/1.1\r\nContent-Length: x\r\n\r\n", true),
            ("\r\n\r\nHEAD / HTTP/1.1\r\nno colon\r\n", true),
            ("HEAD ftp:\x01", true),
            ("HEADS / HTTP/1.1\r\nContent-Length: x\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", false),
            ("HEAD\0", false),
        ] {
            for piece in [1, 7, 1_000] {
                let mut input = Input::default();
                let refused =
                    bytes.as_bytes().chunks(piece).find_map(|came| input.head_in(came, limits).err());
                assert!(refused.is_some(), "{bytes:?}");
                assert_eq!(input.asks_for_head_alone(), is_head, "{bytes:?} in pieces of {piece}");
            }
        }
    }
}
