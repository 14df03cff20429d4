use proptest::prelude::*;
use shunt_config::model::Http2Start;

use super::*;
use crate::http::hpack::encoder::Encoder;

const LIMITS: Limits =
    Limits { head: 8 << 10, fields: 20, body: None, connections: None, requests: None, data: 64 };
const HTTP2: Http2 = Http2 { start: Http2Start::Alpn, streams: 3, websocket: false };
const WHOLE: u8 = flag::END_STREAM | flag::END_HEADERS;

#[derive(Default)]
struct Log {
    begun: Vec<Rc<Stream>>,
    refused: u32,
    knows: bool,
}

impl Served for Log {
    fn begin(&mut self, stream: &Rc<Stream>, _: Head) {
        self.begun.push(Rc::clone(stream));
    }

    fn refused(&mut self, _: &'static str) {
        self.refused += 1;
    }

    fn answered(&mut self, _: StatusCode) {}

    fn takes_none(&self) -> bool {
        false
    }

    fn knows(&mut self) {
        self.knows = true;
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

fn request() -> Vec<u8> {
    let mut block = Vec::new();
    let mut encoder = Encoder::new();
    encoder.set_capacity(0);
    encoder.begin(&mut block);
    for (name, value) in [(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", "/")] {
        encoder.field(name.as_bytes(), value.as_bytes(), false, &mut block);
    }
    block
}

/// A connection whose SETTINGS have come.
struct Client {
    session: Rc<Session>,
    receiver: Receiver,
    log: Log,
}

impl Client {
    fn new() -> Client {
        let session = Session::new(HTTP2.streams);
        let receiver = Receiver::new(&session, &LIMITS, HTTP2);
        let mut client = Client { session, receiver, log: Log::default() };
        assert_eq!(client.send(kind::SETTINGS, 0, 0, &[]), Ok(()));
        assert_eq!(client.said(), [(kind::SETTINGS, 0, Vec::new())]);
        client
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<(), End> {
        let bytes = frame(kind, flags, stream, payload);
        self.receiver.take(&bytes, &mut self.log).map(|taken| assert_eq!(taken, bytes.len()))
    }

    /// Kind, stream and payload of what is to be written.
    fn said(&mut self) -> Vec<(u8, u32, Vec<u8>)> {
        let bytes = self.session.state().output.take();
        let (mut at, mut frames) = (0, Vec::new());
        while let Some(header) = bytes[at..].first_chunk().map(FrameHeader::read) {
            let payload = bytes[at + HEADER..at + HEADER + header.length].to_vec();
            at += HEADER + header.length;
            frames.push((header.kind, header.stream, payload));
        }
        frames
    }
}

fn reset(stream: u32, reason: Reason) -> (u8, u32, Vec<u8>) {
    (kind::RST_STREAM, stream, u32::from(reason).to_be_bytes().to_vec())
}

/// RFC 9113 section 5.1.
#[test]
fn what_comes_on_streams_that_are_closed() {
    let mut client = Client::new();
    for stream in [1, 5, 7] {
        client.send(kind::HEADERS, flag::END_HEADERS, stream, &request()).unwrap();
    }
    client.send(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]).unwrap();
    client.receiver.reset(5, Reason::CANCEL);
    assert_eq!(client.said(), [reset(5, Reason::CANCEL)]);
    client.send(kind::DATA, 0, 5, b"late").unwrap();
    client.send(kind::HEADERS, WHOLE, 5, &request()).unwrap();
    client.send(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]).unwrap();
    assert_eq!(client.said(), [], "what was on its way is ignored");
    client.send(kind::DATA, 0, 1, b"late").unwrap();
    client.send(kind::DATA, flag::END_STREAM, 7, b"").unwrap();
    client.send(kind::DATA, 0, 7, b"more").unwrap();
    assert_eq!(client.said(), [reset(1, Reason::STREAM_CLOSED), reset(7, Reason::STREAM_CLOSED)]);
    for (kind, stream, reason) in [
        (kind::HEADERS, 3, Reason::PROTOCOL_ERROR),
        (kind::DATA, 9, Reason::PROTOCOL_ERROR),
        (kind::HEADERS, 2, Reason::PROTOCOL_ERROR),
    ] {
        assert_eq!(client.send(kind, WHOLE, stream, &request()), Err(End::Error(reason)), "{kind} {stream}");
    }
    assert_eq!(client.log.begun.len(), 3);
}

#[test]
fn more_streams_than_were_allowed() {
    let mut client = Client::new();
    for stream in [1, 3, 5, 7] {
        client.send(kind::HEADERS, WHOLE, stream, &request()).unwrap();
    }
    assert_eq!((client.log.begun.len(), client.log.refused), (3, 1));
    assert_eq!(client.said(), [reset(7, Reason::REFUSED_STREAM)]);
}

/// RFC 9113 section 6.9.2: SETTINGS change what there is room for on streams that are open.
#[test]
fn settings_change_windows() {
    let mut client = Client::new();
    client.send(kind::HEADERS, WHOLE, 1, &request()).unwrap();
    let window = |value: u32| [&[0, 4][..], &value.to_be_bytes()].concat();
    client.send(kind::SETTINGS, 0, 0, &window(10)).unwrap();
    assert_eq!(client.log.begun[0].window(), 10);
    client.send(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 5]).unwrap();
    client.send(kind::SETTINGS, 0, 0, &window(0)).unwrap();
    assert_eq!(client.log.begun[0].window(), 5);
    client.send(kind::SETTINGS, 0, 0, &window(0x7fff_fff0)).unwrap();
    client.send(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 10]).unwrap();
    assert_eq!(client.said().len(), 3, "each is acknowledged");
    client.send(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]).unwrap();
    assert_eq!(client.said(), [reset(1, Reason::FLOW_CONTROL_ERROR)]);
}

#[test]
fn a_body_has_a_window() {
    let mut client = Client::new();
    client.send(kind::HEADERS, flag::END_HEADERS, 1, &request()).unwrap();
    for _ in 0..3 {
        client.send(kind::DATA, 0, 1, &[0; FRAME_SIZE]).unwrap();
    }
    client.send(kind::DATA, 0, 1, &[0; FRAME_SIZE - 1]).unwrap();
    assert_eq!(client.said(), []);
    client.send(kind::DATA, 0, 1, &[0]).unwrap();
    assert_eq!(client.said(), [reset(1, Reason::FLOW_CONTROL_ERROR)]);
}

#[test]
fn heads_in_pieces_and_with_padding() {
    let mut client = Client::new();
    let (one, other) = (&request()[..3], &request()[3..]);
    let padded = [&[2, 0, 0, 0, 0, 7][..], one, &[0, 0]].concat();
    client.send(kind::HEADERS, flag::PADDED | flag::PRIORITY | flag::END_STREAM, 1, &padded).unwrap();
    client.send(kind::CONTINUATION, 0, 1, other).unwrap();
    assert!(client.log.begun.is_empty());
    client.send(kind::CONTINUATION, flag::END_HEADERS, 1, &[]).unwrap();
    assert!(client.log.begun[0].has_come());
    client.send(kind::HEADERS, flag::END_STREAM, 3, one).unwrap();
    assert_eq!(client.send(kind::PING, 0, 0, &[0; 8]), Err(End::Error(Reason::PROTOCOL_ERROR)));
}

#[test]
fn the_ping_behind_goaway() {
    let mut client = Client::new();
    client.send(kind::PING, flag::ACK, 0, &[1; 8]).unwrap();
    assert!(!client.log.knows);
    client.send(kind::PING, flag::ACK, 0, &KNOWS).unwrap();
    assert!(client.log.knows);
    client.send(kind::PING, 0, 0, &[1; 8]).unwrap();
    assert_eq!(client.said(), [(kind::PING, 0, vec![1; 8])]);
}

proptest! {
    /// Whatever comes: nothing panics, and no more streams are open than may be.
    #[test]
    fn any_frames(
        frames in prop::collection::vec((0..11u8, any::<u8>(), 0..9u32, prop::collection::vec(any::<u8>(), 0..40)), 0..60),
    ) {
        let mut client = Client::new();
        for (kind, flags, stream, mut payload) in frames {
            if kind == kind::HEADERS && payload.len() % 2 == 0 {
                payload = request();
            }
            if client.send(kind, flags, stream, &payload).is_err() {
                break;
            }
            prop_assert!(client.session.state().open().len() <= 3);
        }
    }
}
