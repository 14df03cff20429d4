//! A program must exit with 0.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use shunt_config::monitors::Exec;
use shunt_sys::process::kill_group;
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
    #[error("it prints more than 1 MiB")]
    Flood,
}

fn told(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// How much of its output is kept; the rest is read and dropped, so that it does not wait for a reader.
const MOST_KEPT: usize = 4096;
/// How much it may print, so that what floods does not keep this thread from the other monitors until the time-out.
const MOST_READ: usize = 1 << 20;

impl Ask for Exec {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, probe::Failure> {
        let not_run = |error| Failure::NotRun { program: self.program.display().to_string(), error };
        let (mut output, mut running) = start(self, &probing).map_err(not_run)?;
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        let mut read = 0;
        loop {
            let length = output.read(&mut buffer).await.map_err(not_run)?;
            if length == 0 {
                break;
            }
            read += length;
            if read > MOST_READ {
                return Err(Failure::Flood.into());
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
        .process_group(0)
        .spawn()?;
    let running = Running(Some(child));
    Ok((Receiver::from_owned_fd(OwnedFd::from(output))?, running))
}

/// A program that runs; it and what it started are killed when this is dropped.
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
        let _ = kill_group(&child);
        // One that the kernel does not let go of must not hold up the others.
        let wait = std::thread::Builder::new().name("shunt-reap".to_owned());
        let _ = wait.spawn(move || child.wait());
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    use shunt_config::monitors::{Exec, Origin, Probe as Does};

    use super::super::probe::Probe;

    /// How long a test waits for what comes.
    const PATIENCE: Duration = Duration::from_secs(10);

    fn probe(program: &str, arguments: &[&str]) -> Probe {
        let arguments = arguments.iter().map(|it| (*it).to_owned()).collect();
        let does = Does::Exec(Exec { program: program.into(), arguments });
        let (address, timeout) = (([127, 0, 0, 1], 80).into(), Duration::from_secs(3600));
        Probe {
            address,
            does,
            timeout,
            proxy_protocol: None,
            tls: None,
            origin: Origin::default(),
            judge: None,
        }
    }

    #[tokio::test]
    async fn a_program_that_floods_is_not_read_to_its_end() {
        let failure = probe("/bin/cat", &["/dev/zero"]).run().await.unwrap_err();
        assert_eq!(failure.to_string(), "it prints more than 1 MiB");
        let good = probe("/bin/sh", &["-c", "echo fine; yes '' | head -c 1000000 >&2"]).run().await.unwrap();
        assert_eq!(good.to_string(), "fine", "it may print more than is kept");
    }

    #[tokio::test]
    async fn a_program_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("alive");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // What it starts holds the pipe open, and not its output.
        let script = format!("sleep 1000 >{} 2>&1 & wait", pipe.display());
        let probe = probe("/bin/sh", &["-c", &script]);
        // It is open once the child has opened it.
        let opened = tokio::task::spawn_blocking(move || File::open(pipe).unwrap());
        let mut pipe = tokio::select! {
            outcome = probe.run() => panic!("it ended: {outcome:?}"),
            pipe = opened => pipe.unwrap(),
        };
        let (send, receive) = mpsc::channel();
        std::thread::Builder::new().spawn(move || send.send(pipe.read(&mut [0]).unwrap())).unwrap();
        assert_eq!(receive.recv_timeout(PATIENCE), Ok(0), "what it started is still there");
    }
}
