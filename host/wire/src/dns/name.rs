//! Domain names (RFC 1035 section 3.1).

use core::fmt::{self, Write};
use core::hash::{Hash, Hasher};

use crate::bytes::u16_at;

/// Longest label (RFC 1035 section 2.3.4).
const MOST_LABEL: usize = 63;

/// A domain name from the root, in lower case: names that differ in case are the same (RFC 4343).
#[derive(Clone, Copy)]
pub struct Name {
    /// Labels, each behind its length, the root last; zeros behind it.
    octets: [u8; Name::MOST],
    length: u8,
}

/// Why something is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It ends within a label.
    Short,
    /// A label without octets, or with more than 63.
    Label,
    /// More than 255 octets.
    Long,
    /// A pointer that does not lead back to an earlier place (RFC 1035 section 4.1.4).
    Pointer,
}

impl NameError {
    /// For messages.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            NameError::Short => "a name ends within a label",
            NameError::Label => "a label has no octets, or more than 63",
            NameError::Long => "a name has more than 255 octets",
            NameError::Pointer => "a pointer within a name does not lead back",
        }
    }
}

impl Name {
    /// Most octets of a name (RFC 1035 section 2.3.4).
    pub const MOST: usize = 255;

    /// The root, which has no labels.
    pub const ROOT: Name = Name { octets: [0; Name::MOST], length: 1 };

    /// Reads labels with dots between them, and perhaps behind the last.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(text: &str) -> Result<Name, NameError> {
        let mut builder = Builder::new();
        let text = text.strip_suffix('.').unwrap_or(text);
        for label in text.split('.') {
            builder.label(label.as_bytes())?;
        }
        Ok(builder.end())
    }

    /// Reads the name at `at` of a message. Gives where what follows it begins.
    pub(super) fn read(message: &[u8], mut at: usize) -> Result<(Name, usize), NameError> {
        let mut builder = Builder::new();
        // Where the name goes on behind its first pointer, and where a pointer must lead before.
        let (mut behind, mut before) = (None, at);
        loop {
            let length = *message.get(at).ok_or(NameError::Short)?;
            match length {
                0 => return Ok((builder.end(), behind.unwrap_or(at + 1))),
                1..=63 => {
                    let label = message.get(at + 1..at + 1 + usize::from(length)).ok_or(NameError::Short)?;
                    builder.label(label)?;
                    at += 1 + usize::from(length);
                }
                0xc0.. => {
                    let to = usize::from(u16_at(message, at).ok_or(NameError::Short)? & 0x3fff);
                    if to >= before {
                        return Err(NameError::Pointer);
                    }
                    behind = behind.or(Some(at + 2));
                    (at, before) = (to, to);
                }
                _ => return Err(NameError::Label),
            }
        }
    }

    /// As in a message, without compression.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }

    #[must_use]
    pub fn is_root(&self) -> bool {
        self.length == 1
    }

    /// Its labels, from the first to that below the root.
    #[must_use]
    pub fn labels(&self) -> Labels<'_> {
        Labels { rest: self.octets() }
    }
}

/// See [`Name::labels`].
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first().filter(|(length, _)| **length != 0)?;
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        self.rest = rest;
        Some(label)
    }
}

struct Builder {
    name: Name,
}

impl Builder {
    fn new() -> Builder {
        Builder { name: Name { octets: [0; Name::MOST], length: 0 } }
    }

    fn label(&mut self, label: &[u8]) -> Result<(), NameError> {
        let length = u8::try_from(label.len()).map_err(|_| NameError::Label)?;
        if !(1..=MOST_LABEL).contains(&label.len()) {
            return Err(NameError::Label);
        }
        let at = usize::from(self.name.length);
        // The root has to fit behind it.
        if at + 1 + label.len() >= Name::MOST {
            return Err(NameError::Long);
        }
        let room = self.name.octets.get_mut(at..=at + label.len()).ok_or(NameError::Long)?;
        for (octet, from) in room.iter_mut().zip(core::iter::once(&length).chain(label)) {
            *octet = from.to_ascii_lowercase();
        }
        self.name.length += length + 1;
        Ok(())
    }

    fn end(mut self) -> Name {
        self.name.length += 1;
        self.name
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.octets() == other.octets()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> core::cmp::Ordering {
        self.octets().cmp(other.octets())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets().hash(state);
    }
}

/// Without the dot of the root. Octets that could be taken for another name, or are no ASCII, as `\DDD` (RFC 1035 section
/// 5.1).
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_char('.');
        }
        for (place, label) in self.labels().enumerate() {
            if place > 0 {
                f.write_char('.')?;
            }
            for &octet in label {
                if octet.is_ascii_graphic() && octet != b'.' && octet != b'\\' {
                    f.write_char(char::from(octet))?;
                } else {
                    write!(f, "\\{octet:03}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
