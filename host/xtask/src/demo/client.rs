//! The clients of the demo: one that asks once, and a crowd that keeps asking.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What the client asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub path: &'static str,
    /// Name and value of a field.
    pub header: Option<(&'static str, &'static str)>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// The first word of the body: the origins put their name there.
    pub origin: String,
}

/// A keep-alive connection.
pub(crate) struct Client {
    connection: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let connection = TcpStream::connect_timeout(&address, PATIENCE)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { connection: BufReader::new(connection) })
    }

    pub(crate) fn ask(&mut self, request: Request) -> io::Result<Answer> {
        let Request { path, header } = request;
        let field = header.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
        let head = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{field}\r\n");
        self.connection.get_mut().write_all(head.as_bytes())?;

        let mut line = String::new();
        self.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or(io::ErrorKind::InvalidData)?;
        let mut length = 0;
        loop {
            self.read_line(&mut line)?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
            }
        }
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body);
        Ok(Answer { status, origin: body.split_whitespace().next().unwrap_or_default().to_owned() })
    }

    /// One line without its end.
    fn read_line(&mut self, line: &mut String) -> io::Result<()> {
        line.clear();
        if self.connection.read_line(line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(())
    }
}

/// Clients that send one request over and over until they are called home.
pub(crate) struct Crowd {
    clients: Vec<JoinHandle<Tally>>,
    shared: Arc<Shared>,
}

/// What the clients of a crowd saw.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub requests: u64,
    /// Errors and answers other than 200, in words; the first few.
    pub failures: Vec<String>,
    pub failed: u64,
    /// Answers to requests that were sent before [`Crowd::changed`], by origin.
    pub before: Vec<(String, u64)>,
    /// Answers to requests that were sent after it.
    pub after: Vec<(String, u64)>,
    pub slowest: Duration,
}

#[derive(Default)]
struct Shared {
    stage: AtomicU8,
    home: AtomicBool,
}

impl Shared {
    const BEFORE: u8 = 0;
    /// A change is in progress: either answer is right.
    const DURING: u8 = 1;
    const AFTER: u8 = 2;
}

/// Longer than anything on loopback takes.
const PATIENCE: Duration = Duration::from_secs(5);

impl Crowd {
    pub(crate) fn send(clients: usize, address: SocketAddr, request: Request) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let start = |_| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().spawn(move || keep_asking(address, request, &shared))
        };
        let clients = (0..clients).map(start).collect::<io::Result<_>>()?;
        Ok(Self { clients, shared })
    }

    /// A change begins.
    pub(crate) fn changing(&self) {
        self.shared.stage.store(Shared::DURING, SeqCst);
    }

    /// The change is complete: what is sent from now on must show it.
    pub(crate) fn changed(&self) {
        self.shared.stage.store(Shared::AFTER, SeqCst);
    }

    /// Calls the clients home.
    pub(crate) fn tally(mut self) -> Tally {
        self.shared.home.store(true, SeqCst);
        let mut sum = Tally::default();
        for client in std::mem::take(&mut self.clients) {
            match client.join() {
                Ok(tally) => sum.add(tally),
                Err(_) => sum.fail("a client panicked".to_owned()),
            }
        }
        sum
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.home.store(true, SeqCst);
    }
}

impl Tally {
    /// Whether all answers in `answers` came from this origin, and there were any.
    pub(crate) fn only(answers: &[(String, u64)], origin: &str) -> bool {
        !answers.is_empty() && answers.iter().all(|(name, _)| name == origin)
    }

    fn fail(&mut self, what: String) {
        self.failed += 1;
        if self.failures.len() < 5 {
            self.failures.push(what);
        }
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.slowest = self.slowest.max(other.slowest);
        other.before.into_iter().for_each(|(origin, count)| add(&mut self.before, origin, count));
        other.after.into_iter().for_each(|(origin, count)| add(&mut self.after, origin, count));
    }
}

fn keep_asking(address: SocketAddr, request: Request, shared: &Shared) -> Tally {
    let mut tally = Tally::default();
    let mut client = None;
    while !shared.home.load(SeqCst) {
        let stage = shared.stage.load(SeqCst);
        let begin = Instant::now();
        tally.requests += 1;
        match ask(&mut client, address, request) {
            Ok(Answer { status: 200, origin }) => match stage {
                Shared::BEFORE => add(&mut tally.before, origin, 1),
                Shared::AFTER => add(&mut tally.after, origin, 1),
                _ => {}
            },
            Ok(Answer { status, .. }) => tally.fail(format!("status {status}")),
            Err(error) => {
                client = None;
                tally.fail(error.to_string());
            }
        }
        tally.slowest = tally.slowest.max(begin.elapsed());
    }
    tally
}

fn ask(client: &mut Option<Client>, address: SocketAddr, request: Request) -> io::Result<Answer> {
    match client {
        Some(client) => client.ask(request),
        None => client.insert(Client::connect(address)?).ask(request),
    }
}

fn add(answers: &mut Vec<(String, u64)>, origin: String, count: u64) {
    match answers.iter_mut().find(|(name, _)| *name == origin) {
        Some((_, sum)) => *sum += count,
        None => answers.push((origin, count)),
    }
}
