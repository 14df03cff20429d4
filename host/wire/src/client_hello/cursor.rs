//! Fields of TLS, one behind the other (RFC 8446 section 3).

use super::HelloError;

/// What is left to read.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], HelloError> {
        let (taken, left) = self.0.split_at_checked(count).ok_or(HelloError::Malformed)?;
        self.0 = left;
        Ok(taken)
    }

    /// A number in network order, of so many bytes.
    fn number(&mut self, bytes: usize) -> Result<usize, HelloError> {
        Ok(self.take(bytes)?.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    pub(super) fn u8(&mut self) -> Result<u8, HelloError> {
        self.take(1).map(|byte| byte[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, HelloError> {
        self.number(2).map(|number| number as u16)
    }

    /// A vector behind a length of one byte.
    pub(super) fn vec8(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.number(1)?;
        self.take(length)
    }

    /// A vector behind a length of two bytes.
    pub(super) fn vec16(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.number(2)?;
        self.take(length)
    }

    /// A vector behind a length of three bytes.
    pub(super) fn vec24(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.number(3)?;
        self.take(length)
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), HelloError> {
        if self.0.is_empty() { Ok(()) } else { Err(HelloError::Malformed) }
    }
}
