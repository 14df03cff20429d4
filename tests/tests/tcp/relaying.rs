//! From the first byte to the end.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use shunt_tests::daemon::{Signal, until};
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use socket2::SockRef;

use crate::{between, config, echo, of_member, of_virtual};

#[test]
fn the_end_of_one_side_is_passed_on_and_the_other_goes_on() {
    let origin = echo("hello");
    let site = between("", "", &[origin.address()]);
    let mut client = site.client();
    // Neither side waits for the other to begin.
    assert_eq!(client.exact(5), b"hello");
    client.send("said");
    client.end();
    assert_eq!(client.exact(4), b"said");
    assert!(client.ended());
    until("it to be counted", || of_virtual(&site, "open") == 0);
    assert_eq!((of_virtual(&site, "connections"), of_virtual(&site, "requests")), (1, 0));
    assert_eq!((of_member(&site, 0, "connects"), of_member(&site, 0, "active")), (1, 0));
    assert_eq!((of_member(&site, 0, "bytes-to-server"), of_member(&site, 0, "bytes-to-client")), (4, 9));
    assert_eq!(site.daemon.status()["virtuals"][0]["protocol"], "tcp");
}

#[test]
fn the_member_may_end_first() {
    let origin = Origin::start(|call| {
        call.send("bye")?;
        call.end()?;
        let rest = call.wire().try_rest()?;
        call.mark(String::from_utf8_lossy(&rest));
        Ok(())
    });
    let site = between("", "", &[origin.address()]);
    let mut client = site.client();
    assert_eq!(client.exact(3), b"bye");
    assert!(client.ended());
    client.send("late");
    client.end();
    origin.wait_mark("late");
}

#[test]
fn long_transfers_come_over_whole_both_ways_at_once() {
    const SIZE: usize = 24 << 20;
    let byte = |at: usize| (at * 31 + at / 4096) as u8;
    let piece = move |from: usize| (from..(from + (64 << 10)).min(SIZE)).map(byte).collect::<Vec<_>>();
    let run = move |stream: &std::net::TcpStream| {
        let mut writing = stream.try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            (0..SIZE).step_by(64 << 10).for_each(|from| writing.write_all(&piece(from)).unwrap());
            writing.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let (mut reading, mut buffer, mut at) = (stream, vec![0; 50_000], 0);
        loop {
            let count = reading.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            assert!(buffer[..count].iter().enumerate().all(|(i, it)| *it == byte(at + i)), "at {at}");
            at += count;
        }
        writer.join().unwrap();
        at
    };
    let origin = Origin::start(move |call| {
        let read = run(call.stream());
        call.mark(read.to_string());
        Ok(())
    });
    let site = between("", "", &[origin.address()]);
    let client = site.client();
    assert_eq!(run(client.stream()), SIZE);
    origin.wait_mark(&SIZE.to_string());
    until("the counts", || {
        of_member(&site, 0, "bytes-to-server") == SIZE as u64
            && of_member(&site, 0, "bytes-to-client") == SIZE as u64
    });
}

#[test]
fn a_client_that_reads_nothing_holds_its_member_back() {
    let origin = Origin::start(|call| {
        call.stream().set_nonblocking(true)?;
        let mut sent = 0_u64;
        // What the kernel takes of both connections, and Shunt between them, is bounded.
        let mut full = 0;
        while full < 20 {
            let mut stream = call.stream();
            match stream.write(&[7; 64 << 10]) {
                Ok(count) => (sent, full) = (sent + count as u64, 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    full += 1;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(error),
            }
        }
        call.mark(sent.to_string());
        call.stream().set_nonblocking(false)?;
        call.end()
    });
    let site = between("", "", &[origin.address()]);
    let mut client = site.client();
    until("the member to be held back", || !origin.marks().is_empty());
    let sent: usize = origin.marks()[0].parse().unwrap();
    let whole = client.exact(sent);
    assert!(whole.iter().all(|it| *it == 7));
    assert!(client.ended());
}

#[test]
fn a_reset_of_either_side_resets_the_other() {
    let origin = Origin::start(|call| {
        call.send("hello")?;
        call.await_mark("reset")?;
        SockRef::from(call.stream()).set_linger(Some(Duration::ZERO))
    });
    let site = between("", "", &[origin.address()]);
    let mut client = site.client();
    assert_eq!(client.exact(5), b"hello");
    origin.tell("reset");
    assert_eq!(client.try_exact(1).unwrap_err().kind(), ErrorKind::ConnectionReset);

    let origin = Origin::start(|call| {
        call.send("hello")?;
        let error = call.wire().try_exact(1).unwrap_err();
        call.mark(format!("{:?}", error.kind()));
        Ok(())
    });
    let site = between("", "", &[origin.address()]);
    let mut client = site.client();
    assert_eq!(client.exact(5), b"hello");
    SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    origin.wait_mark("ConnectionReset");
}

#[test]
fn silence_ends_it_and_is_counted() {
    let origin = echo("hello");
    let site = between("timeouts = { idle = \"50ms\" }", "", &[origin.address()]);
    let mut client = site.client();
    assert_eq!(client.exact(5), b"hello");
    assert_eq!(client.try_exact(1).unwrap_err().kind(), ErrorKind::ConnectionReset);
    until("it to be counted", || of_virtual(&site, "relays-idle") == 1);
}

#[test]
fn a_connection_outlives_its_virtual() {
    let origin = echo("hello");
    let site = between("", "", &[origin.address()]);
    let mut client = site.client();
    assert_eq!(client.exact(5), b"hello");
    let elsewhere = shunt_tests::address::free();
    site.daemon.reload(&config(elsewhere, "", "", &[origin.address()]));
    assert!(Client::try_connect(site.address).is_err());
    client.send("said");
    client.end();
    assert_eq!(client.exact(4), b"said");
    assert!(client.ended());
}

#[test]
fn a_process_that_is_to_end_waits_for_its_connections() {
    let origin = echo("hello");
    let mut site = between("", "", &[origin.address()]);
    let mut client = site.client();
    assert_eq!(client.exact(5), b"hello");
    site.daemon.signal(Signal::SIGTERM);
    site.daemon.wait_log("draining");
    until("the listener to close", || Client::try_connect(site.address).is_err());
    client.send("said");
    client.end();
    assert_eq!(client.exact(4), b"said");
    assert!(client.ended());
    assert!(site.daemon.wait().success());
}

#[test]
fn a_reload_may_change_the_protocol() {
    let origin = echo("hello");
    let site = between("", "", &[origin.address()]);
    let mut client = site.client();
    assert_eq!(client.exact(5), b"hello");
    let http = config(site.address, "", "", &[origin.address()]).replace("\"tcp\"", "\"http\"");
    site.daemon.reload(&http);
    // What the member says is no HTTP.
    assert_eq!(site.client().get("/").status(), 502);
    client.end();
    assert!(client.ended());
}
