//! Bodies on their way: as they come, both ways at once, and never more of them than a few buffers.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use shunt_tests::origin::Origin;
use shunt_tests::site::Site;

/// What goes through, and what the daemon may hold of it at most.
const SIZE: usize = 128 << 20;
const HELD: u64 = 16 << 20;
const BLOCK: usize = 1 << 16;

/// The block of a body at this place; no two are alike.
fn block(number: usize) -> Vec<u8> {
    let mut block = vec![b'-'; BLOCK];
    block[..8].copy_from_slice(&number.to_be_bytes());
    block
}

/// Sends the whole body, and says so when it cannot continue for a while: the way is full.
fn pour(mut stream: &TcpStream, chunked: bool, full: impl Fn()) {
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    for number in 0..SIZE / BLOCK {
        let block = block(number);
        let framed = if chunked { [b"10000\r\n", &block[..], b"\r\n"].concat() } else { block };
        let mut rest = &framed[..];
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => full(),
                Err(error) => panic!("the way broke: {error}"),
            }
        }
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").unwrap();
    }
}

fn framing(chunked: bool) -> String {
    if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {SIZE}") }
}

#[test]
fn a_large_answer_for_a_slow_client() {
    for chunked in [false, true] {
        let origin = Origin::start(move |call| {
            call.request()?;
            call.send(format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", framing(chunked)))?;
            pour(call.stream(), chunked, || call.mark("full"));
            call.mark("whole");
            call.until_end();
            Ok(())
        });
        let site = Site::of(&[&origin]);
        let before = site.resident();
        let mut client = site.client();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer_head().status(), 200);
        origin.wait_mark("full");
        assert!(!origin.marks().contains(&"whole".to_owned()), "someone holds all of it");
        let mut most = site.resident();
        let mut held = Vec::new();
        for number in 0..SIZE / BLOCK {
            while held.len() < BLOCK {
                held.extend(if chunked { client.try_chunk().unwrap() } else { client.exact(BLOCK) });
            }
            let rest = held.split_off(BLOCK);
            assert!(held == block(number), "block {number}");
            held = rest;
            if number % 64 == 0 {
                most = most.max(site.resident());
            }
        }
        if chunked {
            assert!(client.try_chunk().unwrap().is_empty());
        }
        assert!(most - before < HELD, "chunked {chunked}: {} MiB more", (most - before) >> 20);
    }
}

#[test]
fn a_large_request_for_a_slow_member() {
    for chunked in [false, true] {
        let origin = Origin::start(move |call| {
            let head = call.head()?;
            call.await_mark("read")?;
            let wire = call.wire();
            let mut held = Vec::new();
            for number in 0..SIZE / BLOCK {
                while held.len() < BLOCK {
                    held.extend(if chunked { wire.try_chunk()? } else { wire.try_exact(BLOCK)? });
                }
                let rest = held.split_off(BLOCK);
                assert!(held == block(number), "block {number}");
                held = rest;
            }
            assert!(head.has(if chunked { "transfer-encoding" } else { "content-length" }));
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole")
        });
        let site = Site::of(&[&origin]);
        let before = site.resident();
        let mut client = site.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{}\r\n\r\n", framing(chunked)));
        let twin = client.twin();
        let full = Arc::new(AtomicBool::new(false));
        let sender = thread::spawn({
            let full = Arc::clone(&full);
            move || pour(twin.stream(), chunked, || full.store(true, SeqCst))
        });
        shunt_tests::daemon::until("the way is full", || full.load(SeqCst));
        assert!(!sender.is_finished(), "someone holds all of it");
        let most = site.resident();
        origin.tell("read");
        sender.join().unwrap();
        assert_eq!(client.answer().text(), "whole");
        let most = most.max(site.resident());
        assert!(most - before < HELD, "chunked {chunked}: {} MiB more", (most - before) >> 20);
    }
}

/// The answer is large and early, and the client reads nothing of it before all of its own is out. The
/// member takes what comes meanwhile; nobody waits for the other.
#[test]
fn a_request_goes_on_while_nobody_reads_the_answer() {
    const ANSWER: usize = 32 << 20;
    let origin = Origin::start(|call| {
        call.head()?;
        let mut answering = call.stream().try_clone()?;
        let answer = thread::spawn(move || {
            answering.set_write_timeout(None)?;
            answering.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {ANSWER}\r\n\r\n").as_bytes())?;
            answering.write_all(&vec![b'a'; ANSWER])
        });
        for _ in 0..SIZE / BLOCK {
            call.wire().try_exact(BLOCK)?;
        }
        call.mark("whole");
        answer.join().expect("a thread that ends")
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{}\r\n\r\n", framing(false)));
    pour(client.stream(), false, || {});
    origin.wait_mark("whole");
    let answer = client.answer();
    assert!(answer.body == vec![b'a'; ANSWER]);
}

/// Each piece arrives before the next is sent: nobody waits for more.
#[test]
fn pieces_go_through_as_they_come() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for number in 0..20 {
            call.send(format!("9\r\nevent {number:>3}\r\n"))?;
            call.await_mark(&format!("seen {number}"))?;
        }
        call.send("0\r\n\r\n")
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer_head().get("transfer-encoding"), Some("chunked"));
    for number in 0..20 {
        assert_eq!(client.try_chunk().unwrap(), format!("event {number:>3}").as_bytes());
        origin.tell(&format!("seen {number}"));
    }
    assert!(client.try_chunk().unwrap().is_empty());
}

/// The answer begins before the request has ended, and both continue together.
#[test]
fn both_directions_flow_at_once() {
    let origin = Origin::start(|call| {
        call.head()?;
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            let chunk = call.wire().try_chunk()?;
            call.send(format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(&chunk)))?;
            if chunk.is_empty() {
                return Ok(());
            }
        }
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    assert_eq!(client.answer_head().status(), 200);
    assert_eq!(client.try_chunk().unwrap(), b"hi");
    for number in 0..20 {
        let word = format!("word {number:>3}");
        client.send(format!("8\r\n{word}\r\n"));
        assert_eq!(client.try_chunk().unwrap(), word.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert!(client.try_chunk().unwrap().is_empty());
}
