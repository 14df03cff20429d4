//! The Shunt of the demo.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::interrupt::Interrupt;

/// `shunt run`, ended when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    program: PathBuf,
    socket: PathBuf,
    log: PathBuf,
}

/// How long the daemon may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(15);

/// Between two looks.
const TICK: Duration = Duration::from_millis(20);

impl Daemon {
    /// Starts it and waits until it listens. What it says goes to a file in `folder`.
    pub(crate) fn start(
        program: &Path,
        config: &Path,
        folder: &Path,
        listen: SocketAddr,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let log = folder.join("shunt.log");
        let output = File::create(&log).context("cannot write the log")?;
        let child = Command::new(program)
            .args(["run", "--config"])
            .arg(config)
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone().context("cannot write the log")?)
            .stderr(output)
            // Not in the terminal's group: Ctrl-C comes to us, and we end it in order.
            .process_group(0)
            .spawn()
            .context("cannot start shunt")?;
        let mut daemon =
            Self { child, program: program.to_path_buf(), socket: folder.join("admin.sock"), log };
        let begin = Instant::now();
        while TcpStream::connect(listen).is_err() {
            daemon.check()?;
            if begin.elapsed() > PATIENCE {
                bail!("Shunt does not listen on {listen}; it said:\n{}", daemon.last_words());
            }
            interrupt.sleep(TICK)?;
        }
        Ok(daemon)
    }

    /// Runs the client against it; gives what it printed.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .arg("--socket")
            .arg(&self.socket)
            .args(arguments)
            .output()
            .context("cannot start shunt")?;
        if !output.status.success() {
            bail!(
                "`shunt {}` was refused:\n{}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// An error if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("cannot ask after shunt")? {
            bail!("Shunt ended with {status}; it said:\n{}", self.last_words());
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let begin = Instant::now();
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may have ended already; then there is nothing to do.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        while matches!(self.child.try_wait(), Ok(None)) {
            if begin.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(TICK);
        }
    }
}
