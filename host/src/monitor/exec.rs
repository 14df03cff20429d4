//! A program must exit with 0.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use shunt_config::monitors::Exec;
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::dialogue::shown;
use super::probe::{self, Ask, Good, ProbeTransport, Probing};

/// Why it did not succeed.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("cannot run {program}: {error}")]
    NotRun { program: String, error: io::Error },
    #[error("{status}{}", told(.said))]
    Failed { status: ExitStatus, said: String },
}

fn told(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// How much of its output is kept; the rest is read and dropped, so that it does not wait for a reader.
const MOST_KEPT: usize = 4096;

impl Ask for Exec {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, probe::Failure> {
        let not_run = |error| Failure::NotRun { program: self.program.display().to_string(), error };
        let (mut output, mut running) = start(self, &probing).map_err(not_run)?;
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let length = output.read(&mut buffer).await.map_err(not_run)?;
            if length == 0 {
                break;
            }
            let room = MOST_KEPT.saturating_sub(said.len()).min(length);
            said.extend_from_slice(buffer.get(..room).unwrap_or_default());
        }
        let status = running.exit().await.map_err(not_run)?;
        let said = shown(&said);
        if !status.success() {
            return Err(Failure::Failed { status, said }.into());
        }
        Ok(if said.is_empty() { Good::from("exit status: 0") } else { said.into() })
    }
}

/// Starts it, with nothing in its environment but what is said here.
fn start<S: ProbeTransport>(exec: &Exec, probing: &Probing<'_, S>) -> io::Result<(Receiver, Running)> {
    let (output, writer) = io::pipe()?;
    let child = Command::new(&exec.program)
        .args(&exec.arguments)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("SHUNT_MEMBER_ADDRESS", probing.to.ip().to_string())
        .env("SHUNT_MEMBER_PORT", probing.to.port().to_string())
        .env("SHUNT_TIMEOUT_MS", probing.timeout.as_millis().to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    let running = Running(Some(child));
    Ok((Receiver::from_owned_fd(OwnedFd::from(output))?, running))
}

/// A program that runs; it is killed when this is dropped.
struct Running(Option<Child>);

impl Running {
    /// Waits for its end, which comes soon after that of its output.
    async fn exit(&mut self) -> io::Result<ExitStatus> {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(child) = &mut self.0
                && let Some(status) = child.try_wait()?
            {
                self.0 = None;
                return Ok(status);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        // It may have ended by itself.
        let _ = child.kill();
        // One that the kernel does not let go of must not hold up the others.
        let wait = std::thread::Builder::new().name("shunt-reap".to_owned());
        let _ = wait.spawn(move || child.wait());
    }
}
