//! How Shunt ends connections with members.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::raw::Conversation;
use shunt_tests::{address, site};

use crate::pki::Ca;

/// RFC 8446 section 6.1: without close_notify an end may be an attacker's.
#[test]
fn members_are_told_of_the_end_of_an_idle_connection() {
    let (folder, address) = (Folder::new(), address::free());
    Ca::new(&folder).sign(&folder, "member", &["member.example"], 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let member = listener.local_addr().unwrap();
    let path = |name: &str| folder.path().join(name);
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(path("member.pem")).unwrap()],
            PrivateKeyDer::from_pem_file(path("member.key")).unwrap(),
        )
        .unwrap();
    let (says, said) = channel();
    thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(session, socket);
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").unwrap();
        // An end without close_notify is an error.
        let _ = says.send(stream.read(&mut request));
    });
    let tls = "tls = { ca = \"ca.pem\", server-name = \"member.example\" }";
    let with = site::config(address, "", &site::pool("web", tls, &[member]));
    folder.configure(&with);
    let daemon = Daemon::start_in(folder);
    assert_eq!(Conversation::connect(address).get("/").text(), "a");
    daemon.reload(&site::config(address, "", &site::pool("web", tls, &[address::free()])));
    assert_eq!(said.recv().unwrap().unwrap(), 0);
}
