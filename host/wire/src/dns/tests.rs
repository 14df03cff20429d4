extern crate std;

use std::string::ToString;
use std::vec::Vec;

use super::*;
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// An answer to a question for `app.test`, with the records given as octets behind it.
fn answer(kind: Kind, flags: u16, records: &[&[u8]]) -> Vec<u8> {
    let mut buffer = [0; MOST_QUESTION];
    let length = write_question(&mut buffer, 0x1234, &name("app.test"), kind).unwrap();
    let mut bytes = buffer[..length - 11].to_vec();
    bytes[2..4].copy_from_slice(&(RESPONSE | flags).to_be_bytes());
    bytes[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    bytes[10..12].copy_from_slice(&[0, 0]);
    bytes.extend(records.iter().copied().flatten());
    bytes
}

#[test]
fn a_question() {
    let mut buffer = [0; MOST_QUESTION];
    let length = write_question(&mut buffer, 7, &name("App.test."), Kind::Srv).unwrap();
    let expected = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03app\x04test\x00\x00\x21\x00\x01\
        \x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
    assert_eq!(&buffer[..length], expected);
    assert_eq!(write_question(&mut [0; 20], 7, &name("app.test"), Kind::A), None);
    let question = Message::read(&buffer[..length]).unwrap().unwrap();
    assert!(!question.answers(7, &name("app.test"), Kind::Srv), "a question answers nothing");
}

#[test]
fn an_answer() {
    // `app.test` by a pointer to the question, an alias to `web` before the rest of that name, and its addresses.
    let alias = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x06\x03web\xc0\x10";
    let four = b"\x03web\xc0\x10\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x01";
    let six =
        b"\x03WEB\xc0\x10\x00\x1c\x00\x01\x80\x00\x00\x05\x00\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01";
    let bytes = answer(Kind::A, TRUNCATED, &[alias, four, six]);
    let message = Message::read(&bytes).unwrap().unwrap();
    assert!(message.answers(0x1234, &name("APP.test"), Kind::A) && message.is_truncated());
    assert!(!message.answers(0x1235, &name("app.test"), Kind::A));
    assert!(!message.answers(0x1234, &name("app.test"), Kind::Aaaa));
    assert_eq!(message.code(), Code::NoError);
    let records: Vec<Record> = message.records().map(Result::unwrap).collect();
    let record = |of, ttl, data| Record { name: name(of), ttl, data };
    let expected = [
        record("app.test", 60, Data::Cname(name("web.test"))),
        record("web.test", 5, Data::A([10, 0, 0, 1].into())),
        record("web.test", 0, Data::Aaaa("2001:db8::1".parse().unwrap())),
    ];
    assert_eq!(records, expected);
}

#[test]
fn a_service() {
    let srv = b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x0a\x00\x0e\x00\x01\x00\x05\x1f\x90\x05node1\xc0\x10";
    let none = b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x0a\x00\x07\x00\x00\x00\x00\x00\x00\x00";
    let bytes = answer(Kind::Srv, 0, &[srv, none]);
    let records: Vec<Record> =
        Message::read(&bytes).unwrap().unwrap().records().map(Result::unwrap).collect();
    let data: Vec<Data> = records.iter().map(|it| it.data).collect();
    let expected = [
        Srv { priority: 1, weight: 5, port: 8080, target: name("node1.test") },
        Srv { priority: 0, weight: 0, port: 0, target: Name::ROOT },
    ];
    assert_eq!(data, expected.map(Data::Srv));
    assert!(Name::ROOT.is_root() && Name::ROOT.to_string() == ".");
}

#[test]
fn what_is_malformed() {
    let refused = |record: &[u8]| {
        let bytes = answer(Kind::A, 0, &[record]);
        let message = Message::read(&bytes).unwrap().unwrap();
        let last = message.records().last();
        last.unwrap().unwrap_err()
    };
    let cases: &[(&[u8], Malformed)] = &[
        (b"", Malformed::Name(NameError::Short)),
        (b"\xc0", Malformed::Name(NameError::Short)),
        (b"\xc0\x0c\x00\x01", Malformed::Short),
        (b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00", Malformed::Short),
        (b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x05\x0a\x00\x00\x01\x00", Malformed::Data),
        // A pointer to itself, one forward, and one into what was read to come to it.
        (
            b"\xc0\x1a\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x01",
            Malformed::Name(NameError::Pointer),
        ),
        (
            b"\xc0\x40\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x01",
            Malformed::Name(NameError::Pointer),
        ),
        (
            b"\x01a\xc0\x1a\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x01",
            Malformed::Name(NameError::Pointer),
        ),
        (b"\x40a", Malformed::Name(NameError::Label)),
        (b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x05\x00\x03\xc0\x0c\x00", Malformed::Data),
    ];
    for (record, why) in cases {
        assert_eq!(refused(record), *why, "{record:?}");
    }
    assert_eq!(Message::read(b"\x00\x01").unwrap_err(), Malformed::Short);
    let mut two = answer(Kind::A, 0, &[]);
    two[5] = 2;
    assert!(Message::read(&two).unwrap().is_none());
}

#[test]
fn names() {
    assert_eq!(name("Shop.Example.").to_string(), "shop.example");
    assert_eq!(name("a").labels().count(), 1);
    let long = "a".repeat(64);
    assert_eq!(Name::parse(&long), Err(NameError::Label));
    assert_eq!(Name::parse(""), Err(NameError::Label));
    assert_eq!(Name::parse("a..b"), Err(NameError::Label));
    let most = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    assert_eq!(name(&most).octets().len(), Name::MOST);
    assert_eq!(Name::parse(&std::format!("{most}d")), Err(NameError::Long));
    let (odd, _) = Name::read(b"\x03a.\n\x00", 0).unwrap();
    assert_eq!(odd.to_string(), "a\\046\\010");
}

proptest! {
    /// Any bytes are read or refused, to the end, without a panic.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(Some(message)) = Message::read(&bytes) {
            prop_assert!(message.records().count() <= usize::from(u16::MAX));
        }
    }

    /// What is written is read.
    #[test]
    fn questions_are_read(text in "([a-z0-9_-]{1,20}\\.){0,8}[a-z]{1,63}", id: u16) {
        let mut buffer = [0; MOST_QUESTION];
        let name = name(&text);
        let length = write_question(&mut buffer, id, &name, Kind::Aaaa).unwrap();
        buffer[2] |= 0x80;
        let message = Message::read(&buffer[..length]).unwrap().unwrap();
        prop_assert!(message.answers(id, &name, Kind::Aaaa));
        prop_assert_eq!(name.to_string(), text);
    }
}
