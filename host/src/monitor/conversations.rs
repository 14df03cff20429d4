//! What probes that converse say to a server, and what they make of its words.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use shunt_config::monitors::{Expected, Origin, Probe as Does, Protocol, Script, Service, Step};

use super::probe::Probe;

/// What a server says, each once it got what stands before it; a part of it is enough.
type Words = &'static [(&'static [u8], &'static [u8])];

/// A server that takes one connection; all that it got comes once the other side has closed.
fn server(words: Words) -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::Builder::new()
        .spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = Vec::new();
            let mut from = 0;
            let mut buffer = [0; 1024];
            for (awaited, said) in words {
                while !awaited.is_empty() && !got[from..].windows(awaited.len()).any(|it| it == *awaited) {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(length) => got.extend_from_slice(&buffer[..length]),
                    }
                }
                from = got.len();
                let _ = stream.write_all(said);
            }
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut got);
            let _ = tell.send(got);
        })
        .unwrap();
    (address, told)
}

/// What a probe finds, and what it said.
async fn asked(does: Does, words: Words) -> (String, Vec<u8>) {
    let (address, got) = server(words);
    let timeout = Duration::from_secs(5);
    let probe = Probe {
        address,
        does,
        timeout,
        proxy_protocol: None,
        tls: None,
        origin: Origin::default(),
        judge: None,
    };
    let found = match probe.run().await {
        Ok(good) => format!("good: {good}"),
        Err(failure) => failure.to_string(),
    };
    (found, got.recv_timeout(timeout).unwrap())
}

fn service(protocol: Protocol) -> Does {
    let user = matches!(protocol, Protocol::MySql | Protocol::PostgreSql).then(|| "shunt".to_owned());
    Does::Service(Service { protocol, user })
}

#[tokio::test]
async fn protocols_of_lines_wait_for_the_greeting_and_say_goodbye() {
    let table: [(Protocol, Words, &str, &[u8]); 10] = [
        (
            Protocol::Smtp,
            &[(b"", b"220-mx.example\r\n220 ready\r\n"), (b"QUIT", b"221 bye\r\n")],
            "good: 220-mx.example",
            b"QUIT\r\n",
        ),
        (
            Protocol::Smtp,
            &[(b"", b"421 too many\r\n"), (b"QUIT", b"221 bye\r\n")],
            "the greeting is \"421 too many\", expected 220",
            b"QUIT\r\n",
        ),
        (Protocol::Smtp, &[(b"", b"")], "closed before the greeting", b""),
        (
            Protocol::Ftp,
            &[(b"", b"220-a\r\n free text\r\n220 b\r\n"), (b"QUIT", b"221\r\n")],
            "good: 220-a",
            b"QUIT\r\n",
        ),
        (Protocol::Pop3, &[(b"", b"+OK ready\r\n"), (b"QUIT", b"+OK\r\n")], "good: +OK ready", b"QUIT\r\n"),
        (Protocol::Pop3, &[(b"", b"-ERR busy\r\n")], "the greeting is \"-ERR busy\", expected +OK", b""),
        (
            Protocol::Imap,
            &[(b"", b"* OK ready\r\n"), (b"LOGOUT", b"* BYE\r\na1 OK\r\n")],
            "good: * OK ready",
            b"a1 LOGOUT\r\n",
        ),
        (Protocol::Imap, &[(b"", b"* BYE full\r\n")], "the greeting is \"* BYE full\", expected * OK", b""),
        (
            Protocol::Redis,
            &[(b"PING", b"+PONG\r\n"), (b"QUIT", b"+OK\r\n")],
            "good: +PONG",
            b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n",
        ),
        (
            Protocol::Redis,
            &[(b"PING", b"-LOADING data\r\n")],
            "the answer to PING is \"-LOADING data\", expected +PONG",
            b"*1\r\n$4\r\nPING\r\n",
        ),
    ];
    for (protocol, words, expected, said) in table {
        let (found, got) = asked(service(protocol), words).await;
        assert_eq!(found, expected);
        assert_eq!(got, said, "{expected}");
    }
}

#[tokio::test]
async fn databases_are_logged_in_to_and_left() {
    const GREETING: &[u8] = b"\x0b\0\0\0\x0a10.11.19\0\0";
    let (found, got) =
        asked(service(Protocol::MySql), &[(b"", GREETING), (b"shunt\0", b"\x07\0\0\x02\0\0\0\x02\0\0\0")])
            .await;
    assert_eq!(found, "good: 10.11.19");
    assert_eq!(got[3], 1, "the login is numbered after the greeting");
    assert!(got.ends_with(b"\x01\0\0\0\x01"), "COM_QUIT: {got:?}");
    const BLOCKED: &[u8] = b"\x12\0\0\0\xff\x69\x04Host is blocked";
    let (found, got) = asked(service(Protocol::MySql), &[(b"", BLOCKED)]).await;
    assert_eq!((found.as_str(), got.as_slice()), ("refused: Host is blocked", &b""[..]));
    // Another way to log in is asked for.
    let words: Words = &[
        (b"", b"\x02\0\0\0\x0a\0"),
        (b"shunt\0", b"\x02\0\0\x02\xfe\0"),
        (b"\0\0\0\x03", b"\x01\0\0\x04\0"),
    ];
    assert_eq!(asked(service(Protocol::MySql), words).await.0, "good: ");

    const OK: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x08a\0b\0Z\0\0\0\x05I";
    let (found, got) = asked(service(Protocol::PostgreSql), &[(b"shunt\0", OK)]).await;
    assert_eq!(found, "good: ready for query");
    assert!(got.ends_with(b"X\0\0\0\x04"), "Terminate: {got:?}");
    let words: Words = &[(b"shunt\0", b"R\0\0\0\x0c\0\0\0\x05salt")];
    assert_eq!(asked(service(Protocol::PostgreSql), words).await.0, "good: asks for a password");
    let words: Words = &[(b"shunt\0", b"E\0\0\0\x14SFATAL\0Mstarting\0\0")];
    assert_eq!(asked(service(Protocol::PostgreSql), words).await.0, "refused: starting");
    let words: Words = &[(b"shunt\0", b"HTTP/1.1 400 Bad Request\r\n\r\n")];
    assert_eq!(
        asked(service(Protocol::PostgreSql), words).await.0,
        "the answer to the startup message is longer than 64 KiB"
    );
}

#[tokio::test]
async fn a_directory_is_bound_to_and_left() {
    let (found, got) =
        asked(service(Protocol::Ldap), &[(b"\x60", b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0")])
            .await;
    assert_eq!(found, "good: bind result 0");
    assert!(got.ends_with(b"\x30\x05\x02\x01\x02\x42\0"), "{got:?}");
    // Of Active Directory, whose lengths have four octets.
    let words: Words =
        &[(b"\x60", b"\x30\x84\0\0\0\x10\x02\x01\x01\x61\x84\0\0\0\x07\x0a\x01\x34\x04\0\x04\0")];
    assert_eq!(asked(service(Protocol::Ldap), words).await.0, "refused: bind result 52");
    assert_eq!(
        asked(service(Protocol::Ldap), &[(b"\x60", b"220 hello\r\n")]).await.0,
        "the answer to the bind is not of LDAP"
    );
}

fn step(send: Option<&str>, expect: Option<&str>, timeout: Option<u64>) -> Step {
    Step {
        send: send.map(str::to_owned),
        expect: expect.map(|text| Expected::Text(text.to_owned())),
        timeout: timeout.map(Duration::from_millis),
    }
}

#[tokio::test]
async fn a_script_goes_step_by_step() {
    let script = || {
        Does::Script(Script {
            steps: vec![
                step(None, Some("ready"), None),
                step(Some("STAT\r\n"), Some("all well"), Some(300)),
                step(Some("QUIT\r\n"), None, None),
            ],
        })
    };
    let (found, got) =
        asked(script(), &[(b"", b"not yet\nready\n"), (b"STAT", b"all "), (b"", b"well\r\n")]).await;
    assert_eq!(
        (found.as_str(), got.as_slice()),
        ("good: 3 steps, last got \"all well\"", &b"STAT\r\nQUIT\r\n"[..])
    );
    let (found, _) = asked(script(), &[(b"", b"ready\n"), (b"STAT", b"disk full\n"), (b"never", b"")]).await;
    assert_eq!(found, "step 2: got \"disk full\" within 300ms, expected \"all well\"");
    let (found, _) = asked(script(), &[(b"", b"ready\n"), (b"STAT", b"")]).await;
    assert_eq!(found, "step 2: closed before what the step expects");
}

#[tokio::test]
async fn a_flood_is_not_read_to_its_end() {
    let flood: &'static [u8] = vec![b'x'; 1 << 20].leak();
    let words: Words = vec![(&b""[..], flood)].leak();
    let (found, _) = asked(service(Protocol::Smtp), words).await;
    assert_eq!(found, "the greeting is longer than 64 KiB");
}

/// A server that is slow to close has greeted all the same.
#[tokio::test]
async fn a_farewell_that_is_not_answered_fails_no_probe() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::Builder::new()
        .spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"220 ready\r\n").unwrap();
            // Until the probe gives up.
            let _ = stream.read_to_end(&mut Vec::new());
        })
        .unwrap();
    let (does, timeout) = (service(Protocol::Smtp), Duration::from_millis(200));
    let probe = Probe {
        address,
        does,
        timeout,
        proxy_protocol: None,
        tls: None,
        origin: Origin::default(),
        judge: None,
    };
    assert_eq!(probe.run().await.map_err(|failure| failure.to_string()), Ok("220 ready".into()));
}
