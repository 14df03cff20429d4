//! A program that runs beside the test, and what it has said.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::PATIENCE;
use crate::namespace::{Namespace, shown};

/// A running program in a namespace. It is ended when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    shown: String,
    stdout: Arc<Said>,
    stderr: Arc<Said>,
    // The last field: the namespace goes after what runs in it.
    _namespace: Arc<Namespace>,
}

/// How long a program may take to end when it was asked to.
const FAREWELL: Duration = Duration::from_secs(5);

/// Between two looks at something that gives no sign when it changes.
pub(crate) const TICK: Duration = Duration::from_millis(5);

impl Process {
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(namespace: &Arc<Namespace>, command: &mut Command) -> Result<Self> {
        let shown = shown(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Not in the terminal's group: Ctrl-C is for whoever made the lab, who ends everything in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let stdout = child.stdout.take().map(Said::listen).unwrap_or_default();
        let stderr = child.stderr.take().map(Said::listen).unwrap_or_default();
        Ok(Process { child, shown, stdout, stderr, _namespace: Arc::clone(namespace) })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.lock().0.clone()
    }

    /// Standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.lock().0.clone()
    }

    /// Waits until standard output contains this.
    ///
    /// # Errors
    /// It ended before, or time is up.
    pub fn wait_stdout(&self, text: &str) -> Result<()> {
        self.wait_said(&self.stdout, text)
    }

    /// Waits until standard error contains this.
    ///
    /// # Errors
    /// It ended before, or time is up.
    pub fn wait_stderr(&self, text: &str) -> Result<()> {
        self.wait_said(&self.stderr, text)
    }

    fn wait_said(&self, said: &Said, text: &str) -> Result<()> {
        if !said.wait(|it| it.contains(text)) {
            bail!("`{}` did not say {text:?}, but:\n{}{}", self.shown, self.stdout(), self.stderr());
        }
        Ok(())
    }

    /// # Errors
    /// It has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).context("a process number")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("`{}` has ended", self.shown))
    }

    /// Whether it is still there.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends, and gives what it printed.
    ///
    /// # Errors
    /// It continues, or ends badly.
    pub fn finish(mut self) -> Result<String> {
        let Some(status) = self.wait_at_most(PATIENCE)? else { bail!("`{}` does not end", self.shown) };
        let (stdout, stderr) = (self.stdout.whole(), self.stderr.whole());
        if !status.success() {
            bail!("`{}` ended with {status}:\n{stdout}{stderr}", self.shown);
        }
        Ok(stdout)
    }

    /// Waits until it ends. `None`: it does not.
    ///
    /// # Errors
    /// The system does not say.
    pub fn wait_at_most(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let begin = Instant::now();
        loop {
            match self.child.try_wait()? {
                None if begin.elapsed() < patience => std::thread::sleep(TICK),
                ended => return Ok(ended),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.runs() {
            let _ = self.signal(Signal::SIGTERM);
            if !matches!(self.wait_at_most(FAREWELL), Ok(Some(_))) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

/// What a stream has said so far, and whether it has ended.
#[derive(Debug, Default)]
struct Said {
    state: Mutex<(String, bool)>,
    changed: Condvar,
}

impl Said {
    /// Reads a stream to its end, in a thread of its own.
    fn listen(stream: impl Read + Send + 'static) -> Arc<Said> {
        let said = Arc::<Said>::default();
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let mut state = heard.lock();
                state.0.push_str(&String::from_utf8_lossy(&line));
                state.0.push('\n');
                heard.changed.notify_all();
            }
            heard.lock().1 = true;
            heard.changed.notify_all();
        });
        said
    }

    fn lock(&self) -> MutexGuard<'_, (String, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything, once the stream has ended.
    fn whole(&self) -> String {
        self.wait(|_| false);
        self.lock().0.clone()
    }

    /// Waits until what was said is so; `false`: it ended, or time is up.
    fn wait(&self, until: impl Fn(&str) -> bool) -> bool {
        let waiting = |(text, ended): &mut (String, bool)| !*ended && !until(text);
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, waiting);
        until(&waited.unwrap_or_else(PoisonError::into_inner).0.0)
    }
}
