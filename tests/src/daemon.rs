//! A daemon of a test's own: `shunt run` with a folder, an admin socket and a log.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

pub use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::program::{self, Ended};
use crate::raw::{Conversation, Message, PATIENCE};

/// A running daemon. It is ended when this is dropped.
pub struct Daemon {
    child: Child,
    folder: Folder,
    /// The line that said it was ready.
    pub ready: String,
    stdout: Arc<Said>,
    stderr: Arc<Said>,
}

/// Where a configuration is, or will be.
pub struct Folder(TempDir);

/// What a stream has said so far.
#[derive(Default)]
struct Said {
    state: Mutex<(String, bool)>,
    changed: Condvar,
}

impl Folder {
    #[must_use]
    pub fn new() -> Self {
        Folder(tempfile::Builder::new().prefix("shunt-").tempdir().expect("a folder of one's own"))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path().join("shunt.toml")
    }

    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path().join("admin.sock")
    }

    /// Writes a file of this name.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("a folder that can be written");
        path
    }

    /// Writes the configuration. Where it says nothing about `[admin]`, its socket is in this folder.
    pub fn configure(&self, config: &str) {
        let admin = if config.contains("[admin]") { "" } else { "\n[admin]\nsocket = \"admin.sock\"\n" };
        self.write("shunt.toml", format!("{config}{admin}"));
    }
}

impl Default for Folder {
    fn default() -> Self {
        Folder::new()
    }
}

impl Daemon {
    /// Starts a daemon with this configuration and waits until it is ready.
    ///
    /// # Panics
    /// It does not start.
    #[track_caller]
    #[must_use]
    pub fn start(config: &str) -> Daemon {
        let folder = Folder::new();
        folder.configure(config);
        Daemon::start_in(folder)
    }

    /// As `start`, where the configuration is already in the folder.
    ///
    /// # Panics
    /// It does not start.
    #[track_caller]
    #[must_use]
    pub fn start_in(folder: Folder) -> Daemon {
        match Daemon::try_start(folder) {
            Ok(daemon) => daemon,
            Err(ended) => panic!("the daemon does not start ({:?}):\n{}", ended.code, ended.stderr),
        }
    }

    /// Starts a daemon, or says how it refused.
    ///
    /// # Errors
    /// It ended before it was ready.
    ///
    /// # Panics
    /// It neither ends nor is ready.
    pub fn try_start(folder: Folder) -> Result<Daemon, Ended> {
        Daemon::try_start_with(folder, |_| {})
    }

    /// As `try_start`, with a command that was changed: its standard error, its environment.
    ///
    /// # Errors
    /// It ended before it was ready.
    ///
    /// # Panics
    /// It neither ends nor is ready.
    pub fn try_start_with(folder: Folder, change: impl FnOnce(&mut Command)) -> Result<Daemon, Ended> {
        let mut command = program::command();
        command.args(["run", "--config"]).arg(folder.config()).stdout(Stdio::piped()).stderr(Stdio::piped());
        change(&mut command);
        Daemon::try_start_as(folder, command)
    }

    /// As `try_start`, by this command.
    ///
    /// # Errors
    /// It ended before it was ready.
    ///
    /// # Panics
    /// It neither ends nor is ready.
    pub fn try_start_as(folder: Folder, mut command: Command) -> Result<Daemon, Ended> {
        let mut child = command.spawn().expect("a program that can be started");
        let stdout = Said::listen(child.stdout.take().expect("a pipe"));
        let stderr = child.stderr.take().map_or_else(Said::nothing, Said::listen);
        let mut daemon = Daemon { child, folder, ready: String::new(), stdout, stderr };
        if daemon.stdout.wait(|text| text.contains('\n')) {
            daemon.ready = daemon.stdout.text().trim_end().to_owned();
            return Ok(daemon);
        }
        let code = daemon.wait().code();
        Err(Ended { code, stdout: daemon.stdout.whole(), stderr: daemon.stderr.whole() })
    }

    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command against it.
    pub fn shunt(&self, arguments: &[&str]) -> Ended {
        program::ended(program::command().arg("--socket").arg(self.folder.socket()).args(arguments))
    }

    /// `shunt status`, as JSON.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        self.shunt(&["status", "-o", "json"]).json()
    }

    /// Asks the admin interface, as any program would: a request on a connection of its own.
    ///
    /// # Panics
    /// Nobody answers.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Message {
        let stream = UnixStream::connect(self.folder.socket()).expect("the admin socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: admin\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Conversation::new(stream).ask([head.as_bytes(), body].concat())
    }

    /// Writes another configuration and has it put in force.
    ///
    /// # Panics
    /// It is refused.
    #[track_caller]
    pub fn reload(&self, config: &str) -> serde_json::Value {
        self.folder.configure(config);
        self.shunt(&["reload", "-o", "json"]).json()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("a process that is there");
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// It does not.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        match self.wait_at_most(PATIENCE) {
            Some(status) => status,
            None => panic!("the daemon does not end; it said:\n{}", self.log()),
        }
    }

    /// Whether it is still there.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// Waits until it has logged this text.
    ///
    /// # Panics
    /// It does not.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        assert!(self.stderr.wait(|log| log.contains(text)), "no {text:?} in the log:\n{}", self.log());
    }

    fn wait_at_most(&mut self, patience: Duration) -> Option<ExitStatus> {
        let begin = Instant::now();
        loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => return Some(status),
                None if begin.elapsed() > patience => return None,
                None => std::thread::sleep(TICK),
            }
        }
    }
}

/// Between two looks at something that gives no sign when it changes.
const TICK: Duration = Duration::from_millis(5);

/// Waits until this holds.
///
/// # Panics
/// It does not.
#[track_caller]
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(TICK);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.runs() {
            // Twice: connections that a test left open are not waited for.
            self.signal(Signal::SIGTERM);
            if self.wait_at_most(Duration::from_millis(200)).is_none() {
                self.signal(Signal::SIGTERM);
            }
            if self.wait_at_most(Duration::from_secs(5)).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        if std::thread::panicking() {
            eprintln!("the daemon said:\n{}", self.stderr.whole());
        }
    }
}

impl Said {
    /// Of a stream that goes elsewhere.
    fn nothing() -> Arc<Said> {
        let said = Arc::<Said>::default();
        said.note(|(_, ended)| *ended = true);
        said
    }

    /// Reads a stream to its end, in a thread of its own.
    fn listen(stream: impl Read + Send + 'static) -> Arc<Said> {
        let said = Arc::<Said>::default();
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                heard.note(|(text, _)| {
                    text.push_str(&String::from_utf8_lossy(&line));
                    text.push('\n');
                });
            }
            heard.note(|(_, ended)| *ended = true);
        });
        said
    }

    fn note(&self, change: impl FnOnce(&mut (String, bool))) {
        change(&mut self.state.lock().expect("nobody panics while it notes something"));
        self.changed.notify_all();
    }

    fn text(&self) -> String {
        self.state.lock().expect("nobody panics while it notes something").0.clone()
    }

    /// Everything, once the stream has ended.
    fn whole(&self) -> String {
        let state = self.state.lock().expect("nobody panics while it notes something");
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |(_, ended)| !*ended);
        waited.expect("nobody panics while it notes something").0.0.clone()
    }

    /// Waits until what was said is so; `false`: it ended, or time is up.
    fn wait(&self, until: impl Fn(&str) -> bool) -> bool {
        let state = self.state.lock().expect("nobody panics while it notes something");
        let waiting = |(text, ended): &mut (String, bool)| !*ended && !until(text);
        let waited = self.changed.wait_timeout_while(state, PATIENCE, waiting);
        let (state, _) = waited.expect("nobody panics while it notes something");
        until(&state.0)
    }
}
