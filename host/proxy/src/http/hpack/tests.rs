mod oracle;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::decoder::{Decoder, Malformed, Scratch};
use super::encoder::Encoder;
use super::table::Name;

type Fields = Vec<(String, String)>;

/// More than any block here has.
const MOST: usize = 1 << 20;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|it| !it.is_ascii_whitespace()).collect();
    let number = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(number).collect()
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Malformed> {
    read_at_most(decoder, block, MOST)
}

fn read_at_most(decoder: &mut Decoder, block: &[u8], most: usize) -> Result<Fields, Malformed> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut fields = Vec::new();
    decoder.decode(block, most, &mut Scratch::default(), |name, value, _| {
        assert!(!matches!(name, Name::Text(name) if Name::of(name) != Name::Text(name)), "{name:?}");
        fields.push((text(name.as_bytes()), text(value)));
    })?;
    Ok(fields)
}

fn fields(lines: &str) -> Fields {
    let field = |line: &str| {
        let (name, value) = line.trim().split_at(line.trim()[1..].find(':').unwrap() + 1);
        (name.to_owned(), value[1..].trim().to_owned())
    };
    lines.lines().filter(|line| !line.trim().is_empty()).map(field).collect()
}

fn write(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out);
    for (name, value) in fields {
        encoder.field(name.as_bytes(), value.as_bytes(), false, &mut out);
    }
    out
}

const REQUESTS: [&str; 3] = [
    ":method: GET
     :scheme: http
     :path: /
     :authority: www.example.com",
    ":method: GET
     :scheme: http
     :path: /
     :authority: www.example.com
     cache-control: no-cache",
    ":method: GET
     :scheme: https
     :path: /index.html
     :authority: www.example.com
     custom-key: custom-value",
];

/// RFC 7541 appendix C.2.
#[test]
fn fields_one_by_one() {
    for (hex, field, learnt) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key: custom-header",
            true,
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path", false),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret", false),
        ("82", ":method: GET", false),
    ] {
        let mut decoder = Decoder::new();
        assert_eq!(read(&mut decoder, &bytes(hex)), Ok(fields(field)));
        let again = read(&mut decoder, &[0x80 | 62]);
        assert_eq!(again, if learnt { Ok(fields(field)) } else { Err(Malformed::Index) });
    }
}

/// RFC 7541 appendices C.3 and C.4.
#[test]
fn requests_of_the_rfc() {
    for blocks in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let mut decoder = Decoder::new();
        for (block, request) in blocks.iter().zip(REQUESTS) {
            assert_eq!(read(&mut decoder, &bytes(block)), Ok(fields(request)));
        }
    }
}

/// RFC 7541 appendices C.5 and C.6, whose reader has a table of 256 bytes.
#[test]
fn answers_of_the_rfc() {
    let answers = [
        ":status: 302
         cache-control: private
         date: Mon, 21 Oct 2013 20:13:21 GMT
         location: https://www.example.com",
        ":status: 307
         cache-control: private
         date: Mon, 21 Oct 2013 20:13:21 GMT
         location: https://www.example.com",
        ":status: 200
         cache-control: private
         date: Mon, 21 Oct 2013 20:13:22 GMT
         location: https://www.example.com
         content-encoding: gzip
         set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ];
    for blocks in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 \
             3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 \
             7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 \
             6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad \
             1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 \
             e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ],
    ] {
        let mut decoder = Decoder::new();
        assert_eq!(read(&mut decoder, &bytes("3fe1 01")), Ok(Vec::new()));
        for (block, answer) in blocks.iter().zip(answers) {
            assert_eq!(read(&mut decoder, &bytes(block)), Ok(fields(answer)));
        }
        assert_eq!(decoder.table().size(), 215);
    }
}

#[test]
fn malformed_blocks() {
    for (what, hex, why) in [
        ("index 0", "80", Malformed::Index),
        ("an index of nothing", "be", Malformed::Index),
        ("the name of nothing", "7e 0161", Malformed::Index),
        ("a text that is cut", "4003 6162", Malformed::Cut),
        ("no value", "4001 61", Malformed::Cut),
        ("a length that does not end", "40ff ff", Malformed::Cut),
        ("a length that is too long", "40ff 8080 8080 00", Malformed::Number),
        ("a table that is too large", "3fe2 1f", Malformed::Resize),
        ("a size behind a field", "8220", Malformed::Resize),
        ("no Huffman", "4001 6182 ffff", Malformed::Huffman),
    ] {
        assert_eq!(read(&mut Decoder::new(), &bytes(hex)), Err(why), "{what}");
    }
    // Several sizes, and the largest that there may be.
    assert_eq!(read(&mut Decoder::new(), &bytes("20 3fe1 1f 82")), Ok(fields(":method: GET")));
}

/// A reference takes a byte, and what it says may take thousands.
#[test]
fn what_a_block_says_is_bounded() {
    let mut block = bytes("4001 787f 80 1d");
    block.extend([b'y'; 127 + 0xe80]);
    let size = 1 + 127 + 0xe80 + 32;
    let mut decoder = Decoder::new();
    assert_eq!(read(&mut decoder, &block).map(|it| it.len()), Ok(1));
    let references = [0x80 | 62; 100];
    assert_eq!(read_at_most(&mut decoder, &references, 100 * size).map(|it| it.len()), Ok(100));
    assert_eq!(read_at_most(&mut decoder, &references, 100 * size - 1), Err(Malformed::TooLarge));
}

/// A name of an entry that makes room for the one that has it (RFC 7541 section 4.4), and an entry that is larger than
/// the table.
#[test]
fn entries_make_room() {
    let mut decoder = Decoder::new();
    let value = "v".repeat(4096 - 32 - 1);
    let mut block = bytes("4001 78 7f e01e");
    block.extend(value.bytes());
    assert_eq!(read(&mut decoder, &block), Ok(vec![("x".into(), value.clone())]));
    assert_eq!(read(&mut decoder, &bytes("7e01 61")), Ok(vec![("x".into(), "a".into())]));
    assert_eq!(decoder.table().size(), 34);
    let mut larger = bytes("7e 7f e11e");
    larger.extend(format!("{value}v").bytes());
    assert_eq!(read(&mut decoder, &larger).map(|it| it.len()), Ok(1));
    assert_eq!((decoder.table().size(), read(&mut decoder, &[0x80 | 62])), (0, Err(Malformed::Index)));
}

#[test]
fn what_comes_again_is_an_index() {
    let mut encoder = Encoder::new();
    let answer = [("server", "x"), ("content-type", "text/html"), ("x-own", "1"), ("content-length", "5")];
    let first = write(&mut encoder, &answer);
    let again = write(&mut encoder, &answer);
    assert_eq!(again, bytes("c0 bf be 0f0d 0135"));
    let mut decoder = Decoder::new();
    for block in [first, again] {
        let expected: Fields = answer.map(|(name, value)| (name.into(), value.into())).into();
        assert_eq!(read(&mut decoder, &block), Ok(expected));
    }
}

#[test]
fn secrets_and_what_changes_are_not_learnt() {
    let mut encoder = Encoder::new();
    for (name, first) in [("set-cookie", 0x1f), ("authorization", 0x1f), ("cookie", 0x1f), ("etag", 0x0f)] {
        for _ in 0..2 {
            assert_eq!(write(&mut encoder, &[(name, "a")])[0], first, "{name}");
        }
    }
    let kinds: Vec<u8> = (0..5).map(|id| write(&mut encoder, &[("x-id", &id.to_string())])[0]).collect();
    assert_eq!(kinds, [0x40, 0x7e, 0x7e, 0x0f, 0x0f], "so many values of a name");
    let dates: Vec<u8> =
        (0..5).map(|second| write(&mut encoder, &[("date", &second.to_string())])[0]).collect();
    assert_eq!(dates, [0x61; 5]);
    let long = "y".repeat(300);
    assert_eq!(write(&mut encoder, &[("x-long", &long)])[0], 0);
}

/// RFC 7541 section 6.2.3: who passes it on has to write it so.
#[test]
fn what_is_never_to_be_indexed_stays_so() {
    let mut out = Vec::new();
    let mut encoder = Encoder::new();
    encoder.field(b"x-key", b"a", true, &mut out);
    encoder.field(b"x-key", b"b", false, &mut out);
    encoder.field(b"cookie", b"c", false, &mut out);
    let mut secrets = Vec::new();
    let taken =
        Decoder::new().decode(&out, MOST, &mut Scratch::default(), |_, _, secret| secrets.push(secret));
    assert_eq!((taken, secrets), (Ok(()), vec![true, false, true]));
}

#[test]
fn statuses() {
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new();
    for status in [200, 204, 206, 304, 400, 404, 500, 103, 302, 503, 302] {
        let mut out = Vec::new();
        encoder.status(status, &mut out);
        assert_eq!(read(&mut decoder, &out), Ok(vec![(":status".into(), status.to_string())]));
    }
}

/// RFC 7541 section 4.2.
#[test]
fn a_reader_is_told_how_large_its_table_is() {
    let mut encoder = Encoder::new();
    encoder.set_capacity(4096);
    assert_eq!(write(&mut encoder, &[("x", "a")]), bytes("40 0178 0161"));
    encoder.set_capacity(65_536);
    assert_eq!(write(&mut encoder, &[("x", "a")]), bytes("be"), "it is not made larger");
    encoder.set_capacity(0);
    encoder.set_capacity(100);
    assert_eq!(write(&mut encoder, &[("x", "a")]), bytes("20 3f45 40 0178 0161"), "it was empty in between");
    encoder.set_capacity(0);
    assert_eq!(write(&mut encoder, &[("x", "a")]), bytes("20 00 0178 0161"));
    encoder.set_capacity(200);
    encoder.set_capacity(0);
    assert_eq!(write(&mut encoder, &[("x", "a")]), bytes("00 0178 0161"));
}

fn any_fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        "[a-z-]{1,12}",
        Just("cookie".to_owned()),
        Just(":path".to_owned()),
        Just("date".to_owned())
    ];
    let value = prop_oneof!["[ -~]{0,40}", Just("gzip, deflate".to_owned()), "[a-b]{0,2}", "[x]{200,2000}"];
    prop::collection::vec((name, value), 0..12)
}

proptest! {
    /// However the reader changes its mind about its table.
    #[test]
    fn what_is_written_is_read(
        blocks in prop::collection::vec((any_fields(), prop::option::of(0..6000u32)), 0..12),
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for (fields, capacity) in blocks {
            if let Some(capacity) = capacity {
                encoder.set_capacity(capacity);
            }
            let borrowed: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
            let block = write(&mut encoder, &borrowed);
            prop_assert_eq!(read(&mut decoder, &block), Ok(fields));
        }
    }
}

#[test]
fn every_stored_input() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/hpack");
    let mut count = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        super::fuzzed::hpack(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0);
}
