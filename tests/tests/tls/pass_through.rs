//! TLS between client and member, which Shunt passes through.

use std::net::SocketAddr;
use std::time::Duration;

use shunt_tests::daemon::{Folder, until};
use shunt_tests::origin::Origin;
use shunt_tests::site::{self, Site};
use shunt_tests::{address, packs};

use crate::hello::{Hello, alert, in_records};
use crate::members::{nginx, pki};
use crate::pki::{curl, s_client};

const KEYS: &str = "tls = { pass-through = true }";

fn count(site: &Site, name: &str) -> u64 {
    let status = site.daemon.status();
    status["virtuals"][0][name].as_u64().unwrap_or_else(|| panic!("{name} in {status}"))
}

/// Takes so many bytes, answers, and ends when the client has.
fn taking(expected: Vec<u8>) -> Origin {
    Origin::start(move |call| {
        let came = call.wire().try_exact(expected.len())?;
        call.mark(if came == expected { "as sent" } else { "changed" });
        call.send("seen")?;
        let rest = call.wire().try_rest()?;
        call.mark(String::from_utf8_lossy(&rest));
        call.send("the end")?;
        call.end()
    })
}

#[test]
fn clients_get_the_certificate_of_the_member() {
    let pki = pki();
    let Some(server) = nginx(&pki, "", address::free()) else { return };
    let site = Site::members(KEYS, &[server.address]);
    let text = curl(&pki, site.address, &[]).good();
    assert!(text.starts_with("a.example . "), "{text}");
    let said = s_client(&pki, site.address, "-servername b.example -brief");
    assert!(
        said.contains("Peer certificate: CN = server") || said.contains("Peer certificate: CN=server"),
        "{said}"
    );
    assert_eq!((count(&site, "passed-through"), count(&site, "handshakes-failed")), (2, 0));
    assert_eq!(count(&site, "requests"), 0);
    until("connections to end", || count(&site, "open") == 0);
}

#[test]
fn a_hello_arrives_as_it_was_sent_however_it_is_cut() {
    let small = Hello { name: Some("a.example"), protocols: &["h2"], ..Hello::default() };
    let large = Hello { name: Some("a.example"), padding: 1800, ..Hello::default() };
    let largest = Hello { padding: 60_000, ..Hello::default() };
    let table = [
        (small.record(), 1),
        (Hello::default().record(), 1 << 20),
        (in_records(&small.message(), 1), 7),
        (in_records(&large.message(), 100), 1 << 20),
        (large.record(), 1460),
        (largest.record(), 1 << 20),
    ];
    for (hello, segment) in table {
        let origin = taking(hello.clone());
        let site = Site::with(KEYS, &[&origin]);
        let mut client = site.client();
        for piece in hello.chunks(segment) {
            client.send(piece);
        }
        assert_eq!(client.exact(4), b"seen");
        client.send("more");
        client.end();
        assert_eq!(client.exact(7), b"the end");
        assert!(client.ended());
        assert_eq!(origin.marks(), ["as sent", "more"], "{} bytes by {segment}", hello.len());
        until("the member's counts", || {
            let member = &site.daemon.status()["pools"][0]["members"][0];
            member["bytes-to-server"] == hello.len() + 4 && member["bytes-to-client"] == 11
        });
    }
}

#[test]
fn what_is_no_hello_reaches_no_member() {
    let origin = taking(vec![0; 8]);
    let site = Site::with(KEYS, &[&origin]);
    let too_long = Hello { padding: 65_000, ..Hello::default() };
    let too_long = [&[1, 1, 0, 0][..], &too_long.message()[4..]].concat();
    let not_a_name = Hello { name: Some("a b"), ..Hello::default() };
    let table = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes().to_vec(), &[][..]),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), &[]),
        (vec![22, 3, 1, 0, 4, 2, 0, 0, 0], &alert(10)),
        (vec![22, 3, 1, 0, 0], &alert(50)),
        // Its header says so.
        (in_records(&too_long, 1 << 14)[..1000].to_vec(), &alert(50)),
        (not_a_name.record(), &alert(50)),
        (Hello::default().record()[..20].to_vec(), &[]),
    ];
    let cases = table.len();
    for (sent, told) in table {
        let mut client = site.client();
        client.send(&sent);
        client.end();
        assert_eq!(client.exact(told.len()), told, "{:?}", &sent[..sent.len().min(20)]);
        assert!(client.ended());
    }
    until("failed handshakes", || count(&site, "handshakes-failed") == cases as u64);
    assert_eq!(origin.accepts(), 0);
}

#[test]
fn a_client_that_says_nothing_does_not_stay() {
    let origin = taking(vec![0; 8]);
    let site = Site::with(&format!("{KEYS}\ntimeouts = {{ head = \"50ms\" }}"), &[&origin]);
    let mut client = site.client();
    client.send([22, 3]);
    assert!(client.ended());
    assert_eq!((origin.accepts(), count(&site, "handshakes-failed")), (0, 1));
}

#[test]
fn another_member_is_tried_and_without_one_the_client_is_told() {
    let hello = Hello::default().record();
    let (away, origin) = (address::free(), taking(hello.clone()));
    let site = Site::members(KEYS, &[away, origin.address()]);
    for _ in 0..2 {
        let mut client = site.client();
        client.send(&hello);
        assert_eq!(client.exact(4), b"seen");
    }
    let none: [SocketAddr; 1] = [away];
    let site = Site::members(KEYS, &none);
    let mut client = site.client();
    client.send(&hello);
    assert_eq!(client.exact(7), alert(80));
    assert!(client.ended());
    assert_eq!((count(&site, "errors"), count(&site, "passed-through")), (1, 0));
}

#[test]
fn a_stream_that_is_cut_does_not_look_ended() {
    let hello = Hello::default().record();
    let length = hello.len();
    let origin = Origin::start(move |call| {
        call.wire().try_exact(length)?;
        call.send("seen")?;
        call.await_mark("reset")?;
        socket2::SockRef::from(call.stream()).set_linger(Some(Duration::ZERO))
    });
    let site = Site::with(KEYS, &[&origin]);
    let mut client = site.client();
    client.send(&hello);
    assert_eq!(client.exact(4), b"seen");
    origin.tell("reset");
    let error = client.try_exact(1).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn persistence_by_source_holds() {
    let hello = Hello::default().record();
    let origins = [taking(hello.clone()), taking(hello.clone())];
    let keys = format!("{KEYS}\npersistence = {{ source = true }}");
    let site = Site::with(&keys, &[&origins[0], &origins[1]]);
    for _ in 0..4 {
        let mut client = site.client();
        client.send(&hello);
        assert_eq!(client.exact(4), b"seen");
    }
    let mut accepts = origins.each_ref().map(Origin::accepts);
    accepts.sort_unstable();
    assert_eq!(accepts, [0, 4]);
}

#[test]
fn a_client_whose_member_is_down_is_refused_or_waits() {
    let hello = Hello::default().record();
    let origins = [taking(hello.clone()), taking(hello.clone())];
    for then in ["when-down = \"refuse\"", "when-down = \"wait\", wait = \"1m\""] {
        let keys = format!("{KEYS}\npersistence = {{ source = true, {then} }}");
        let site = Site::with(&keys, &[&origins[0], &origins[1]]);
        let before = origins.each_ref().map(Origin::accepts);
        let begin = || {
            let mut client = site.client();
            client.send(&hello);
            client
        };
        assert_eq!(begin().exact(4), b"seen");
        let after = origins.each_ref().map(Origin::accepts);
        let home = usize::from(after[0] == before[0]);
        let address = origins[home].address().to_string();
        site.daemon.shunt(&["member", "disable", "web", &address]).good();
        let mut away = begin();
        if then.contains("refuse") {
            // An alert, internal_error (RFC 8446 section 6.2).
            assert_eq!(away.exact(7)[5..], [2, 80]);
        }
        site.daemon.shunt(&["member", "enable", "web", &address]).good();
        let mut served = if then.contains("refuse") { begin() } else { away };
        assert_eq!(served.exact(4), b"seen");
        assert_eq!(origins[1 - home].accepts(), after[1 - home], "{then}");
    }
}

#[test]
fn rules_are_told_how_each_connection_ended() {
    let hello = Hello { name: Some("a.example"), ..Hello::default() }.record();
    let length = hello.len();
    let away = address::free();
    let cut = Origin::start(move |call| {
        call.wire().try_exact(length)?;
        call.send("seen")?;
        call.await_mark("reset")?;
        socket2::SockRef::from(call.stream()).set_linger(Some(Duration::ZERO))
    });
    let whole = taking(hello.clone());
    let member = |member: Option<SocketAddr>| site::pool("web", "", &[member.unwrap_or(away)]);
    let rule = site::rule("ends", &packs::guest("ends"), "");
    let keys = format!("{KEYS}\n{rule}");
    let between = |at: Option<SocketAddr>| Site::configured(|it| site::config(it, &keys, &member(at)));

    let site = between(Some(whole.address()));
    let mut client = site.client();
    client.send(&hello);
    assert_eq!(client.exact(4), b"seen");
    client.send("more");
    client.end();
    assert_eq!(client.exact(7), b"the end");
    assert!(client.ended());
    let at = whole.address();
    site.daemon.wait_log(&format!("127.0.0.1: Outcome::Complete None [{at}] {} 11", length + 4));

    let mut client = site.client();
    client.send(&hello);
    assert_eq!(client.exact(4), b"seen");
    socket2::SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    site.daemon.wait_log(&format!("127.0.0.1: Outcome::ClientGone None [{at}] {length} 4"));

    let site = between(Some(cut.address()));
    let mut client = site.client();
    client.send(&hello);
    assert_eq!(client.exact(4), b"seen");
    cut.tell("reset");
    assert!(client.try_exact(1).is_err());
    let at = cut.address();
    site.daemon.wait_log(&format!("127.0.0.1: Outcome::MemberFailed None [{at}] {length} 4"));

    let site = between(None);
    let mut client = site.client();
    client.send(&hello);
    assert_eq!(client.exact(7), alert(80));
    site.daemon.wait_log("127.0.0.1: Outcome::Answered None [] 0 0");
}

/// Begins a session through Shunt and comes back with it; how the server took each of these.
fn come_back(pki: &Folder, address: SocketAddr, of: &str, times: usize) -> Vec<bool> {
    let begun = s_client(pki, address, &format!("-servername a.example {of} -sess_out session.pem"));
    assert!(begun.contains("New, "), "{begun}");
    let again = format!("-servername a.example {of} -sess_in session.pem");
    (0..times).map(|_| s_client(pki, address, &again).contains("Reused, ")).collect()
}

#[test]
fn a_session_of_tls_1_2_goes_to_the_member_that_began_it() {
    let pki = pki();
    let keys = "ssl_session_tickets off; ssl_session_cache shared:a:1m;";
    let servers: Option<Vec<_>> = (0..3).map(|_| nginx(&pki, keys, address::free())).collect();
    let Some(servers) = servers else { return };
    let members: Vec<_> = servers.iter().map(|it| it.address).collect();
    let site =
        |persistence: &str| Site::members(&format!("{KEYS}\npersistence = {{ {persistence} }}"), &members);
    let by_session = site("tls-session = true");
    for _ in 0..2 {
        assert_eq!(come_back(&pki, by_session.address, "-tls1_2", 4), [true; 4]);
    }
    assert_eq!(count(&by_session, "tls-sessions-unknown"), 0);
    // Elsewhere nobody knows it.
    let other = site("tls-session = true");
    s_client(&pki, other.address, "-servername a.example -tls1_2 -sess_in session.pem");
    assert_eq!(count(&other, "tls-sessions-unknown"), 1);
    // Clients of TLS 1.3 send ids that mean nothing, and a second key keeps them.
    assert!(!come_back(&pki, by_session.address, "-tls1_3", 5).iter().all(|reused| *reused));
    let with_source = site("tls-session = { source = true }");
    let members_of = |site: &Site| {
        let status = site.daemon.status();
        let connects =
            status["pools"][0]["members"].as_array().unwrap().iter().map(|it| it["connects"].as_u64());
        connects.filter(|it| *it != Some(0)).count()
    };
    s_client(&pki, with_source.address, "-servername a.example -tls1_3");
    for _ in 0..4 {
        s_client(&pki, with_source.address, "-servername a.example -tls1_3 -sess_out session.pem");
    }
    assert_eq!(members_of(&with_source), 1);
    assert!(count(&with_source, "tls-sessions-unknown") >= 4);
}
