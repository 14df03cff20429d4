//! TLS towards clients: certificates by name, and what HTTP notices of it.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, SignatureScheme,
    StreamOwned,
};
use shunt_tests::address;
use shunt_tests::daemon::{Daemon, Folder, Signal, until};
use shunt_tests::origin::Origin;
use shunt_tests::raw::{Client, Conversation};
use shunt_tests::site::{self, Site};

/// Takes every certificate: which one it is, is what the tests look at.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

type TlsClient = Conversation<StreamOwned<ClientConnection, TcpStream>>;

fn client_config(version: &'static rustls::SupportedProtocolVersion) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// A client that asks for `name`; an IP address asks for none.
fn connect(site: &Site, name: &str, version: &'static rustls::SupportedProtocolVersion) -> TlsClient {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(Arc::new(client_config(version)), name).unwrap();
    let socket = Client::connect(site.address).into_stream();
    Conversation::new(StreamOwned::new(session, socket))
}

/// Certificates for these names, the first for who asks for none of them.
pub(crate) fn secure(keys: &str, origin: &Origin, names: &[&[&str]]) -> (Site, Vec<CertificateDer<'static>>) {
    secure_beside(keys, origin, names, "")
}

/// The same with another virtual behind it.
fn secure_beside(
    keys: &str,
    origin: &Origin,
    names: &[&[&str]],
    another: &str,
) -> (Site, Vec<CertificateDer<'static>>) {
    let folder = Folder::new();
    let mut ders = Vec::new();
    let mut entries = Vec::new();
    for (number, names) in names.iter().enumerate() {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|&it| it.to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        folder.write(&format!("{number}.pem"), certificate.pem());
        folder.write(&format!("{number}.key"), key.serialize_pem());
        entries.push(format!("{{ certificate = \"{number}.pem\", key = \"{number}.key\" }}"));
        ders.push(certificate.der().clone());
    }
    let address = address::free();
    let tls = format!("tls = {{ certificates = [{}] }}\n{keys}", entries.join(", "));
    let rest = site::pool("web", "", &[origin.address()]) + another;
    folder.configure(&site::config(address, &tls, &rest));
    (Site { daemon: Daemon::start_in(folder), address }, ders)
}

#[test]
fn certificates_are_chosen_by_name() {
    let origin = Origin::named("a");
    let names: &[&[&str]] = &[&["first.example"], &["shop.example", "*.shop.example"], &["*.example"]];
    let (site, certificates) = secure("", &origin, names);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for (name, expected) in [
            ("first.example", 0),
            ("shop.example", 1),
            ("SHOP.example", 1),
            ("www.shop.example", 1),
            ("other.example", 2),
            // A wildcard stands for one label (RFC 9525 section 6.3).
            ("a.b.shop.example", 0),
            ("elsewhere.test", 0),
            ("127.0.0.1", 0),
        ] {
            let mut client = connect(&site, name, version);
            assert_eq!(client.get("/").text(), "a", "{name}");
            let session = &client.stream().conn;
            let presented = session.peer_certificates().unwrap();
            assert_eq!(presented, &certificates[expected..=expected], "{name}");
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]), "{name}");
        }
    }
}

#[test]
fn http_goes_through_tls() {
    let origin = Origin::start(|call| {
        loop {
            let request = call.request()?;
            call.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()))?;
            call.send(&request.body)?;
        }
    });
    let (site, _) = secure("persistence = { cookie = \"S\" }", &origin, &[&["a.example"]]);
    let mut client = connect(&site, "a.example", &rustls::version::TLS13);
    let answer = client.get("/");
    let set = answer.get("set-cookie").expect("a cookie");
    assert!(set.split("; ").any(|it| it == "Secure"), "{set}");
    let seen = origin.request();
    assert_eq!(seen.get("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.get("forwarded"), Some("for=127.0.0.1;proto=https;host=test"));

    let body = vec![b'x'; 1 << 20];
    let (head, chunks) =
        ("POST / HTTP/1.1\r\nHost: h\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(
        client.ask([format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat()).body,
        body
    );
    assert_eq!(client.ask(format!("{head}{chunks}")).body, b"hello");
    assert_eq!(client.ask("nonsense\r\n\r\n").status(), 400);
    // The end is said in TLS, too: without it this is an error.
    assert!(client.ended());
    assert_eq!(origin.accepts(), 1);
}

#[test]
fn answers_of_its_own_end_in_order() {
    let origin = Origin::named("a");
    let (site, _) =
        secure("timeouts = { head = \"1s\" }\nlimits = { body = \"1B\" }", &origin, &[&["a.example"]]);
    for (sent, status) in [
        ("GET / HT", 408),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel", 413),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 200),
    ] {
        let mut client = connect(&site, "a.example", &rustls::version::TLS13);
        assert_eq!(client.ask(sent).status(), status, "{sent:?}");
        assert!(client.ended(), "{sent:?}");
    }
}

#[test]
fn handshakes_that_come_to_nothing() {
    let origin = Origin::named("a");
    let (site, _) = secure("timeouts = { head = \"1s\" }", &origin, &[&["a.example"]]);
    let mut silent = site.client();
    let mut halfway = site.client();
    halfway.send([0x16, 3, 1, 2, 0, 1]);
    let mut plain = site.client();
    plain.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    // Others are served in the meantime.
    assert_eq!(connect(&site, "a.example", &rustls::version::TLS13).get("/").text(), "a");
    for client in [&mut silent, &mut halfway, &mut plain] {
        // An alert may come before the end; a reset is one, too.
        let _ = client.try_rest();
    }
    until("all are counted", || site.daemon.status()["virtuals"][0]["handshakes-failed"] == 3);
    assert_eq!(origin.count(), 1);
}

/// As one without a certificate that it was asked for: in TLS 1.3 its request is on the way when the alert comes.
#[test]
fn an_alert_reaches_a_client_that_has_sent_more() {
    let origin = Origin::named("a");
    let (site, _) = secure("", &origin, &[&["a.example"]]);
    let mut client = site.client();
    let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
    bytes.resize(200 << 10, b'x');
    // It may be told to stop.
    let _ = client.try_send(&bytes);
    client.end();
    // RFC 8446 section 6: fatal, decode_error.
    assert_eq!(client.try_rest().unwrap(), [21, 3, 3, 0, 2, 2, 50]);
}

#[test]
fn a_reload_takes_over_new_certificates() {
    let origin = Origin::named("a");
    let (site, before) = secure("", &origin, &[&["a.example"]]);
    let mut kept = connect(&site, "a.example", &rustls::version::TLS13);
    assert_eq!(kept.get("/").text(), "a");

    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let folder = site.daemon.folder();
    folder.write("0.pem", certificate.pem());
    // The key does not fit yet: nothing changes.
    assert_ne!(site.daemon.shunt(&["reload"]).code, Some(0));
    let mut client = connect(&site, "a.example", &rustls::version::TLS13);
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(client.stream().conn.peer_certificates().unwrap(), &before[..]);

    folder.write("0.key", key.serialize_pem());
    site.daemon.shunt(&["reload"]).good();
    let mut client = connect(&site, "a.example", &rustls::version::TLS13);
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(client.stream().conn.peer_certificates().unwrap(), &[certificate.der().clone()][..]);
    assert_eq!(kept.get("/").text(), "a", "connections that are open go on");
}

#[test]
fn a_daemon_that_ends_says_so_in_tls() {
    let origin = Origin::named("a");
    let (mut site, _) = secure("", &origin, &[&["a.example"]]);
    let mut client = connect(&site, "a.example", &rustls::version::TLS13);
    assert_eq!(client.get("/").text(), "a");
    site.daemon.signal(Signal::SIGTERM);
    assert!(client.ended());
    assert_eq!(site.daemon.wait().code(), Some(0));
}

/// The session outlives the buffers of a connection at rest; what tells the time is a plain connection.
#[test]
fn a_connection_that_rested_goes_on() {
    let (origin, brief) = (Origin::named("a"), address::free());
    let another = site::virtual_("brief", brief, "web", "timeouts = { idle = \"5s\" }");
    let (mut site, _) = secure_beside("", &origin, &[&["a.example"]], &another);
    let mut resting = connect(&site, "a.example", &rustls::version::TLS13);
    let mut leaving = connect(&site, "a.example", &rustls::version::TLS12);
    assert_eq!((resting.get("/").text(), leaving.get("/").text()), ("a".to_owned(), "a".to_owned()));
    let mut clock = Client::connect(brief);
    assert_eq!(clock.get("/").text(), "a");
    assert!(clock.ended());
    for _ in 0..2 {
        assert_eq!(resting.get("/").text(), "a");
    }
    site.daemon.signal(Signal::SIGTERM);
    assert!(leaving.ended());
    assert_eq!(site.daemon.wait().code(), Some(0));
}

/// close_notify ends one direction (RFC 8446 section 6.1), as FIN does: with it or without it the answer comes.
#[test]
fn a_client_that_has_said_all_gets_its_answer() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for (notify, fin) in [(true, true), (true, false), (false, true)] {
            let origin = Origin::start(|call| {
                call.request()?;
                call.await_mark("go on")?;
                call.send(shunt_tests::origin::ok("answer"))
            });
            let (site, _) = secure("", &origin, &[&["a.example"]]);
            let mut client = connect(&site, "a.example", version);
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            let mut stream = client.into_stream();
            if notify {
                stream.conn.send_close_notify();
                stream.conn.complete_io(&mut stream.sock).unwrap();
            }
            if fin {
                stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
            }
            let mut client = Conversation::new(stream);
            origin.wait_requests(1);
            assert_eq!(client.exact(7), b"HTTP/1.", "notify {notify}, FIN {fin}");
            origin.tell("go on");
            assert!(client.try_head().unwrap().raw.starts_with(b"1 200 OK"), "notify {notify}, FIN {fin}");
            assert_eq!(client.exact(6), b"answer", "notify {notify}, FIN {fin}");
            assert!(client.ended(), "notify {notify}, FIN {fin}");
        }
    }
}

#[test]
fn a_client_that_is_gone_is_noticed() {
    for notify in [true, false] {
        let origin = Origin::start(|call| {
            call.request()?;
            call.until_end();
            call.mark("cut");
            Ok(())
        });
        let (site, _) = secure("", &origin, &[&["a.example"]]);
        let mut client = connect(&site, "a.example", &rustls::version::TLS13);
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        origin.wait_requests(1);
        let mut stream = client.into_stream();
        if notify {
            stream.conn.send_close_notify();
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        drop(stream);
        origin.wait_mark("cut");
        until("it is let go", || site.daemon.status()["virtuals"][0]["open"] == 0);
    }
}

/// The end of the body is written by other code than the body, behind a session that buffers.
#[test]
fn trailers_behind_a_long_body() {
    let body = "x".repeat(1 << 20);
    let answer = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\nX-Sum: 7\r\n\r\n",
        body.len()
    );
    let origin = Origin::answering(answer);
    let (site, _) = secure("", &origin, &[&["a.example"]]);
    let mut client = connect(&site, "a.example", &rustls::version::TLS13);
    for _ in 0..3 {
        let answer = client.ask("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
        assert_eq!((answer.body.len(), answer.trailers.len()), (1 << 20, 1));
        assert_eq!(answer.trailers[0], ("x-sum".to_owned(), "7".to_owned()));
    }
}

/// RFC 8446 section 4.2.10: a server that does not take early data skips it. The client has a ticket of another
/// server of the name, as after a move of the address.
#[test]
fn early_data_with_the_ticket_of_another_server_is_skipped() {
    let certified = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let mut other = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    other.max_early_data_size = 16_384;
    other.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut other = ServerConnection::new(Arc::new(other)).unwrap();

    let mut config = client_config(&rustls::version::TLS13);
    config.enable_early_data = true;
    let config = Arc::new(config);
    let name = ServerName::try_from("a.example").unwrap();
    let mut client = ClientConnection::new(Arc::clone(&config), name.clone()).unwrap();
    for _ in 0..4 {
        let mut sent = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut sent).unwrap();
        }
        other.read_tls(&mut &sent[..]).unwrap();
        other.process_new_packets().unwrap();
        sent.clear();
        while other.wants_write() {
            other.write_tls(&mut sent).unwrap();
        }
        client.read_tls(&mut &sent[..]).unwrap();
        client.process_new_packets().unwrap();
    }

    let origin = Origin::named("a");
    let (site, _) = secure("", &origin, &[&["a.example"]]);
    let mut client = ClientConnection::new(config, name).unwrap();
    // All that the ticket allows, in records that are longer than what they hold.
    let mut early = client.early_data().expect("a ticket that allows early data");
    for _ in 0..64 {
        assert_eq!(early.write(&[b'x'; 256]).unwrap(), 256);
    }
    let socket = Client::connect(site.address).into_stream();
    let mut client = Conversation::new(StreamOwned::new(client, socket));
    assert_eq!(client.get("/").text(), "a");
    let session = client.into_stream().conn;
    assert!(!session.is_early_data_accepted());
}

#[test]
fn http_2_is_offered_where_it_is_wanted() {
    let origin = Origin::named("a");
    for (keys, agreed) in [("", "h2"), ("http2 = { start = \"off\" }", "http/1.1")] {
        let (site, _) = secure(keys, &origin, &[&["shop.example"]]);
        let mut config = client_config(&rustls::version::TLS13);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("shop.example").unwrap();
        let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = Client::connect(site.address).into_stream();
        session.complete_io(&mut socket).unwrap();
        assert_eq!(session.alpn_protocol(), Some(agreed.as_bytes()));
    }
}

/// RFC 8446 section 4.6.3: each asks for another, and costs new keys. 32 of them may come without data in between.
#[test]
fn key_updates_have_a_bound() {
    let origin = Origin::named("a");
    let (site, _) = secure("", &origin, &[&["a.example"]]);
    let mut client = connect(&site, "a.example", &rustls::version::TLS13);
    let update = |client: TlsClient, times: usize| {
        let mut stream = client.into_stream();
        for _ in 0..times {
            stream.conn.refresh_traffic_keys().unwrap();
            // The last of them may find the connection closed.
            let _ = stream.flush();
        }
        TlsClient::new(stream)
    };
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "a");
        client = update(client, 32);
    }
    assert_eq!(client.get("/").text(), "a");
    let error = update(client, 33).try_exact(1).unwrap_err();
    assert!(![ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()), "{error}");
    until("the connection to end", || site.daemon.status()["virtuals"][0]["open"] == 0);
}
