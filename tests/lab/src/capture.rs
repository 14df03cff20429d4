//! What went over the segments, kept where a test failed.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::host::Host;
use crate::namespace::output;
use crate::process::Process;

/// One capture per segment, by tcpdump. Without tcpdump there is none.
#[derive(Debug)]
pub(crate) struct Captures {
    folder: Option<TempDir>,
    running: Mutex<Vec<Process>>,
}

/// Bytes of each frame: every header, and the beginning of what is in it.
const SNAP: u32 = 192;

impl Captures {
    pub(crate) fn new(story: &str) -> Result<Self> {
        let plain = |it: char| if it.is_ascii_alphanumeric() { it } else { '-' };
        let prefix: String = story.chars().map(plain).collect();
        let folder = tempfile::Builder::new().prefix(&format!("shunt-lab-{prefix}-")).tempdir();
        let folder = folder.context("cannot make a folder for captures")?;
        Ok(Captures { folder: Some(folder), running: Mutex::default() })
    }

    /// Begins with a bridge of the switch.
    pub(crate) fn start(&self, switch: &Host, bridge: &str) -> Result<()> {
        if output(Command::new("tcpdump").arg("--version")).is_err() {
            println!("no captures: tcpdump is not installed");
            return Ok(());
        }
        // -U: what was seen is in the file; -Z root: nobody else may write there.
        let path = self.path(bridge);
        let capture =
            switch.start(&format!("tcpdump -i {bridge} -s {SNAP} -U -Z root -w {}", path.display()))?;
        capture.wait_stderr("listening on")?;
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(capture);
        Ok(())
    }

    /// What was captured so far, one line per frame.
    pub(crate) fn read(&self, bridge: &str, filter: &str) -> Result<String> {
        output(Command::new("tcpdump").args(["-n", "-e", "-v", "-r"]).arg(self.path(bridge)).arg(filter))
    }

    pub(crate) fn keep(&mut self) {
        if let Some(folder) = self.folder.take() {
            println!("captures are kept in {}", folder.keep().display());
        }
    }

    fn path(&self, bridge: &str) -> PathBuf {
        let folder = self.folder.as_ref().map(TempDir::path).unwrap_or_else(|| "".as_ref());
        folder.join(format!("{bridge}.pcap"))
    }
}

impl Drop for Captures {
    fn drop(&mut self) {
        // All are told before the first is waited for.
        let running = std::mem::take(self.running.get_mut().unwrap_or_else(PoisonError::into_inner));
        for capture in &running {
            let _ = capture.signal(Signal::SIGINT);
        }
        drop(running);
        if std::thread::panicking() {
            self.keep();
        }
    }
}
