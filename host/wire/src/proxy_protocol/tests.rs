extern crate std;

use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

use super::*;

fn origin(bytes: &[u8]) -> Result<Option<(Origin, usize)>, ProxyError> {
    Header::read(bytes).map(|header| header.map(|it| (it.origin, it.length)))
}

fn client(source: &str, destination: &str) -> Origin {
    Origin::Client { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

#[test]
fn lines_of_version_1() {
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", client("192.0.2.1:56324", "198.51.100.2:443")),
        ("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", client("255.255.255.255:65535", "0.0.0.0:0")),
        (
            "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1 2\r\n",
            client("[2001:db8::1]:1", "[::ffff:192.0.2.1]:2"),
        ),
        ("PROXY UNKNOWN\r\n", Origin::Unknown),
        ("PROXY UNKNOWN whatever else it says \r\n", Origin::Unknown),
    ] {
        let bytes = format!("{line}GET / HTTP/1.1\r\n");
        assert_eq!(origin(bytes.as_bytes()), Ok(Some((expected, line.len()))), "{line:?}");
        for cut in 0..line.len() {
            assert_eq!(origin(&bytes.as_bytes()[..cut]), Ok(None), "{line:?} cut at {cut}");
        }
    }
}

#[test]
fn lines_that_lie_or_are_broken() {
    for (line, expected) in [
        ("GET / HTTP/1.1\r\n", ProxyError::Missing),
        ("POST / HTTP/1.1\r\n", ProxyError::Missing),
        ("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", ProxyError::Missing),
        ("PROXY\tTCP4", ProxyError::Missing),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", ProxyError::Line),
        ("PROXY \n", ProxyError::Line),
        ("PROXY \r\n", ProxyError::Fields),
        ("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", ProxyError::Fields),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", ProxyError::Fields),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", ProxyError::Fields),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", ProxyError::Fields),
        ("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", ProxyError::Fields),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\0\r\n", ProxyError::Port),
        ("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", ProxyError::Address),
        ("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", ProxyError::Address),
        ("PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", ProxyError::Address),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", ProxyError::Port),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", ProxyError::Port),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", ProxyError::Port),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", ProxyError::Port),
    ] {
        assert_eq!(origin(line.as_bytes()), Err(expected), "{line:?}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
    assert_eq!(origin(endless.as_bytes()), Err(ProxyError::Line));
    assert_eq!(origin(&endless.as_bytes()[..MOST_V1 - 1]), Ok(None));
}

/// A header of version 2 as the specification lays it out.
fn v2(command: u8, family: u8, behind: &[u8]) -> Vec<u8> {
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &(behind.len() as u16).to_be_bytes(), behind].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 4, 1, 0xbb];

#[test]
fn headers_of_version_2() {
    let v4 = client("192.0.2.1:56324", "198.51.100.2:443");
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 15], &[1], &[0, 1, 0, 2]].concat();
    let unix = vec![b'x'; 216];
    for (header, expected) in [
        (v2(0x21, 0x11, &V4), v4),
        (v2(0x21, 0x11, &[&V4[..], &[4, 0, 1, 0]].concat()), v4),
        (v2(0x21, 0x21, &v6), client("[2001:db8::1]:1", "[::1]:2")),
        (v2(0x20, 0, &[]), Origin::Local),
        (v2(0x20, 0x11, &V4), Origin::Local),
        (v2(0x21, 0, b"anything"), Origin::Unknown),
        (v2(0x21, 0x31, &unix), Origin::Unknown),
        (v2(0x21, 0x12, &V4), Origin::Unknown),
    ] {
        let bytes = [&header[..], b"more"].concat();
        assert_eq!(origin(&bytes), Ok(Some((expected, header.len()))), "{header:?}");
        for cut in 0..header.len() {
            assert_eq!(origin(&bytes[..cut]), Ok(None), "{header:?} cut at {cut}");
        }
    }
}

#[test]
fn headers_of_version_2_that_lie() {
    for (header, expected) in [
        (v2(0x11, 0x11, &V4), ProxyError::Command),
        (v2(0x22, 0x11, &V4), ProxyError::Command),
        (v2(0x21, 0x11, &V4[..11]), ProxyError::Length),
        (v2(0x21, 0x21, &V4), ProxyError::Length),
        (v2(0x21, 0x31, &V4), ProxyError::Length),
        (v2(0x21, 0x11, &vec![0; 5000]), ProxyError::Length),
        (v2(0x21, 0x11, &[&V4[..], &[4, 0]].concat()), ProxyError::Tlv),
        (v2(0x21, 0x11, &[&V4[..], &[4, 0, 2, 0]].concat()), ProxyError::Tlv),
        (v2(0x21, 0x11, &[&V4[..], &[3, 0, 4, 1, 2, 3, 4]].concat()), ProxyError::Checksum),
        (v2(0x21, 0x11, &[&V4[..], &[3, 0, 1, 1]].concat()), ProxyError::Checksum),
        (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), ProxyError::Missing),
        (b"\x16\x03\x01".to_vec(), ProxyError::Missing),
    ] {
        assert_eq!(origin(&header), Err(expected), "{header:?}");
    }
}

#[test]
fn a_checksum_that_is_right_is_taken() {
    let mut header = v2(0x21, 0x11, &[&V4[..], &[3, 0, 4, 0, 0, 0, 0], &[4, 0, 1, 9]].concat());
    let sum = crc32c::end(crc32c::crc32c(crc32c::START, &header));
    header[16 + 12 + 3..][..4].copy_from_slice(&sum.to_be_bytes());
    assert!(Header::read(&header).unwrap().is_some());
    for at in 0..header.len() {
        let mut damaged = header.clone();
        damaged[at] ^= 1;
        assert!(
            !matches!(Header::read(&damaged), Ok(Some(header)) if header.length == damaged.len()
            && matches!(header.origin, Origin::Client { .. }) && header.tlvs.value(TlvKind::Crc32c).is_some()),
            "{at}"
        );
    }
}

#[test]
fn what_is_written_is_read() {
    let pairs = [("192.0.2.1:56324", "198.51.100.2:443"), ("[2001:db8::1]:65535", "[2001:db8:ffff::2]:1")];
    for (source, destination) in pairs {
        let addresses = Some((source.parse().unwrap(), destination.parse().unwrap()));
        let mut out = [0; MOST_V1];
        let length = write_v1(addresses, &mut out);
        assert_eq!(origin(&out[..length]), Ok(Some((client(source, destination), length))));

        let facts = TlsFacts {
            over_tls: true,
            certificate: true,
            verified: true,
            version: Some("TLSv1.3"),
            cipher: Some("TLS_AES_128_GCM_SHA256"),
            common_name: Some("client"),
        };
        let mut out = [0; LONGEST_WRITTEN_V2];
        let mut writer = Writer::new(addresses, &mut out);
        let length =
            writer.tlv(TlvKind::Authority, b"shop.example.org").tls(&facts).tlv(TlvKind::Alpn, b"h2").end();
        let header = Header::read(&out[..length]).unwrap().unwrap();
        assert_eq!((header.origin, header.length), (client(source, destination), length));
        assert_eq!(header.tlvs.value(TlvKind::Authority), Some(&b"shop.example.org"[..]));
        assert_eq!(header.tlvs.value(TlvKind::Alpn), Some(&b"h2"[..]));
        assert_eq!(header.tlvs.tls(), Some(facts));
    }
}

#[test]
fn addresses_of_two_families_are_unknown() {
    let addresses = Some(("192.0.2.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()));
    let mut out = [0; MOST_V1];
    let length = write_v1(addresses, &mut out);
    assert_eq!(&out[..length], b"PROXY UNKNOWN\r\n");
    let mut out = [0; LONGEST_WRITTEN_V2];
    let length = Writer::new(addresses, &mut out).end();
    assert_eq!(origin(&out[..length]), Ok(Some((Origin::Unknown, 16))));
}

#[test]
fn what_has_no_room_is_left_out() {
    let mut out = [0; LONGEST_WRITTEN_V2];
    let mut writer = Writer::new(None, &mut out);
    let length = writer
        .tlv(TlvKind::Authority, &[b'a'; 210])
        .tlv(TlvKind::Alpn, b"h2")
        .tls(&TlsFacts::default())
        .end();
    let header = Header::read(&out[..length]).unwrap().unwrap();
    assert_eq!((header.origin, length), (Origin::Unknown, 16 + 3 + 210));
}

#[test]
fn every_refusal_says_why() {
    let reasons: Vec<String> = ProxyError::ALL.iter().map(|it| it.reason().into()).collect();
    assert!(reasons.iter().enumerate().all(|(at, reason)| !reasons[..at].contains(reason)));
}

proptest! {
    /// What was refused stays refused, and what was a header stays the same, whatever follows.
    #[test]
    fn more_bytes_change_nothing_that_is_sure(
        start in prop::sample::select(vec![&b""[..], b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"]),
        rest in prop::collection::vec(prop_oneof![Just(b' '), Just(b'1'), Just(0u8), any::<u8>()], 0..200),
        cut in 0usize..200,
    ) {
        let bytes = [start, &rest].concat();
        let some = &bytes[..cut.min(bytes.len())];
        match origin(some) {
            Ok(None) => {}
            sure => prop_assert_eq!(origin(&bytes), sure),
        }
    }
}
