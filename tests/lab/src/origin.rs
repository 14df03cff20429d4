//! A server of HTTP/1.1 that sends bodies of any length and says what it received.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Result as IoResult, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::Result;
use sha2::{Digest as _, Sha256};
use socket2::Socket;

use crate::host::Host;
use crate::{PATIENCE, stream};

/// The path is the length of the answer's body; after `/hold/` its second half waits for [`Origin::release`].
/// The fields `X-Member`, `X-Client`, `X-Length` and `X-Digest` say who answered whom, and what came as a body.
#[derive(Debug)]
pub struct Origin {
    listeners: Vec<Socket>,
    accepting: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    name: String,
    accepts: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ended: bool,
    open: BTreeMap<usize, TcpStream>,
    /// Answers that wait, and those that need not wait any more.
    held: usize,
    released: usize,
}

/// The body of an answer is written in pieces of so many bytes.
const PIECE: usize = 64 << 10;

impl Origin {
    pub(crate) fn start(host: &Host, addresses: &[IpAddr], ports: &[u16]) -> Result<Self> {
        let shared = Arc::new(Shared { name: host.name().to_owned(), ..Shared::default() });
        let mut origin = Origin { listeners: Vec::new(), accepting: Vec::new(), shared };
        for address in addresses.iter().flat_map(|ip| ports.iter().map(|port| SocketAddr::new(*ip, *port))) {
            let listener = host.within(|| TcpListener::bind(address))??;
            origin.listeners.push(listener.try_clone()?.into());
            let shared = Arc::clone(&origin.shared);
            origin.accepting.push(std::thread::spawn(move || accept(&listener, &shared)));
        }
        Ok(origin)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepts(&self) -> usize {
        self.shared.accepts.load(SeqCst)
    }

    /// Waits until so many answers wait in the middle.
    ///
    /// # Errors
    /// They do not come.
    pub fn wait_held(&self, count: usize) -> Result<()> {
        let waited =
            self.shared.changed.wait_timeout_while(self.shared.lock(), PATIENCE, |it| it.held < count);
        let (_state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        anyhow::ensure!(!waited.timed_out(), "no answer of {} waits in the middle", self.shared.name);
        Ok(())
    }

    /// Lets those answers go on that wait now.
    pub fn release(&self) {
        let mut state = self.shared.lock();
        state.released = state.held;
        self.shared.changed.notify_all();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        for listener in &self.listeners {
            // Wakes the accept.
            let _ = listener.shutdown(Shutdown::Both);
        }
        let mut state = self.shared.lock();
        state.ended = true;
        for stream in state.open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        for thread in self.accepting.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the test lets it continue.
    fn hold(&self) -> IoResult<()> {
        let mut state = self.lock();
        state.held += 1;
        let turn = state.held;
        self.changed.notify_all();
        let waiting = |state: &mut State| !state.ended && state.released < turn;
        let waited = self.changed.wait_timeout_while(state, PATIENCE, waiting);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.ended { Err(ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, client)) = listener.accept() {
        let number = shared.accepts.fetch_add(1, SeqCst);
        let Ok(twin) = stream.try_clone() else { continue };
        let mut state = shared.lock();
        if state.ended {
            return;
        }
        state.open.insert(number, twin);
        drop(state);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A client may go away at any time.
            let _ = serve(stream, client, &shared);
            shared.lock().open.remove(&number);
        });
    }
}

/// What a request says.
struct Head {
    path: String,
    length: usize,
    close: bool,
}

fn serve(stream: TcpStream, client: SocketAddr, shared: &Shared) -> IoResult<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream.try_clone()?);
    let mut output = stream;
    while let Some(head) = read_head(&mut input)? {
        let mut digest = Sha256::new();
        let received = std::io::copy(&mut input.by_ref().take(head.length as u64), &mut digest)?;
        let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let (hold, length) = match head.path.strip_prefix("/hold") {
            Some(length) => (true, length),
            None => (false, head.path.as_str()),
        };
        let body = stream::bytes(length.trim_start_matches('/').parse().unwrap_or(0));
        let close = if head.close { "Connection: close\r\n" } else { "" };
        // In one piece, as programs that care for speed send it.
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Member: {}\r\nX-Client: {client}\r\n\
             X-Length: {received}\r\nX-Digest: {digest}\r\n{close}\r\n",
            body.len(),
            shared.name,
        );
        output.write_all(answer.as_bytes())?;
        let (first, second) = body.split_at(if hold { body.len() / 2 } else { body.len() });
        first.chunks(PIECE).try_for_each(|piece| output.write_all(piece))?;
        if hold {
            shared.hold()?;
        }
        second.chunks(PIECE).try_for_each(|piece| output.write_all(piece))?;
        if head.close {
            break;
        }
    }
    Ok(())
}

/// `None`: the client has ended.
fn read_head(input: &mut impl BufRead) -> IoResult<Option<Head>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).ok_or(ErrorKind::InvalidData)?.to_owned();
    let mut head = Head { path, length: 0, close: false };
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(Some(head)) };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            head.length = value.parse().map_err(|_| ErrorKind::InvalidData)?;
        } else if name.eq_ignore_ascii_case("connection") {
            head.close = value.eq_ignore_ascii_case("close");
        }
    }
}
