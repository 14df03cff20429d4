//! What clients do: real programs with the kernel's own TCP.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::host::Host;
use crate::process::Process;
use crate::{PATIENCE, stream};

/// A request over HTTP, by curl.
#[derive(Clone, Debug)]
pub struct Request {
    from: IpAddr,
    to: SocketAddr,
    upload: usize,
    download: usize,
    patience: Duration,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who answered.
    pub member: String,
    /// Whom the member saw.
    pub client: SocketAddr,
}

/// A transfer that waits in the middle.
#[derive(Debug)]
pub struct Held {
    answer: Answer,
    bytes: usize,
    input: BufReader<TcpStream>,
}

/// A curl that runs.
#[derive(Debug)]
pub struct Fetch {
    request: Request,
    folder: TempDir,
    curl: Process,
}

impl Request {
    /// For an empty body.
    #[must_use]
    pub fn new(from: IpAddr, to: SocketAddr) -> Self {
        Request { from, to, upload: 0, download: 0, patience: PATIENCE }
    }

    /// Sends a body of so many bytes.
    #[must_use]
    pub fn upload(self, bytes: usize) -> Self {
        Request { upload: bytes, ..self }
    }

    /// Asks for a body of so many bytes.
    #[must_use]
    pub fn download(self, bytes: usize) -> Self {
        Request { download: bytes, ..self }
    }

    /// How long curl may take.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Request { patience, ..self }
    }

    /// The command line, as one would type it.
    #[must_use]
    pub fn line(&self) -> String {
        format!("curl {}", self.asks())
    }

    fn asks(&self) -> String {
        let Request { from, to, download, .. } = self;
        format!("--interface {from} http://{to}/{download}")
    }
}

impl Host {
    /// Has curl ask, and checks both bodies byte by byte.
    ///
    /// # Errors
    /// It fails, or a body was not the same at the other end.
    pub fn fetch(&self, request: &Request) -> Result<Answer> {
        self.start_fetch(request)?.finish()
    }

    /// Starts a curl that asks.
    ///
    /// # Errors
    /// There is no curl.
    pub fn start_fetch(&self, request: &Request) -> Result<Fetch> {
        let folder = crate::namespace::folder("curl")?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut line = format!(
            "curl -q --globoff --silent --show-error --fail {} --max-time {} --output {} --dump-header {}",
            request.asks(),
            request.patience.as_secs_f32(),
            path("body"),
            path("head"),
        );
        if request.upload > 0 {
            fs::write(path("upload"), stream::bytes(request.upload))?;
            // Without waiting for 100 (Continue).
            line.push_str(&format!(" --header Expect: --upload-file {}", path("upload")));
        }
        let curl = self.start(&line)?;
        Ok(Fetch { request: request.clone(), folder, curl })
    }

    /// Begins a transfer of so many bytes that stops in the middle, until the origin is told to continue.
    ///
    /// # Errors
    /// Nobody answers, or something else comes.
    pub fn hold(&self, from: IpAddr, to: SocketAddr, bytes: usize) -> Result<Held> {
        let mut stream = self.connect(from, to)?;
        write!(stream, "GET /hold/{bytes} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")?;
        let mut input = BufReader::new(stream);
        let (mut head, mut line) = (String::new(), String::new());
        while input.read_line(&mut line)? > 2 {
            head.push_str(&line);
            line.clear();
        }
        let answer = Answer::of(&head)?;
        let mut body = vec![0; bytes / 2];
        input.read_exact(&mut body)?;
        ensure!(body == stream::bytes(body.len()), "the first half is not what the origin sent");
        Ok(Held { answer, bytes, input })
    }

    /// A socket for datagrams, connected.
    ///
    /// # Errors
    /// The address is none of this host.
    pub fn datagrams(&self, from: IpAddr, to: SocketAddr) -> Result<UdpSocket> {
        let socket = self.within(|| -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind((from, 0))?;
            socket.connect(to)?;
            Ok(socket)
        })??;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    /// Sends a datagram and gives what the member made of it: who it is, whom it saw.
    ///
    /// # Errors
    /// No answer, or one to something else.
    pub fn ask(&self, from: IpAddr, to: SocketAddr, question: &[u8]) -> Result<Answer> {
        let socket = self.datagrams(from, to)?;
        ask(&socket, question)
            .with_context(|| format!("{} bytes over UDP from {from} to {to}", question.len()))
    }

    /// Sends so many ICMP echo requests of so many bytes (without headers), not in fragments, and gives how many were
    /// answered.
    ///
    /// # Errors
    /// There is no ping.
    pub fn ping(&self, from: IpAddr, to: IpAddr, count: u32, bytes: u32) -> Result<u32> {
        self.ping_with("-M do -W 2", from, to, count, bytes)
    }

    /// The same of any size: those that do not fit the way go in fragments.
    ///
    /// # Errors
    /// There is no ping.
    pub fn ping_in_pieces(&self, from: IpAddr, to: IpAddr, count: u32, bytes: u32) -> Result<u32> {
        self.ping_with("-M want -W 10", from, to, count, bytes)
    }

    /// The same with requests that routers of IPv4 may cut (DF clear).
    ///
    /// # Errors
    /// There is no ping.
    pub fn ping_that_may_be_cut(&self, from: IpAddr, to: IpAddr, count: u32, bytes: u32) -> Result<u32> {
        self.ping_with("-M dont -W 2", from, to, count, bytes)
    }

    /// Sends an echo request that may pass so many hops, and gives the address that ping has heard from, be it an error
    /// or the answer.
    ///
    /// # Errors
    /// There is no ping, or it has heard nothing.
    pub fn ping_hops(&self, from: IpAddr, to: IpAddr, hops: usize) -> Result<IpAddr> {
        let mut ping = self.start(&format!("ping -n -c 1 -W 5 -t {hops} -I {from} {to}"))?;
        ping.wait_at_most(PATIENCE)?.context("ping does not end")?;
        ping.wait_stdout("received").context("ping")?;
        let said = ping.stdout();
        // `From ADDRESS icmp_seq=1 Time to live exceeded`, `From ADDRESS: icmp_seq=1 …`, `64 bytes from ADDRESS: …`
        let heard = said.lines().skip(1).find_map(|line| {
            let mut words = line.split(' ').skip_while(|it| !it.eq_ignore_ascii_case("from")).skip(1);
            words.next()?.trim_end_matches(':').parse().ok()
        });
        heard.with_context(|| format!("nobody was heard: {said}"))
    }

    fn ping_with(&self, how: &str, from: IpAddr, to: IpAddr, count: u32, bytes: u32) -> Result<u32> {
        // Its exit code says whether anything came back, which the count does as well. For the last answer ping waits no
        // longer than an interval or two round trips, if it has had one: a busy machine needs some time.
        let line = format!("ping -n -q -i 0.25 {how} -c {count} -s {bytes} -I {from} {to}");
        let mut ping = self.start(&line)?;
        ping.wait_at_most(PATIENCE)?.context("ping does not end")?;
        ping.wait_stdout("received").context("ping")?;
        let said = ping.stdout();
        let words: Vec<&str> = said.split([' ', ',']).collect();
        let at = words.iter().position(|it| *it == "received").context("no count")?;
        words[at - 1].parse().with_context(|| format!("not a count: {said}"))
    }
}

/// Asks over a socket that there is, and takes the answer to this question only.
///
/// # Errors
/// No answer.
pub fn ask(socket: &UdpSocket, question: &[u8]) -> Result<Answer> {
    socket.send(question)?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            // With a time-out it is not begun again for us, whatever the signal was (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("no answer"),
        };
        let text = String::from_utf8_lossy(&buffer[..length]);
        let mut words = text.split(' ');
        let [member, client, digest] = [(); 3].map(|()| words.next().unwrap_or_default());
        if digest == stream::digest(question) {
            return Ok(Answer { member: member.to_owned(), client: client.parse()? });
        }
    }
}

impl Answer {
    fn of(head: &str) -> Result<Self> {
        let member = field(head, "X-Member")?.to_owned();
        Ok(Answer { member, client: field(head, "X-Client")?.parse()? })
    }
}

/// Proxies write names in lower case (RFC 9110 section 5.1: case does not matter).
fn field<'a>(head: &'a str, name: &str) -> Result<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let found = fields.find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    found.with_context(|| format!("no {name} in {head}"))
}

impl Held {
    /// Who answers.
    #[must_use]
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Takes the second half.
    ///
    /// # Errors
    /// It does not come whole.
    pub fn finish(mut self) -> Result<Answer> {
        let mut rest = Vec::new();
        self.input.read_to_end(&mut rest).context("in the second half")?;
        ensure!(
            rest == stream::bytes(self.bytes)[self.bytes / 2..],
            "the second half is not what the origin sent"
        );
        Ok(self.answer)
    }
}

impl Fetch {
    /// Waits for its end.
    ///
    /// # Errors
    /// See [`Host::fetch`].
    pub fn finish(self) -> Result<Answer> {
        let Fetch { request, folder, curl } = self;
        curl.finish()?;
        let head = fs::read_to_string(folder.path().join("head"))?;
        // curl makes no file for an empty body.
        let body = fs::read(folder.path().join("body")).unwrap_or_default();
        ensure!(body == stream::bytes(request.download), "the answer is not what the origin sent");
        let sent = stream::bytes(request.upload);
        ensure!(
            field(&head, "X-Length")?.parse() == Ok(sent.len()),
            "the origin did not receive all: {head}"
        );
        ensure!(field(&head, "X-Digest")? == stream::digest(&sent), "the origin received something else");
        Answer::of(&head)
    }
}
