//! What clients do: real programs with the kernel's own TCP.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
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
    hold: bool,
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
        Request { from, to, upload: 0, download: 0, hold: false, patience: PATIENCE }
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

    /// Asks for the second half of it only when the origin is told to send it.
    #[must_use]
    pub fn held(self) -> Self {
        Request { hold: true, ..self }
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
        let hold = if self.hold { "hold/" } else { "" };
        format!("--interface {from} http://{to}/{hold}{download}")
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
        let folder = tempfile::Builder::new().prefix("shunt-lab-curl-").tempdir()?;
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
        ask(&socket, question).with_context(|| format!("{question:?} over UDP from {from} to {to}"))
    }

    /// Sends so many ICMP echo requests of so many bytes (without headers), and gives how many were answered.
    ///
    /// # Errors
    /// There is no ping.
    pub fn ping(&self, from: IpAddr, to: IpAddr, count: u32, bytes: u32) -> Result<u32> {
        // -M do: not in fragments. Its exit code says whether anything came back, which the count does as well.
        let line = format!("ping -n -q -i 0.05 -W 2 -c {count} -s {bytes} -M do -I {from} {to}");
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
        let length = socket.recv(&mut buffer).context("no answer")?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        let mut words = text.split(' ');
        let [member, client, digest] = [(); 3].map(|()| words.next().unwrap_or_default());
        if digest == stream::digest(question) {
            return Ok(Answer { member: member.to_owned(), client: client.parse()? });
        }
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
        let field = |name: &str| -> Result<&str> {
            let found = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found.with_context(|| format!("no {name} in {head}"))
        };
        // curl makes no file for an empty body.
        let body = fs::read(folder.path().join("body")).unwrap_or_default();
        ensure!(body == stream::bytes(request.download), "the answer is not what the origin sent");
        let sent = stream::bytes(request.upload);
        ensure!(field("X-Length")?.parse() == Ok(sent.len()), "the origin received {}", field("X-Length")?);
        ensure!(field("X-Digest")? == stream::digest(&sent), "the origin received something else");
        Ok(Answer { member: field("X-Member")?.to_owned(), client: field("X-Client")?.parse()? })
    }
}
