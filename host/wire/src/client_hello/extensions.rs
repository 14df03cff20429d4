//! The extensions of a ClientHello that a balancer decides by (RFC 8446 section 4.2).

use super::cursor::Cursor;
use super::{HelloError, is_list};

/// Clients send about twenty. Each is compared with all before it.
const MOST: usize = 256;

mod number {
    pub(super) const SERVER_NAME: u16 = 0;
    pub(super) const SUPPORTED_GROUPS: u16 = 10;
    pub(super) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(super) const PROTOCOLS: u16 = 16;
    pub(super) const PRE_SHARED_KEY: u16 = 41;
    pub(super) const EARLY_DATA: u16 = 42;
    pub(super) const SUPPORTED_VERSIONS: u16 = 43;
}

/// The contents of those that are known, and all of them as they were sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extensions<'a> {
    all: &'a [u8],
    pub(super) server_name: Option<&'a str>,
    pub(super) protocols: &'a [u8],
    pub(super) versions: &'a [u8],
    pub(super) groups: &'a [u8],
    pub(super) signature_schemes: &'a [u8],
    pub(super) early_data: bool,
}

impl<'a> Extensions<'a> {
    pub(super) fn read(all: &'a [u8]) -> Result<Self, HelloError> {
        let mut read = Extensions { all, ..Extensions::default() };
        let mut seen = [0; MOST];
        let mut count = 0;
        let mut cursor = Cursor(all);
        while !cursor.0.is_empty() {
            let (kind, content) = (cursor.u16()?, cursor.vec16()?);
            let before = seen.get(..count).unwrap_or_default();
            if before.contains(&kind) || before.last() == Some(&number::PRE_SHARED_KEY) {
                return Err(HelloError::ExtensionOrder);
            }
            *seen.get_mut(count).ok_or(HelloError::TooManyExtensions)? = kind;
            count += 1;
            read.take(kind, content)?;
        }
        Ok(read)
    }

    fn take(&mut self, kind: u16, content: &'a [u8]) -> Result<(), HelloError> {
        let mut cursor = Cursor(content);
        match kind {
            number::SERVER_NAME => self.server_name = Some(server_name(cursor.vec16()?)?),
            number::PROTOCOLS => {
                self.protocols = cursor.vec16()?;
                check_protocols(self.protocols)?;
            }
            number::SUPPORTED_VERSIONS => self.versions = list(cursor.vec8()?)?,
            number::SUPPORTED_GROUPS => self.groups = list(cursor.vec16()?)?,
            number::SIGNATURE_ALGORITHMS => self.signature_schemes = list(cursor.vec16()?)?,
            number::EARLY_DATA => self.early_data = true,
            _ => return Ok(()),
        }
        cursor.end()
    }

    pub(super) fn types(&self) -> impl Iterator<Item = u16> + use<'a> {
        let mut cursor = Cursor(self.all);
        core::iter::from_fn(move || {
            let kind = cursor.u16().ok()?;
            cursor.vec16().ok()?;
            Some(kind)
        })
    }
}

fn list(bytes: &[u8]) -> Result<&[u8], HelloError> {
    if is_list(bytes) { Ok(bytes) } else { Err(HelloError::Malformed) }
}

/// The one host name of a list of names. No other kind of name was ever defined (RFC 8446 section 4.2 keeps RFC 6066,
/// whose section 3 allows one name of each kind).
fn server_name(names: &[u8]) -> Result<&str, HelloError> {
    let mut names = Cursor(names);
    if names.u8()? != 0 {
        return Err(HelloError::ServerName);
    }
    let name = names.vec16()?;
    names.end()?;
    // What other servers make of other octets differs, so none decides by them.
    let sound = name.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let name = name.strip_suffix(b".").unwrap_or(name);
    match core::str::from_utf8(name) {
        // RFC 1035 section 2.3.4: a name has at most 255 octets.
        Ok(name) if sound && !name.is_empty() && name.len() < 255 => Ok(name),
        _ => Err(HelloError::ServerName),
    }
}

/// RFC 7301 section 3.1: one protocol at least, and none of them empty.
fn check_protocols(list: &[u8]) -> Result<(), HelloError> {
    let mut cursor = Cursor(list);
    loop {
        if cursor.vec8()?.is_empty() {
            return Err(HelloError::Malformed);
        }
        if cursor.0.is_empty() {
            return Ok(());
        }
    }
}

/// Numbers of two bytes in network order.
#[derive(Clone, Copy, Debug)]
pub struct U16s<'a>(pub(super) &'a [u8]);

impl Iterator for U16s<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let (number, left) = self.0.split_first_chunk()?;
        self.0 = left;
        Some(u16::from_be_bytes(*number))
    }
}

/// Protocol names of ALPN.
#[derive(Clone, Copy, Debug)]
pub struct Protocols<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Protocols<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut cursor = Cursor(self.0);
        let name = cursor.vec8().ok()?;
        self.0 = cursor.0;
        Some(name)
    }
}
