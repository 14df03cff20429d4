//! Sessions that go on: with another worker, another process, another key.

use std::cell::RefCell;
use std::io::Write as _;
use std::process::{Command, Stdio};

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, Folder, until};
use shunt_tests::origin::Origin;
use shunt_tests::site;

use crate::pki::{Ca, s_client};

/// In base64, 32 bytes each.
const KEYS: [&str; 2] =
    ["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="];

/// A daemon that ends, and others that go on with its key: as several balancers, of which one has a renewed certificate
/// already.
#[test]
fn another_process_with_the_same_key_resumes_sessions() {
    let (folder, origin, address) = (Folder::new(), Origin::named("a"), address::free());
    let ca = Ca::new(&folder);
    ca.sign(&folder, "first", &["a.example"], 1);
    ca.sign(&folder, "renewed", &["a.example"], 2);
    let config = |ticket_keys: &str| {
        let tls = format!("tls = {{ certificate = \"one.pem\", key = \"one.key\"{ticket_keys} }}");
        let config = site::config(address, &tls, &site::pool("web", "", &[origin.address()]));
        config.replace("workers = 1", "workers = 3")
    };
    let again = |certificate: &str, keys: &str| {
        let read = |end: &str| std::fs::read(folder.path().join(format!("{certificate}.{end}"))).unwrap();
        let (pem, key) = (read("pem"), read("key"));
        let folder = Folder::new();
        folder.write("one.pem", &pem);
        folder.write("one.key", &key);
        folder.write("tickets", keys);
        folder.configure(&config(", ticket-keys = \"tickets\""));
        Daemon::start_in(folder)
    };
    for (version, session) in [("-tls1_3", "new13"), ("-tls1_2", "new12")] {
        // In TLS 1.3 tickets come behind the handshake: with the answer.
        folder.write("request", "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        let ask = |reuse: &str| {
            let command = format!(
                "openssl s_client -connect {address} -CAfile ca.pem -servername a.example -ign_eof {version} {reuse} <request"
            );
            let mut shell = Command::new("sh");
            let said = shunt_tests::program::ended(shell.current_dir(folder.path()).args(["-c", &command]));
            said.stdout + &said.stderr
        };
        let daemon = again("first", KEYS[0]);
        let said = ask(&format!("-sess_out {session}"));
        assert!(said.contains("New, TLSv1."), "{said}");
        drop(daemon);
        let daemon = again("renewed", &format!("{}\n{}\n", KEYS[1], KEYS[0]));
        let said = ask(&format!("-sess_in {session} -sess_out {session}"));
        assert!(said.contains("Reused, TLSv1."), "{version}\n{said}");
        drop(daemon);
        let _daemon = again("first", KEYS[0]);
        let said = ask(&format!("-sess_in {session}"));
        let reused = said.contains("Reused, TLSv1.");
        // TLS 1.2 keeps the ticket that it resumed with, of the first key.
        assert_eq!(reused, version == "-tls1_2", "{said}");
    }
}

/// RFC 5246 appendix F.1.4: a client without tickets, on any worker.
#[test]
fn clients_without_tickets_resume_by_the_session_identifier() {
    let (folder, origin, address) = (Folder::new(), Origin::named("a"), address::free());
    Ca::new(&folder).sign(&folder, "one", &["a.example"], 1);
    let tls = "tls = { certificate = \"one.pem\", key = \"one.key\" }";
    let config = site::config(address, tls, &site::pool("web", "", &[origin.address()]));
    folder.configure(&config.replace("workers = 1", "workers = 3"));
    let daemon = Daemon::start_in(folder);
    let folder = daemon.folder();
    let arguments = "-tls1_2 -no_ticket -servername a.example";
    let said = s_client(folder, address, &format!("{arguments} -sess_out session"));
    assert!(said.contains("New, TLSv1.2"), "{said}");
    for _ in 0..6 {
        let said = s_client(folder, address, &format!("{arguments} -sess_in session"));
        assert!(said.contains("Reused, TLSv1.2"), "{said}");
    }
    // A reload that changes the certificate ends no session.
    Ca::new(folder).sign(folder, "one", &["a.example"], 1);
    daemon.shunt(&["reload"]).good();
    let said = s_client(folder, address, &format!("{arguments} -sess_in session"));
    assert!(said.contains("Reused, TLSv1.2"), "{said}");
}

/// RFC 5246 section 7.2.2: a client of TLS 1.2 that wants to renegotiate is told at once that nobody does, and not with the
/// next answer, for it asks for none before.
#[test]
fn nothing_is_renegotiated() {
    let (folder, origin, address) = (Folder::new(), Origin::named("a"), address::free());
    Ca::new(&folder).sign(&folder, "one", &["a.example"], 1);
    let tls = "tls = { certificate = \"one.pem\", key = \"one.key\" }\ntimeouts = { idle = \"1h\" }";
    folder.configure(&site::config(address, tls, &site::pool("web", "", &[origin.address()])));
    let _daemon = Daemon::start_in(folder);
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string(), "-tls1_2"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let client = RefCell::new(command.spawn().unwrap());
    // It stays open, so that the client ends by what it is told alone.
    let mut commands = client.borrow_mut().stdin.take().unwrap();
    commands.write_all(b"R\n").unwrap();
    until("the client was told", || client.borrow_mut().try_wait().unwrap().is_some());
    let ended = client.into_inner().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("no renegotiation"), "{said}");
}
