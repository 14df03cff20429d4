//! Everything at once: bodies of all sizes and framings, in pieces of all sizes, over kept connections.
//! What arrives must be what was sent.

use std::io;
use std::thread;
use std::time::UNIX_EPOCH;

use shunt_tests::origin::{Call, Origin};
use shunt_tests::raw::{Client, Message};
use shunt_tests::site::Site;

/// Numbers that look random and are the same for a seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % most
    }

    /// Mostly small, now and then larger than any buffer on the way.
    fn size(&mut self) -> usize {
        match self.below(8) {
            0 => 0,
            1..=4 => self.below(2_000),
            5 | 6 => self.below(100_000),
            _ => self.below(1_000_000),
        }
    }

    fn body(&mut self) -> Vec<u8> {
        let (size, first) = (self.size(), self.below(256));
        (first..first + size).map(|it| u8::try_from(it * 7 % 256).unwrap()).collect()
    }

    /// The body as it goes over the wire, with the field that says how.
    fn framed(&mut self, body: &[u8]) -> (String, Vec<u8>) {
        if self.below(2) == 0 {
            return (format!("Content-Length: {}", body.len()), body.to_vec());
        }
        let mut framed = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at((1 + self.below(40_000)).min(rest.len()));
            framed.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            framed.extend([chunk, b"\r\n"].concat());
            rest = after;
        }
        framed.extend(b"0\r\n\r\n");
        ("Transfer-Encoding: chunked".to_owned(), framed)
    }

    /// Sends in pieces, each a write of its own.
    fn pieces(&mut self, bytes: &[u8], mut send: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let most = if self.below(4) == 0 { 100 } else { 100_000 };
            let (piece, after) = rest.split_at((1 + self.below(most)).min(rest.len()));
            send(piece)?;
            rest = after;
        }
        Ok(())
    }
}

/// Answers with the body that came, or with its length where the client wants that.
fn echo(call: &mut Call, dice: &mut Dice) -> io::Result<()> {
    loop {
        let request = call.wire().try_request()?;
        let end = dice.below(30) == 0;
        let close = if end { "Connection: close\r\n" } else { "" };
        let (framing, body) = dice.framed(&request.body);
        let head =
            format!("HTTP/1.1 200 OK\r\n{close}X-Of: {}\r\n{framing}\r\n\r\n", request.get("x-of").unwrap());
        dice.pieces(&[head.as_bytes(), &body].concat(), |piece| call.send(piece))?;
        if end {
            return Ok(());
        }
    }
}

fn play(mut client: Client, seed: u64, requests: usize) {
    let mut dice = Dice(seed);
    let mut number = 0;
    while number < requests {
        // Some of them pipelined.
        let bodies: Vec<_> = (0..1 + dice.below(3)).map(|_| dice.body()).collect();
        let mut bytes = Vec::new();
        for (at, body) in bodies.iter().enumerate() {
            let (framing, body) = dice.framed(body);
            let method = ["GET", "PUT", "DELETE", "POST"][dice.below(4)];
            bytes.extend(
                format!("{method} / HTTP/1.1\r\nHost: h\r\nX-Of: {}\r\n{framing}\r\n\r\n", number + at)
                    .bytes(),
            );
            bytes.extend(body);
        }
        let mut twin = client.twin();
        let mut other = Dice(seed ^ 0xABCD_EF01 ^ number as u64);
        let sender = thread::spawn(move || other.pieces(&bytes, |piece| twin.try_send(piece)));
        for body in bodies {
            let Message { head, body: got, .. } =
                client.try_answer().unwrap_or_else(|error| panic!("{number}: {error}"));
            assert_eq!((head.status(), head.get("x-of")), (200, Some(number.to_string().as_str())));
            assert!(got == body, "{number}: {} bytes of {}", got.len(), body.len());
            number += 1;
        }
        sender.join().unwrap().unwrap();
    }
}

#[test]
fn what_arrives_is_what_was_sent() {
    let seed = u64::from(UNIX_EPOCH.elapsed().unwrap().subsec_nanos()) | 1;
    println!("seed {seed}");
    let origin =
        Origin::start(move |call| echo(call, &mut Dice(seed.wrapping_add(call.number() as u64) | 1)));
    let site = Site::of(&[&origin]);
    let clients: Vec<_> = (1..=8)
        .map(|number| {
            let client = site.client();
            thread::spawn(move || play(client, seed.wrapping_mul(number) | 1, 60))
        })
        .collect();
    let failed = clients.into_iter().map(thread::JoinHandle::join).filter(Result::is_err).count();
    assert_eq!(failed, 0, "seed {seed}");
    assert_eq!(site.daemon.status()["virtuals"][0]["errors"], 0, "seed {seed}");
}
