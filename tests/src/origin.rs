//! An origin that does exactly what a test says, and remembers what came to it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::address;
use crate::raw::{Conversation, Head, Message, PATIENCE, prepared};

/// A server on loopback. Each connection is played by the script in a thread of its own.
pub struct Origin {
    address: SocketAddr,
    seen: Arc<Seen>,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// A connection that the origin accepted.
pub struct Call {
    conversation: Conversation<TcpStream>,
    number: usize,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    accepts: usize,
    ended: usize,
    requests: Vec<Message>,
    /// What scripts did, in their own words.
    marks: Vec<String>,
    /// Those that are open, to be ended by the test.
    open: BTreeMap<usize, TcpStream>,
}

impl Origin {
    /// An error ends a connection; the peer may go away at any time.
    pub fn start(script: impl Fn(&mut Call) -> io::Result<()> + Send + Sync + 'static) -> Origin {
        Origin::at(address::free(), script)
    }

    /// At an address of which the test knows already.
    pub fn at(
        address: SocketAddr,
        script: impl Fn(&mut Call) -> io::Result<()> + Send + Sync + 'static,
    ) -> Origin {
        let listener = TcpListener::bind(address).expect("an address that is free");
        let (seen, stopping) = (Arc::<Seen>::default(), Arc::new(AtomicBool::new(false)));
        let script = Arc::new(script);
        let accepting = std::thread::spawn({
            let (seen, stopping) = (Arc::clone(&seen), Arc::clone(&stopping));
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if stopping.load(SeqCst) {
                        return;
                    }
                    let number = seen.note(|state| {
                        state.accepts += 1;
                        state.accepts
                    });
                    let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                    std::thread::spawn(move || {
                        if let (Ok(twin), Ok(stream)) = (stream.try_clone(), prepared(stream)) {
                            seen.note(|state| state.open.insert(number, twin));
                            let conversation = Conversation::new(stream);
                            let mut call = Call { conversation, number, seen: Arc::clone(&seen) };
                            let _ = script(&mut call);
                        }
                        seen.note(|state| {
                            state.open.remove(&number);
                            state.ended += 1;
                        });
                    });
                }
            }
        });
        Origin { address, seen, stopping, accepting: Some(accepting) }
    }

    /// Answers every request with 200 and its name, and keeps connections alive.
    #[must_use]
    pub fn named(name: &'static str) -> Origin {
        Origin::start(move |call| {
            loop {
                call.request()?;
                call.send(ok(name))?;
            }
        })
    }

    /// Plays one answer for every request, whatever it is.
    #[must_use]
    pub fn answering(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Origin {
        Origin::start(move |call| {
            loop {
                call.request()?;
                call.send(&answer)?;
            }
        })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepts(&self) -> usize {
        self.seen.lock().accepts
    }

    /// Whole requests that came, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Message> {
        self.seen.lock().requests.clone()
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.seen.lock().requests.len()
    }

    /// The only request that came.
    #[must_use]
    pub fn request(&self) -> Message {
        let requests = self.requests();
        assert_eq!(
            requests.len(),
            1,
            "requests: {:?}",
            requests.iter().map(|it| &it.head.line).collect::<Vec<_>>()
        );
        requests[0].clone()
    }

    #[must_use]
    pub fn marks(&self) -> Vec<String> {
        self.seen.lock().marks.clone()
    }

    /// Waits until a script has said this.
    pub fn wait_mark(&self, mark: &str) {
        self.wait(mark, |state| state.marks.iter().any(|it| it == mark));
    }

    /// Waits until so many requests have come.
    pub fn wait_requests(&self, count: usize) {
        self.wait("requests", |state| state.requests.len() >= count);
    }

    /// Waits until so many connections have ended.
    pub fn wait_ended(&self, count: usize) {
        self.wait("ends of connections", |state| state.ended >= count);
    }

    /// Waits until so many connections have ended, and those who had them could know: a busy kernel carries the
    /// end of a connection later than what its peer says next.
    pub fn wait_ends_arrived(&self, count: usize) {
        self.wait_ended(count);
        self.wait_fins_arrived();
    }

    /// Waits until the FIN of every connection has arrived where it goes; all are about to be sent.
    pub fn wait_fins_arrived(&self) {
        let begin = Instant::now();
        while established_to(self.address) > 0 {
            assert!(begin.elapsed() < PATIENCE, "the end of a connection does not arrive");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops listening; connections that are open continue.
    pub fn stop(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.stopping.store(true, SeqCst);
        drop(TcpStream::connect(self.address));
        accepting.join().expect("the accepting thread");
    }

    /// Ends every connection, whatever its script is doing.
    pub fn end_all(&self) {
        for stream in self.seen.lock().open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn wait(&self, what: &str, until: impl Fn(&State) -> bool) {
        let state = self.seen.lock();
        let (_state, waited) = self
            .seen
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !until(state))
            .expect("no script panics while it notes something");
        assert!(!waited.timed_out(), "the origin waited in vain for {what}");
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no script panics while it notes something")
    }

    fn note<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

impl Call {
    /// 1 for the first connection that the origin accepted.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// A whole request, remembered.
    ///
    /// # Errors
    /// The peer ended before.
    pub fn request(&mut self) -> io::Result<Message> {
        let request = self.conversation.try_request()?;
        self.seen.note(|state| state.requests.push(request.clone()));
        Ok(request)
    }

    /// Only the head; remembered as a request without a body.
    ///
    /// # Errors
    /// The peer ended before.
    pub fn head(&mut self) -> io::Result<Head> {
        let head = self.conversation.try_head()?;
        self.seen.note(|state| state.requests.push(Message { head: head.clone(), ..Message::default() }));
        Ok(head)
    }

    pub fn wire(&mut self) -> &mut Conversation<TcpStream> {
        &mut self.conversation
    }

    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        self.conversation.stream()
    }

    /// # Errors
    /// The peer is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.conversation.try_send(bytes)
    }

    /// Says something that the test waits for.
    pub fn mark(&self, what: impl Into<String>) {
        self.seen.note(|state| state.marks.push(what.into()));
    }

    /// Waits until the test, or another connection, has said this.
    pub fn await_mark(&self, mark: &str) -> io::Result<()> {
        let state = self.seen.lock();
        let waiting = |state: &mut State| !state.marks.iter().any(|it| it == mark);
        let waited = self.seen.changed.wait_timeout_while(state, PATIENCE, waiting);
        if waited.is_ok_and(|(_, waited)| !waited.timed_out()) {
            Ok(())
        } else {
            Err(ErrorKind::TimedOut.into())
        }
    }

    /// Ends what is sent; what comes can still be read.
    ///
    /// # Errors
    /// The peer is gone.
    pub fn end(&mut self) -> io::Result<()> {
        self.conversation.stream().shutdown(Shutdown::Write)
    }

    /// Waits until the peer has ended, whatever comes before.
    pub fn until_end(&mut self) {
        let _ = self.conversation.try_rest();
    }
}

impl Origin {
    /// Says something that a script waits for.
    pub fn tell(&self, mark: &str) {
        self.seen.note(|state| state.marks.push(mark.to_owned()));
    }
}

/// 200 with a body of a given length.
#[must_use]
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// How many sockets hold a connection to this address of IPv4 for open (proc_net_tcp: state 01).
fn established_to(address: SocketAddr) -> usize {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address}: the table is IPv4's") };
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let peer = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let is_open = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next() == Some(&peer) && fields.next() == Some("01")
    };
    table.lines().filter(is_open).count()
}
