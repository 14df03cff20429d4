//! Messages of DNS (RFC 1035 section 4): the question that a stub resolver asks, and what a server answers.

mod name;

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::bytes::{array_at, put, u16_at, u32_at};

pub use name::{Labels, Name, NameError};

/// Bytes of a header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// Bits of the second field of a header.
const RESPONSE: u16 = 1 << 15;
const OPCODE: u16 = 0xf << 11;
const TRUNCATED: u16 = 1 << 9;
const RECURSION_DESIRED: u16 = 1 << 8;
const CODE: u16 = 0xf;

/// The class of the internet (RFC 1035 section 3.2.4).
const INTERNET: u16 = 1;

/// Types of records (RFC 1035 section 3.2.2, RFC 6891 section 6.1.1).
const CNAME: u16 = 5;
const OPT: u16 = 41;

/// Bytes of an answer over UDP that no path fragments (DNS flag day 2020), as resolvers announce.
pub const MOST_UDP: usize = 1232;

/// Bytes that [`write_question`] needs at most.
pub const MOST_QUESTION: usize = HEADER + Name::MOST + 4 + 11;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    A,
    /// RFC 3596.
    Aaaa,
    /// RFC 2782.
    Srv,
}

impl Kind {
    const fn number(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Aaaa => 28,
            Kind::Srv => 33,
        }
    }

    /// As in a zone file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Srv => "SRV",
        }
    }
}

/// Bytes are no message of DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It ends within a field.
    Short,
    Name(NameError),
    /// The data of a record is longer or shorter than its type has.
    Data,
}

/// Writes a question to a recursive resolver, which may answer with up to [`MOST_UDP`] bytes over UDP (RFC 6891 section
/// 6.1). Gives its length; `None`: it needs more room.
#[must_use]
pub fn write_question(buffer: &mut [u8], id: u16, name: &Name, kind: Kind) -> Option<usize> {
    for (at, field) in [id, RECURSION_DESIRED, 1, 0, 0, 1].into_iter().enumerate() {
        put(buffer, at * 2, field.to_be_bytes())?;
    }
    let mut at = HEADER;
    let octets = name.octets();
    buffer.get_mut(at..)?.get_mut(..octets.len())?.copy_from_slice(octets);
    at += octets.len();
    put(buffer, at, kind.number().to_be_bytes())?;
    put(buffer, at + 2, INTERNET.to_be_bytes())?;
    at += 4;
    // The root, the type, the size in the place of the class; no extended code, version, flags or data.
    put(buffer, at, [0])?;
    put(buffer, at + 1, OPT.to_be_bytes())?;
    #[allow(clippy::cast_possible_truncation)]
    put(buffer, at + 3, (MOST_UDP as u16).to_be_bytes())?;
    put(buffer, at + 5, [0; 6])?;
    Some(at + 11)
}

/// A message with one question, of which header and question are sound.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    id: u16,
    flags: u16,
    question: Name,
    asked: u16,
    class: u16,
    answers: u16,
    /// Where the answers begin.
    at: usize,
}

impl<'a> Message<'a> {
    /// Reads the header and the question. `Ok(None)`: it has not one question.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn read(bytes: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let field = |at| u16_at(bytes, at).ok_or(Malformed::Short);
        let (id, flags, answers) = (field(0)?, field(2)?, field(6)?);
        array_at::<HEADER>(bytes, 0).ok_or(Malformed::Short)?;
        if field(4)? != 1 {
            return Ok(None);
        }
        let (question, at) = Name::read(bytes, HEADER).map_err(Malformed::Name)?;
        let (asked, class) = (field(at)?, field(at + 2)?);
        Ok(Some(Message { bytes, id, flags, question, asked, class, answers, at: at + 4 }))
    }

    /// Whether it answers what was asked (RFC 5452 section 9.1).
    #[must_use]
    pub fn answers(&self, id: u16, name: &Name, kind: Kind) -> bool {
        self.flags & (RESPONSE | OPCODE) == RESPONSE
            && (self.id, self.question, self.asked, self.class) == (id, *name, kind.number(), INTERNET)
    }

    /// The rest is to be had over TCP.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.flags & TRUNCATED != 0
    }

    /// What came of the question (RFC 1035 section 4.1.1: RCODE).
    #[must_use]
    pub fn code(&self) -> Code {
        match self.flags & CODE {
            0 => Code::NoError,
            3 => Code::NoSuchName,
            #[allow(clippy::cast_possible_truncation)]
            other => Code::Other(other as u8),
        }
    }

    /// The records of the answer section, in their order. The first that is malformed is the last.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        Records { bytes: self.bytes, left: self.answers, at: self.at }
    }
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    NoError,
    /// NXDOMAIN.
    NoSuchName,
    Other(u8),
}

/// See [`Message::records`].
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    left: u16,
    at: usize,
}

/// A record of class IN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: Name,
    /// Seconds.
    pub ttl: u32,
    pub data: Data,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(Name),
    Srv(Srv),
    /// Of another type or class.
    Other,
}

/// RFC 2782.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Srv {
    /// The lower, the sooner.
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    /// The root: the service is not to be had there.
    pub target: Name,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let read = self.read();
        if read.is_err() {
            self.left = 0;
        }
        Some(read)
    }
}

impl Records<'_> {
    fn read(&mut self) -> Result<Record, Malformed> {
        let bytes = self.bytes;
        let (name, at) = Name::read(bytes, self.at).map_err(Malformed::Name)?;
        let field = |at| u16_at(bytes, at).ok_or(Malformed::Short);
        let (kind, class, length) = (field(at)?, field(at + 2)?, field(at + 8)?);
        let ttl = u32_at(bytes, at + 4).ok_or(Malformed::Short)?;
        // RFC 2181 section 8: with the first bit set it means zero.
        let ttl = if ttl >> 31 == 0 { ttl } else { 0 };
        let (from, end) = (at + 10, at + 10 + usize::from(length));
        let data = bytes.get(from..end).ok_or(Malformed::Short)?;
        let name_to_end = |at| match Name::read(bytes, at) {
            Ok((name, behind)) if behind == end => Ok(name),
            Ok(_) => Err(Malformed::Data),
            Err(error) => Err(Malformed::Name(error)),
        };
        let data = match (class, kind) {
            (INTERNET, 1) => Data::A(<[u8; 4]>::try_from(data).map_err(|_| Malformed::Data)?.into()),
            (INTERNET, 28) => Data::Aaaa(<[u8; 16]>::try_from(data).map_err(|_| Malformed::Data)?.into()),
            (INTERNET, CNAME) => Data::Cname(name_to_end(from)?),
            (INTERNET, 33) => Data::Srv(Srv {
                priority: field(from)?,
                weight: field(from + 2)?,
                port: field(from + 4)?,
                target: name_to_end(from + 6)?,
            }),
            _ => Data::Other,
        };
        self.at = end;
        Ok(Record { name, ttl, data })
    }
}

#[cfg(test)]
mod tests;
