//! Shunt itself, on its host.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::host::Host;
use crate::namespace::{self, output};
use crate::process::Process;

/// `shunt run` in the namespace of a host. It is ended in order when this is dropped.
#[derive(Debug)]
pub struct Shunt {
    process: Process,
    program: PathBuf,
    folder: TempDir,
}

impl Shunt {
    /// Starts it and waits until it is ready. The configuration says nothing of `[admin]`.
    ///
    /// # Errors
    /// It refuses to start; what it said is told.
    pub fn start(host: &Host, program: &Path, config: &str) -> Result<Self> {
        let folder = namespace::folder("shunt")?;
        write(&folder, config)?;
        let mut command = host.command(program);
        command.args(["run", "--config"]).arg(folder.path().join(CONFIG));
        // What people have set for themselves is not the test's.
        command.env_remove("SHUNT_LOG").env("NO_COLOR", "1");
        let process = Process::start(&Arc::clone(host.namespace()), &mut command)?;
        let shunt = Shunt { process, program: program.to_path_buf(), folder };
        shunt.process.wait_stdout("\n").context("Shunt does not start")?;
        Ok(shunt)
    }

    /// Writes another configuration and has it put in force.
    ///
    /// # Errors
    /// It is refused.
    pub fn reload(&self, config: &str) -> Result<String> {
        write(&self.folder, config)?;
        self.client(&["reload"])
    }

    /// Runs the client program against it, and gives what it printed.
    ///
    /// # Errors
    /// It ends with an exit code other than 0.
    pub fn client(&self, arguments: &[&str]) -> Result<String> {
        output(Command::new(&self.program).arg("--socket").arg(self.socket()).args(arguments))
    }

    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where its admin socket is.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// Where its configuration is.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join(CONFIG)
    }

    /// Everything that it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// Whether it is still there.
    pub fn runs(&mut self) -> bool {
        self.process.runs()
    }

    /// Ends it as its supervisor does, and gives back all that it said.
    ///
    /// # Errors
    /// It does not end for as long as it waits for flows, and longer.
    pub fn drain(mut self) -> Result<String> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait_at_most(PATIENCE)?.context("it does not end")?;
        Ok(self.log())
    }

    /// Ends it as the system does when there is no memory: at once, and without a farewell.
    ///
    /// # Errors
    /// It has ended already.
    pub fn kill(mut self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait_at_most(PATIENCE)?.context("it does not end")?;
        Ok(())
    }
}

impl Drop for Shunt {
    fn drop(&mut self) {
        // Twice: what clients left open is not waited for.
        let _ = self.process.signal(Signal::SIGTERM);
        if !matches!(self.process.wait_at_most(DRAIN), Ok(Some(_))) {
            let _ = self.process.signal(Signal::SIGTERM);
        }
        if std::thread::panicking() {
            eprintln!("Shunt said:\n{}", self.log());
        }
    }
}

/// How long it may wait for flows that are open.
const DRAIN: Duration = Duration::from_millis(200);

const CONFIG: &str = "shunt.toml";

fn write(folder: &TempDir, config: &str) -> Result<()> {
    let admin = format!("\n[admin]\nsocket = \"{}\"\n", folder.path().join("admin.sock").display());
    let path = folder.path().join(CONFIG);
    std::fs::write(&path, format!("{config}{admin}"))
        .with_context(|| format!("cannot write {}", path.display()))
}
