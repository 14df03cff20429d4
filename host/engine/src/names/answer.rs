//! What one answer of DNS says of a question.

use shunt_wire::dns::{Code, Data, Kind, Malformed, Message, Name};

/// Aliases that are followed, within an answer and over several: recursive resolvers follow 11 to 16.
pub const MOST_ALIASES: usize = 12;

/// Records that are taken of one answer. A message over TCP has room for about 4,000.
const MOST_RECORDS: usize = 1024;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Records of the type that was asked for, at least one, valid for so many seconds.
    Found { data: Vec<Data>, ttl: u32 },
    /// The name is an alias of one whose records the answer lacks.
    Alias { target: Box<Name>, ttl: u32 },
    /// There are none (RFC 2308): of this type, or no such name.
    Nothing,
}

/// Why an answer says nothing. Another server may do better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The server answers with an error, by its number.
    Code(u8),
    Malformed(Malformed),
    /// The aliases lead back, or there are too many.
    Loop,
}

/// Reads a message that [answers](Message::answers) the question.
///
/// # Errors
/// See [`Unanswered`].
pub fn read(message: &Message<'_>, name: &Name, kind: Kind) -> Result<Answer, Unanswered> {
    match message.code() {
        Code::NoError => {}
        Code::NoSuchName => return Ok(Answer::Nothing),
        Code::Other(code) => return Err(Unanswered::Code(code)),
    }
    let (mut owner, mut ttl) = (*name, u32::MAX);
    for followed in 0..=MOST_ALIASES {
        let (mut data, mut alias) = (Vec::new(), None);
        for record in message.records() {
            let record = record.map_err(Unanswered::Malformed)?;
            if record.name != owner {
                continue;
            }
            match (kind, record.data) {
                (Kind::A, Data::A(_)) | (Kind::Aaaa, Data::Aaaa(_)) | (Kind::Srv, Data::Srv(_)) => {
                    if data.len() < MOST_RECORDS {
                        data.push(record.data);
                    }
                    ttl = ttl.min(record.ttl);
                }
                (_, Data::Cname(target)) => alias = Some((target, record.ttl)),
                _ => {}
            }
        }
        match alias {
            _ if !data.is_empty() => return Ok(Answer::Found { data, ttl }),
            Some((target, its)) => (owner, ttl) = (target, ttl.min(its)),
            None if followed == 0 => return Ok(Answer::Nothing),
            None => return Ok(Answer::Alias { target: Box::new(owner), ttl }),
        }
    }
    Err(Unanswered::Loop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response for `a.test` with these records: owner, type and data.
    fn message(code: u8, records: &[(&str, u16, Vec<u8>)]) -> Vec<u8> {
        let name = |text: &str| Name::parse(text).unwrap().octets().to_vec();
        let mut bytes =
            vec![0, 1, 0x81, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0];
        bytes.extend([name("a.test"), vec![0, 1, 0, 1]].concat());
        for (place, (owner, kind, data)) in records.iter().enumerate() {
            bytes.extend(name(owner));
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 1, 0, 0, 0, 60 - u8::try_from(place).unwrap()]);
            bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            bytes.extend(data);
        }
        bytes
    }

    fn said(code: u8, records: &[(&str, u16, Vec<u8>)]) -> Result<Answer, Unanswered> {
        let bytes = message(code, records);
        read(&Message::read(&bytes).unwrap().unwrap(), &Name::parse("a.test").unwrap(), Kind::A)
    }

    fn alias(from: &'static str, to: &str) -> (&'static str, u16, Vec<u8>) {
        (from, 5, Name::parse(to).unwrap().octets().to_vec())
    }

    fn a(owner: &'static str, last: u8) -> (&'static str, u16, Vec<u8>) {
        (owner, 1, vec![10, 0, 0, last])
    }

    #[test]
    fn aliases_are_followed() {
        let found = |last: &[u8], ttl| {
            let data = last.iter().map(|it| Data::A([10, 0, 0, *it].into())).collect();
            Ok(Answer::Found { data, ttl })
        };
        assert_eq!(said(0, &[a("a.test", 1), a("a.test", 2), a("b.test", 3)]), found(&[1, 2], 59));
        // In any order; the lowest TTL on the way counts.
        assert_eq!(
            said(0, &[a("c.test", 1), alias("b.test", "c.test"), alias("a.test", "b.test")]),
            found(&[1], 58)
        );
        let target = Box::new(Name::parse("b.test").unwrap());
        assert_eq!(said(0, &[alias("a.test", "b.test")]), Ok(Answer::Alias { target, ttl: 60 }));
    }

    #[test]
    fn nothing_and_errors_differ() {
        assert_eq!(said(0, &[]), Ok(Answer::Nothing));
        assert_eq!(said(3, &[]), Ok(Answer::Nothing));
        assert_eq!(said(3, &[alias("a.test", "b.test")]), Ok(Answer::Nothing));
        assert_eq!(said(0, &[a("other.test", 1)]), Ok(Answer::Nothing));
        assert_eq!(said(2, &[a("a.test", 1)]), Err(Unanswered::Code(2)));
        assert_eq!(said(0, &[("a.test", 1, vec![1, 2, 3])]), Err(Unanswered::Malformed(Malformed::Data)));
    }

    #[test]
    fn a_loop_ends() {
        assert_eq!(said(0, &[alias("a.test", "a.test")]), Err(Unanswered::Loop));
        assert_eq!(said(0, &[alias("a.test", "b.test"), alias("b.test", "a.test")]), Err(Unanswered::Loop));
    }
}
