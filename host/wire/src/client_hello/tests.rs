extern crate std;

use std::string::String;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn vec8(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8], content].concat()
}

fn vec16(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes(), content].concat()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vec16(content)].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    extension(0, &vec16(&[&[0], &vec16(name)[..]].concat()))
}

fn protocols(names: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = names.iter().flat_map(|name| vec8(name)).collect();
    extension(16, &vec16(&list))
}

fn message(body: &[u8]) -> Vec<u8> {
    [&[1][..], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

/// A hello with these ciphers and extensions.
fn hello(ciphers: &[u16], extensions: &[Vec<u8>]) -> Vec<u8> {
    let body = [
        &[3, 3][..],
        &[7; 32],
        &vec8(&[9; 32]),
        &vec16(&numbers(ciphers)),
        &vec8(&[0]),
        &vec16(&extensions.concat()),
    ];
    message(&body.concat())
}

fn in_records(message: &[u8], most: usize) -> Vec<u8> {
    message.chunks(most).flat_map(|part| [&[22, 3, 1][..], &vec16(part)].concat()).collect()
}

/// Takes what arrives in segments of so many bytes.
fn gathered(received: &[u8], segment: usize) -> Result<Option<Vec<u8>>, HelloError> {
    let mut records = Records::default();
    let mut message = vec![0; MOST_MESSAGE];
    let mut end = 0;
    while end < received.len() {
        end = received.len().min(end + segment);
        if let Some(length) = records.take(&received[..end], &mut message)? {
            message.truncate(length);
            return Ok(Some(message));
        }
    }
    Ok(None)
}

/// As Chromium sends one: GREASE in every list, two groups, HTTP/2 first, SNI behind the key share.
fn as_a_browser_sends_it() -> Vec<u8> {
    hello(
        &[0x8a8a, 0x1301, 0x1302, 0xc02b],
        &[
            extension(0x1a1a, b""),
            extension(43, &vec8(&numbers(&[0x6a6a, 0x0304, 0x0303]))),
            extension(10, &vec16(&numbers(&[0x3a3a, 0x11ec, 0x001d]))),
            extension(51, &vec16(&[5; 1300])),
            protocols(&[b"h2", b"http/1.1"]),
            extension(13, &vec16(&numbers(&[0x0403, 0x0804]))),
            server_name(b"shop.example.org"),
        ],
    )
}

#[test]
fn a_browsers_hello_says_what_it_asks_for() {
    let message = as_a_browser_sends_it();
    let hello = ClientHello::read(&message).unwrap();
    assert_eq!(hello.server_name(), Some("shop.example.org"));
    assert_eq!(hello.protocols().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
    assert_eq!(hello.versions().collect::<Vec<_>>(), [0x6a6a, 0x0304, 0x0303]);
    assert_eq!((hello.legacy_version, hello.latest_version()), (0x0303, 0x0304));
    assert_eq!(hello.ciphers().collect::<Vec<_>>(), [0x8a8a, 0x1301, 0x1302, 0xc02b]);
    assert_eq!(hello.groups().collect::<Vec<_>>(), [0x3a3a, 0x11ec, 0x001d]);
    assert_eq!(hello.signature_schemes().collect::<Vec<_>>(), [0x0403, 0x0804]);
    assert_eq!(hello.extensions().collect::<Vec<_>>(), [0x1a1a, 43, 10, 51, 16, 13, 0]);
    assert_eq!(hello.session_id, [9; 32]);
    assert!(!hello.offers_early_data());
}

#[test]
fn a_hello_of_tls_1_0_needs_no_extensions() {
    let body = [&[3, 1][..], &[7; 32], &vec8(b""), &vec16(&numbers(&[0x002f])), &vec8(&[0])].concat();
    let message = message(&body);
    let hello = ClientHello::read(&message).unwrap();
    assert_eq!((hello.server_name(), hello.latest_version()), (None, 0x0301));
    assert_eq!((hello.protocols().count(), hello.extensions().count()), (0, 0));
}

#[test]
fn early_data_is_seen_before_the_keys_it_is_under() {
    let message = hello(&[0x1301], &[extension(42, b""), extension(41, &[0; 40])]);
    assert!(ClientHello::read(&message).unwrap().offers_early_data());
}

#[test]
fn a_dot_at_the_end_of_a_name_is_not_part_of_it() {
    let message = hello(&[0x1301], &[server_name(b"shop.example.org.")]);
    assert_eq!(ClientHello::read(&message).unwrap().server_name(), Some("shop.example.org"));
}

#[test]
fn names_that_are_no_host_are_refused() {
    for name in [&b""[..], b".", b"a b", b"a\0b", b"a/b", b"shop.example:443", b"caf\xc3\xa9", &[b'a'; 300]] {
        let message = hello(&[0x1301], &[server_name(name)]);
        assert_eq!(ClientHello::read(&message).unwrap_err(), HelloError::ServerName, "{name:?}");
    }
    let of_another_kind = extension(0, &vec16(&[&[1], &vec16(b"a")[..]].concat()));
    assert_eq!(ClientHello::read(&hello(&[0x1301], &[of_another_kind])).unwrap_err(), HelloError::ServerName);
    let two = [&[0], &vec16(b"a")[..], &[0], &vec16(b"b")].concat();
    let two = hello(&[0x1301], &[extension(0, &vec16(&two))]);
    assert_eq!(ClientHello::read(&two).unwrap_err(), HelloError::Malformed);
}

#[test]
fn extensions_that_servers_could_read_in_two_ways_are_refused() {
    let refused = |extensions: &[Vec<u8>]| ClientHello::read(&hello(&[0x1301], extensions)).unwrap_err();
    assert_eq!(refused(&[server_name(b"a"), server_name(b"b")]), HelloError::ExtensionOrder);
    assert_eq!(refused(&[extension(99, b""), extension(99, b"")]), HelloError::ExtensionOrder);
    assert_eq!(refused(&[extension(41, b""), server_name(b"a")]), HelloError::ExtensionOrder);
    let many: Vec<_> = (1000..1257).map(|kind| extension(kind, b"")).collect();
    assert_eq!(refused(&many), HelloError::TooManyExtensions);
    assert!(ClientHello::read(&hello(&[0x1301], &many[..256])).is_ok());
}

#[test]
fn lengths_that_are_wrong_are_refused() {
    for odd in [
        protocols(&[]),
        protocols(&[b"h2", b""]),
        extension(16, &vec16(b"\x05h2")),
        extension(10, &vec16(b"\0")),
        extension(10, &vec16(b"")),
        extension(10, &[vec16(&numbers(&[29])), vec![0]].concat()),
        extension(43, &vec8(&[3])),
        extension(13, b""),
        extension(42, b"\0"),
        vec![0, 0, 0],
    ] {
        assert_eq!(ClientHello::read(&hello(&[0x1301], &[odd])).unwrap_err(), HelloError::Malformed);
    }
    assert_eq!(ClientHello::read(&hello(&[], &[])).unwrap_err(), HelloError::Malformed);
    let mut longer = as_a_browser_sends_it();
    longer.push(0);
    assert_eq!(ClientHello::read(&longer).unwrap_err(), HelloError::Malformed);
}

#[test]
fn a_message_is_put_together_from_any_records_and_segments() {
    let message = as_a_browser_sends_it();
    for record in [1, 3, 100, 1460, 16384] {
        let received = in_records(&message, record);
        for segment in [1, 2, 7, 1460, 100_000] {
            assert_eq!(gathered(&received, segment), Ok(Some(message.clone())), "{record} {segment}");
            assert_eq!(gathered(&received[..received.len() - 1], segment), Ok(None), "{record} {segment}");
        }
    }
}

#[test]
fn early_data_behind_the_message_is_left_where_it_is() {
    let message = as_a_browser_sends_it();
    let received = [in_records(&message, 16384), vec![23, 3, 3, 0, 1, 0]].concat();
    assert_eq!(gathered(&received, 100_000), Ok(Some(message)));
}

#[test]
fn bytes_that_are_no_hello_are_refused_as_soon_as_that_is_sure() {
    let refused = |received: &[u8]| gathered(received, 1).unwrap_err();
    assert_eq!(refused(b"GET / HTTP/1.1\r\n"), HelloError::NotHandshake);
    assert_eq!(refused(b"\x80\x2e\x01"), HelloError::NotHandshake);
    assert_eq!(refused(&[22, 2]), HelloError::NotHandshake);
    assert_eq!(refused(&[22, 3, 1, 0, 0]), HelloError::RecordLength);
    assert_eq!(refused(&[22, 3, 1, 0x40, 1]), HelloError::RecordLength);
    assert_eq!(refused(&[22, 3, 1, 0, 9, 2]), HelloError::NotClientHello);
    assert_eq!(refused(&[22, 3, 1, 0, 9, 1, 1, 0, 0]), HelloError::TooLong);
    let message = as_a_browser_sends_it();
    let cut = in_records(&message[..100], 100);
    assert_eq!(refused(&[&cut[..], &[21, 3, 1]].concat()), HelloError::Interleaved);
    assert_eq!(refused(&[&cut[..], &[22, 3, 1, 0, 0]].concat()), HelloError::RecordLength);
    let more = [&message[..], &[0]].concat();
    assert_eq!(refused(&in_records(&more, 16384)), HelloError::Trailing);
}

#[test]
fn the_longest_message_is_taken_and_one_byte_more_is_not() {
    let with_padding = |padding: usize| hello(&[0x1301], &[extension(21, &vec![0; padding])]);
    let base = with_padding(0).len();
    // Its extensions are counted in 16 bits, so the rest of the length comes from the ciphers.
    let most = hello(&vec![0x1301; (MOST_MESSAGE - base) / 2 + 1], &[extension(21, b"")]);
    assert!(ClientHello::read(&most[..]).is_ok());
    assert_eq!(gathered(&in_records(&most, 16384), 4096), Ok(Some(most.clone())));
    let more = hello(&vec![0x1301; 30_000], &[extension(21, &[0; 10_000])]);
    assert_eq!(ClientHello::read(&more).unwrap_err(), HelloError::TooLong);
    assert_eq!(gathered(&in_records(&more, 16384), 4096), Err(HelloError::TooLong));
}

#[test]
fn grease_is_known() {
    let grease: Vec<u16> = (0..=u16::MAX).filter(|&value| is_grease(value)).collect();
    assert_eq!(grease.len(), 16);
    assert!(grease.contains(&0x0a0a) && grease.contains(&0xfafa));
}

#[test]
fn every_refusal_says_why() {
    let reasons: Vec<String> = HelloError::ALL.iter().map(|it| it.reason().into()).collect();
    assert!(reasons.iter().enumerate().all(|(at, reason)| !reasons[..at].contains(reason)));
}

proptest! {
    #[test]
    fn any_bytes_are_read_alike_in_one_piece_and_in_many(
        received in prop::collection::vec(prop_oneof![Just(22u8), Just(3), Just(1), Just(0), any::<u8>()], 0..600),
        segment in 1usize..50,
    ) {
        let whole = gathered(&received, usize::MAX >> 1);
        prop_assert_eq!(&gathered(&received, segment), &whole);
        if let Ok(Some(message)) = whole {
            let _ = ClientHello::read(&message);
        }
    }

    #[test]
    fn a_damaged_hello_never_panics(at in 0usize..1500, value: u8) {
        let mut message = as_a_browser_sends_it();
        let at = at % message.len();
        message[at] = value;
        if let Ok(hello) = ClientHello::read(&message) {
            prop_assert!(hello.extensions().count() <= 256);
            let _ = hello.latest_version();
        }
    }
}
