//! Clients that send too much of what costs them nothing (RFC 9113 section 10.5): each is told to be calm, and counted.

use shunt_tests::frames::{
    CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, HEADERS, PING, PRIORITY,
    RST_STREAM, SETTINGS, block, head,
};
use shunt_tests::origin::Origin;

use super::site;

/// Sends until the connection is gone or there is too much of it; what comes back is read at the end.
fn flood(client: &mut Client, frames: impl Iterator<Item = Vec<Frame>>) {
    for frames in frames {
        let bytes: Vec<_> = frames.iter().flat_map(Frame::bytes).collect();
        if client.send_bytes(&bytes).is_err() {
            return;
        }
    }
}

#[test]
fn each_flood_ends_its_connection_and_is_counted() {
    let origin = Origin::named("a");
    let site = site("", &origin);
    let request = |stream: u32, flags: u8| Frame::new(HEADERS, flags, stream, block(&head("GET", "/")));
    let same = |frame: Frame, count: usize| (0..count).map(|_| vec![frame.clone()]).collect::<Vec<_>>();
    let after = |first: Frame, frames: Vec<Vec<Frame>>| [vec![vec![first]], frames].concat();
    let odd = |count: u32| (0..count).map(|number| 2 * number + 1);
    let cases: Vec<(&str, usize, Vec<Vec<Frame>>)> = vec![
        (
            "rapid reset",
            0,
            odd(2_000)
                .map(|stream| {
                    let reset = Frame::new(RST_STREAM, 0, stream, 8u32.to_be_bytes());
                    vec![request(stream, END_STREAM | END_HEADERS), reset]
                })
                .collect(),
        ),
        ("SETTINGS", 1, same(Frame::new(SETTINGS, 0, 0, []), 1_000)),
        ("PING", 2, same(Frame::new(PING, 0, 0, [0; 8]), 5_000)),
        ("empty DATA", 3, after(request(1, END_HEADERS), same(Frame::new(DATA, 0, 1, []), 1_000))),
        (
            "CONTINUATION",
            4,
            after(request(1, 0), same(Frame::new(CONTINUATION, 0, 1, block(&[("x", "y")])), 1_000)),
        ),
        (
            "a head that does not end",
            5,
            after(
                request(1, 0),
                same(Frame::new(CONTINUATION, 0, 1, block(&[("x", &"y".repeat(16_000))])), 100),
            ),
        ),
        ("PRIORITY", 6, same(Frame::new(PRIORITY, 0, 1, [0, 0, 0, 0, 1]), 50_000)),
    ];
    for (what, place, frames) in cases {
        let mut client = Client::connect(site.address);
        client.polite = false;
        flood(&mut client, frames.into_iter());
        client.rest();
        let codes: Vec<_> = client.goaways.iter().map(|(code, _)| *code).collect();
        // The client was still sending when it was told, and may not have got it.
        assert!(codes.iter().all(|code| *code == ENHANCE_YOUR_CALM), "{what}: {codes:?}");
        assert_eq!(site.daemon.status()["virtuals"][0]["http2-floods"][place], 1, "{what}");
    }
    assert_eq!(Client::connect(site.address).get("/").text(), "a", "the site is there for others");
}

#[test]
fn a_client_that_stops_is_told() {
    let origin = Origin::named("a");
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    client.polite = false;
    let _ = client.send_bytes(&Frame::new(SETTINGS, 0, 0, []).bytes().repeat(60));
    assert_eq!(client.goaway().0, ENHANCE_YOUR_CALM);
}

/// Small on the wire, large when it is decoded: references to a large field of the table (RFC 7541 section 7.3).
#[test]
fn a_head_that_grows_when_it_is_decoded() {
    let origin = Origin::named("a");
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    // Its acknowledgement would come in between.
    client.polite = false;
    let mut bomb = block(&head("GET", "/"));
    // A literal with incremental indexing; then references to it.
    bomb.extend([0x40, 1, b'x', 127, 0x80 | 0x79, 0x1e - 1]);
    bomb.extend(vec![b'y'; 127 + 0x79 + (0x1d << 7)]);
    bomb.extend(vec![0x80 | 62; 10_000]);
    client.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, bomb));
    client.rest();
    assert_eq!((client.goaways[0].0, origin.count()), (ENHANCE_YOUR_CALM, 0));
    assert_eq!(site.daemon.status()["virtuals"][0]["http2-floods"][5], 1);
}

#[test]
fn more_streams_than_were_allowed() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.until_end();
        Ok(())
    });
    let site = site("http2 = { start = \"prior-knowledge\", streams = 10 }", &origin);
    let mut client = Client::connect(site.address);
    let streams: Vec<_> = (0..15).map(|_| client.request("GET", "/", &[])).collect();
    for stream in &streams[10..] {
        assert_eq!(client.answer(*stream).reset, Some(shunt_tests::frames::REFUSED_STREAM));
    }
    assert_eq!(site.daemon.status()["virtuals"][0]["http2-refused"], 5);
    origin.wait_requests(10);
}
