//! `cargo xtask publish`: whether the SDK could be published as it is. Nothing is uploaded.

use anyhow::Result;

use crate::terminal::Terminal;
use crate::tools::{self, cargo};

/// In the order in which they depend on each other.
const CRATES: [&str; 2] = ["shunt-sdk-macros", "shunt-sdk"];

pub(crate) fn run(terminal: &Terminal) -> Result<()> {
    terminal.stage("The SDK, as crates.io would have it");
    let mut command = cargo();
    // What is not committed yet is to be right as well.
    command.args(["publish", "--dry-run", "--quiet", "--allow-dirty"]);
    for name in CRATES {
        command.args(["--package", name]);
    }
    tools::run(&mut command)?;
    terminal.done("both crates are packed, and build of what was packed");
    Ok(())
}
