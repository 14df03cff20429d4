//! The crate `h2`, whose HPACK is not ours, reads what is written here, and what it writes is read.

use std::collections::BTreeMap;

use http::{HeaderMap, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::http::frames::{FrameHeader, HEADER, kind};

const REQUESTS: usize = 60;

/// Fields that come again, some that change, and some that grow.
fn fields_of(number: usize) -> Vec<(&'static str, String)> {
    vec![
        ("user-agent", "tests/1.0 (of this crate)".into()),
        ("cookie", format!("id={}", number % 7)),
        ("x-number", number.to_string()),
        ("accept", "*/*".into()),
        ("x-large", "é~\"\\".repeat(number % 5 * 40)),
        ("date", format!("Mon, 21 Oct 2013 20:13:{:02} GMT", number / 10)),
        ("content-length", (number * 1000).to_string()),
    ]
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// The field blocks that come, by their streams.
async fn blocks(server: &mut DuplexStream) -> BTreeMap<u32, Vec<u8>> {
    let (mut held, mut blocks) = (Vec::new(), BTreeMap::new());
    let mut at = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
    while blocks.len() < REQUESTS {
        server.read_buf(&mut held).await.unwrap();
        while let Some(header) = held.get(at..).and_then(|rest| rest.first_chunk::<HEADER>()) {
            let header = FrameHeader::read(header);
            let Some(payload) = held.get(at + HEADER..at + HEADER + header.length) else { break };
            at += HEADER + header.length;
            if header.kind == kind::HEADERS {
                blocks.insert(header.stream, payload.to_vec());
            }
        }
    }
    blocks
}

#[tokio::test]
async fn the_crate_and_this_read_each_other() {
    let (client, mut server) = duplex(1 << 20);
    server.write_all(&frame(kind::SETTINGS, 0, 0, &[])).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(client).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut answers = Vec::new();
    for number in 0..REQUESTS {
        let mut request = Request::get(format!("https://h/{}", number / 3));
        for (name, value) in fields_of(number) {
            request = request.header(name, value.as_bytes());
        }
        sender = sender.ready().await.unwrap();
        answers.push(sender.send_request(request.body(()).unwrap(), true).unwrap().0);
    }
    let (mut decoder, mut encoder) = (Decoder::new(), Encoder::new());
    for (number, (stream, block)) in blocks(&mut server).await.into_iter().enumerate() {
        let mut read = Vec::new();
        let taken = decoder.decode(&block, MOST, &mut Scratch::default(), |name, value, _| {
            read.push((name.as_bytes().to_vec(), value.to_vec()));
        });
        assert_eq!(taken, Ok(()));
        for (name, value) in fields_of(number) {
            assert!(read.contains(&(name.as_bytes().to_vec(), value.into_bytes())), "{name} of {read:?}");
        }
        let mut out = Vec::new();
        encoder.begin(&mut out);
        encoder.status(200, &mut out);
        for (name, value) in fields_of(number) {
            encoder.field(name.as_bytes(), value.as_bytes(), false, &mut out);
        }
        // END_STREAM is left out: the length says that there is more.
        server.write_all(&frame(kind::HEADERS, 4, stream, &out)).await.unwrap();
    }
    for (number, answer) in answers.into_iter().enumerate() {
        let answer = answer.await.unwrap();
        let expected: HeaderMap = fields_of(number)
            .into_iter()
            .map(|(name, value)| {
                (name.parse().unwrap(), http::HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect();
        assert_eq!(answer.headers(), &expected);
    }
    connection.abort();
}
