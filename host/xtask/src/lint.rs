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

    // The packs are a workspace of their own: they are built for another machine.
    let packs = "rules-examples/Cargo.toml";
    terminal.stage("Format and lints of the rules");
    tools::run(cargo().args(["fmt", "--manifest-path", packs, "--all", "--check"]))?;
    tools::run(cargo().args(["clippy", "--quiet", "--manifest-path", packs, "--workspace"]).args([
        "--target",
        "wasm32-unknown-unknown",
        "--",
        "-D",
        "warnings",
    ]))?;
    terminal.done("nothing to mend");
    Ok(())
}
