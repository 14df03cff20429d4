//! A host of the lab: a namespace with links, and commands that run on it.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::PATIENCE;
use crate::namespace::{Namespace, output};
use crate::process::{Process, TICK};

/// A host. What it is told is written as an operator would type it, so that it can be shown as well.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    namespace: Arc<Namespace>,
}

impl Host {
    pub(crate) fn create(lab: u32, name: &str) -> Result<Self> {
        let host = Host { name: name.to_owned(), namespace: Namespace::create(lab, name)? };
        // Link-local addresses are there at once, others only where they were configured.
        host.all(&[
            "sysctl -w net.ipv6.conf.default.accept_dad=0",
            "sysctl -w net.ipv6.conf.default.accept_ra=0",
            "sysctl -w net.ipv4.conf.all.rp_filter=0",
            "sysctl -w net.ipv4.conf.default.rp_filter=0",
            "sysctl -w net.ipv4.conf.all.send_redirects=0",
            "sysctl -w net.ipv4.conf.default.send_redirects=0",
        ])?;
        Ok(host)
    }

    /// What it is called in the lab.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// A program that will run on this host.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.namespace.command(program)
    }

    /// Runs a command line of words with blanks between them, and gives what it printed.
    ///
    /// # Errors
    /// It ends with an exit code other than 0.
    pub fn run(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let done = match words.as_slice() {
            ["ip", rest @ ..] => output(Command::new("ip").args(["-n", self.namespace.name()]).args(rest)),
            ["sysctl", "-w", assignment] => self.sysctl(assignment),
            [program, rest @ ..] => output(self.command(program).args(rest)),
            [] => bail!("an empty command line"),
        };
        done.with_context(|| format!("on host {}", self.name))
    }

    /// Runs several command lines.
    ///
    /// # Errors
    /// One fails; those after it are not run.
    pub fn all(&self, lines: &[impl AsRef<str>]) -> Result<()> {
        lines.iter().try_for_each(|line| self.run(line.as_ref()).map(drop))
    }

    /// Runs a command line that reads `input`.
    ///
    /// # Errors
    /// It ends with an exit code other than 0.
    pub fn feed(&self, line: &str, input: &str) -> Result<()> {
        let mut words = line.split_whitespace();
        let mut command = self.command(words.next().context("an empty command line")?);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).with_context(|| format!("`{line}` does not read"))?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("on host {}: `{line}`: {}", self.name, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Starts a program in the background.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, line: &str) -> Result<Process> {
        let mut words = line.split_whitespace();
        let mut command = self.command(words.next().context("an empty command line")?);
        Process::start(&self.namespace, command.args(words))
    }

    /// Does some work in this host's namespace; see [`Namespace::within`].
    ///
    /// # Errors
    /// The namespace cannot be entered, or the work panicked.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.namespace.within(work)
    }

    /// A TCP connection from one of its addresses.
    ///
    /// # Errors
    /// It is refused, or nobody answers in time.
    pub fn connect(&self, from: IpAddr, to: SocketAddr) -> Result<TcpStream> {
        self.connect_from(SocketAddr::new(from, 0), to)
    }

    /// A TCP connection from one of its addresses and ports.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_from(&self, from: SocketAddr, to: SocketAddr) -> Result<TcpStream> {
        self.within(|| -> std::io::Result<TcpStream> {
            let socket = socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None)?;
            socket.bind(&from.into())?;
            socket.connect_timeout(&to.into(), PATIENCE)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok(socket.into())
        })?
        .with_context(|| format!("host {} cannot connect from {from} to {to}", self.name))
    }

    /// Waits until the kernel sends by a link: a moment after somebody has taken its other end. Before, it drops.
    ///
    /// # Errors
    /// It has no such link, or nobody takes the other end.
    pub fn wait_carrier(&self, link: &str) -> Result<()> {
        let begin = Instant::now();
        while self.run(&format!("ip -o link show dev {link}"))?.contains("NO-CARRIER") {
            ensure!(begin.elapsed() < PATIENCE, "nobody has the other end of {link} on host {}", self.name);
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// The MAC of a link.
    ///
    /// # Errors
    /// It has no such link.
    pub fn mac(&self, link: &str) -> Result<String> {
        let shown = self.run(&format!("ip -o link show dev {link}"))?;
        let mac = shown.split_whitespace().skip_while(|it| *it != "link/ether").nth(1);
        mac.map(str::to_owned).with_context(|| format!("no MAC in {shown}"))
    }

    /// What the kernel has learned of the way to an address: bytes of the largest IP datagram that gets there whole.
    /// `None`: it has heard nothing.
    ///
    /// # Errors
    /// There is no route.
    pub fn path_mtu(&self, from: IpAddr, to: IpAddr) -> Result<Option<u32>> {
        let route = self.run(&format!("ip route get {to} from {from}"))?;
        // The `expires` tells what was learned from what was configured.
        let mut words = route.split_whitespace().skip_while(|it| *it != "expires");
        if words.next().is_none() {
            return Ok(None);
        }
        let mtu = route.split_whitespace().skip_while(|it| *it != "mtu").nth(1);
        Ok(mtu.and_then(|it| it.parse().ok()))
    }

    /// `name=value`, as `sysctl -w` takes it.
    fn sysctl(&self, assignment: &str) -> Result<String> {
        let (name, value) = assignment.split_once('=').context("no value is given")?;
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        // What a file of /proc/sys/net is depends on the namespace of the thread that opens it.
        self.within(|| fs::write(&path, value))?.with_context(|| format!("sysctl -w {assignment}"))?;
        Ok(String::new())
    }
}
