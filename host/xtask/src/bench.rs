//! `cargo xtask bench`

use anyhow::Result;

use crate::terminal::Terminal;
use crate::tools::{self, cargo};

/// The crates that have benches.
const CRATES: [&str; 3] = ["shunt-engine", "shunt-rules", "shunt-packets"];

pub(crate) fn run(terminal: &Terminal, name: Option<&str>) -> Result<()> {
    tools::prepare(terminal)?;
    let mut command = cargo();
    command.arg("bench");
    for package in CRATES {
        command.args(["--package", package]);
    }
    tools::run(command.args(["--benches", "--"]).args(name))
}
