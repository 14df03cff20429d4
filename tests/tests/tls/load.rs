//! Traffic of every kind that must get through: HTTP/1 and HTTP/2, with TLS and without.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use shunt_tests::daemon::{Folder, until};
use shunt_tests::frames;
use shunt_tests::raw::{Conversation, PATIENCE};

/// Requests that a client sends on a connection, one after another, before it begins the next.
const REQUESTS: usize = 4;
/// Clients of each kind.
const CLIENTS: usize = 2;

pub(crate) trait Socket: Read + Write {}

impl<S: Read + Write> Socket for S {}

/// A client's end of a connection.
pub(crate) enum Talk {
    Http1(Conversation<Box<dyn Socket>>),
    Http2(frames::Client<Box<dyn Socket>>),
}

impl Talk {
    /// With TLS where there is a configuration of it, over HTTP/2 where that is asked for.
    pub(crate) fn begin(
        address: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
        http2: bool,
    ) -> io::Result<Talk> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let stream: Box<dyn Socket> = match tls {
            None => Box::new(socket),
            Some(tls) => {
                let mut tls = ClientConfig::clone(tls);
                tls.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
                let name = ServerName::try_from("a.example").unwrap();
                let session = ClientConnection::new(Arc::new(tls), name).map_err(io::Error::other)?;
                let mut stream = StreamOwned::new(session, socket);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
                Box::new(stream)
            }
        };
        Ok(match http2 {
            false => Talk::Http1(Conversation::new(stream)),
            true => Talk::Http2(frames::Client::over(stream, &[])),
        })
    }

    /// Asks once: whether Shunt takes more on this connection.
    ///
    /// # Errors
    /// There is no answer.
    pub(crate) fn ask(&mut self) -> io::Result<bool> {
        match self {
            Talk::Http1(client) => {
                client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
                let answer = client.try_answer()?;
                assert_eq!((answer.status(), answer.text().as_str()), (200, "a"));
                Ok(answer.get("connection") != Some("close"))
            }
            Talk::Http2(client) => {
                let stream = client.request("GET", "/", &[]);
                let answer = client.try_answer(stream)?;
                assert_eq!((answer.status, answer.text().as_str(), answer.reset), (200, "a", None));
                Ok(client.goaways.is_empty())
            }
        }
    }

    /// Reads to the end of the connection, where nothing else is to come than what says that it ends.
    pub(crate) fn end(&mut self) {
        match self {
            Talk::Http1(client) => assert_eq!(client.try_rest().expect("an end in order"), b""),
            Talk::Http2(client) => client.rest(),
        }
    }
}

/// What clients need to verify the certificates of a folder's CA.
pub(crate) fn trusting(folder: &Folder) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.path().join("ca.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Clients that take a failure for none where they could not connect any more. With TLS they resume sessions.
pub(crate) struct Load {
    refusable: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Of each version of HTTP, where there is no TLS and where there is.
    pub(crate) fn start(folder: &Folder, clear: Option<SocketAddr>, tls: Option<SocketAddr>) -> Load {
        let (refusable, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let config = trusting(folder);
        let places = [(clear, None), (tls, Some(config))];
        let places = places.iter().filter_map(|(address, config)| Some(((*address)?, config)));
        let kinds = places.flat_map(|(address, tls)| [false, true].map(|http2| (address, tls, http2)));
        let clients = kinds.flat_map(|(address, tls, http2)| {
            (0..CLIENTS).map({
                let (refusable, done) = (&refusable, &done);
                move |_| {
                    let (refusable, done, tls) = (Arc::clone(refusable), Arc::clone(done), tls.clone());
                    thread::spawn(move || {
                        while let Some(mut talk) = begin(address, tls.as_ref(), http2, &refusable) {
                            for _ in 0..REQUESTS {
                                let goes_on = talk.ask();
                                let goes_on = goes_on.unwrap_or_else(|error| {
                                    panic!("tls {}, http2 {http2}: {error}", tls.is_some())
                                });
                                done.fetch_add(1, SeqCst);
                                if !goes_on {
                                    break;
                                }
                            }
                        }
                    })
                }
            })
        });
        let clients = clients.collect();
        Load { refusable, done, clients }
    }

    /// Waits until so many more requests were answered.
    #[track_caller]
    pub(crate) fn go_on(&self, more: usize) {
        let before = self.done.load(SeqCst);
        let failed = || self.clients.iter().any(JoinHandle::is_finished);
        until("requests are answered", || failed() || self.done.load(SeqCst) >= before + more);
        assert!(!failed(), "a request failed");
    }

    /// From now on connections may be refused, which ends a client.
    pub(crate) fn may_be_refused(&self) {
        self.refusable.store(true, SeqCst);
    }

    /// Waits until each client was refused.
    #[track_caller]
    pub(crate) fn end(self) {
        self.clients.into_iter().for_each(|client| client.join().expect("all requests are answered"));
    }
}

fn begin(
    address: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    http2: bool,
    refusable: &AtomicBool,
) -> Option<Talk> {
    match Talk::begin(address, tls, http2) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused && refusable.load(SeqCst) => None,
        begun => Some(begun.unwrap_or_else(|error| panic!("tls {}, http2 {http2}: {error}", tls.is_some()))),
    }
}
