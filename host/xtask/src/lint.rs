//! `cargo xtask lint`

use anyhow::Result;

use crate::terminal::Terminal;
use crate::tools::{self, cargo};

pub(crate) fn run(terminal: &Terminal) -> Result<()> {
    tools::prepare(terminal)?;
    terminal.stage("Format");
    tools::run(cargo().args(["fmt", "--all", "--check"]))?;
    terminal.stage("Lints of the host");
    tools::run(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;

    // Once more as guests: part of the SDK is compiled only there.
    terminal.stage("Lints of the rules");
    tools::run(cargo().args(["clippy", "--quiet", "--target", "wasm32-unknown-unknown"]).args([
        "--package",
        "shunt-sdk",
        "--package",
        "shunt-example-*",
        "--",
        "-D",
        "warnings",
    ]))?;
    terminal.done("nothing to mend");
    Ok(())
}
