//! `cargo xtask lint`: format, lints, and documentation without warnings.

use anyhow::Result;

use crate::terminal::Terminal;
use crate::tools::{self, cargo};

/// The rules that tests of the rule host run: a workspace of their own, built for wasm only.
const GUESTS: &str = "tests/guests/Cargo.toml";
/// The kernel program: formatted like the rest; its lints need its own tool chain.
const BPF: &str = "host/bpf/Cargo.toml";

pub(crate) fn run(terminal: &Terminal) -> Result<()> {
    tools::prepare(terminal)?;
    terminal.stage("Format");
    tools::run(cargo().args(["fmt", "--all", "--check"]))?;
    for workspace in [GUESTS, BPF] {
        tools::run(cargo().args(["fmt", "--all", "--check", "--manifest-path", workspace]))?;
    }

    terminal.stage("Lints");
    clippy(&["--workspace", "--all-targets"])?;

    // Once more as guests: part of the SDK is compiled only there.
    terminal.stage("Lints of the rules");
    let guest = ["--target", tools::GUEST_TARGET];
    clippy(&[&guest[..], &["--package", "shunt-sdk", "--package", "shunt-example-*"]].concat())?;
    clippy(&[&guest[..], &["--manifest-path", GUESTS, "--workspace"]].concat())?;

    // For the SDK it is what authors read; for the rest, links that lead nowhere.
    terminal.stage("Documentation");
    let mut command = cargo();
    command.args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    tools::run(&mut command)?;
    terminal.done("nothing to mend");
    Ok(())
}

fn clippy(arguments: &[&str]) -> Result<()> {
    let mut command = cargo();
    command.args(["clippy", "--quiet"]).args(arguments).args(["--", "-D", "warnings"]);
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        // The other workspace would begin a folder of its own, and compile all that it shares again.
        command.env("CARGO_TARGET_DIR", tools::root().join("target"));
    }
    tools::run(&mut command)
}
