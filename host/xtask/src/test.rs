//! `cargo xtask test`: the packs with their cases, then every test of the workspace.

mod report;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::terminal::Terminal;
use crate::tools::{self, cargo};
use crate::{book, packs};
use report::CargoReport;
pub(crate) use report::Counts;

pub(crate) fn run(terminal: &Terminal, name: Option<&str>) -> Result<()> {
    tools::prepare(terminal)?;
    let mut counts = Counts::default();

    // The tests of the product take the program that they find.
    let shunt = tools::build_shunt(tools::Profile::Dev)?;
    if name.is_none() {
        terminal.stage("Example packs and their cases");
        for folder in packs::folders()? {
            counts += pack(terminal, &shunt, &folder)?;
        }
        terminal.stage("The book");
        counts += book::check(terminal, &shunt)?;
    }

    terminal.stage("Workspace");
    let cargo = workspace(terminal, &shunt, name)?;
    counts += cargo.counts;
    for reason in &cargo.skipped {
        terminal.line(terminal.faint(format_args!("skipped: {reason}")));
    }

    println!("\n{counts}");
    if counts.failed > 0 || !cargo.ended_well {
        bail!("not every test passed");
    }
    if counts.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// Builds a pack and runs its cases; each counts as a test.
fn pack(terminal: &Terminal, shunt: &Path, folder: &Path) -> Result<Counts> {
    let name = packs::name(folder);
    if let Err(error) = packs::build(shunt, folder) {
        terminal.failure(&error);
        return Ok(Counts { failed: 1, ..Counts::default() });
    }
    let output = Command::new(shunt)
        .args(["rule", "test"])
        .arg(folder)
        .env("CARGO_TARGET_DIR", tools::target_folder(shunt))
        .output()
        .context("cannot start shunt")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut counts = report::pack_counts(&text).unwrap_or_default();
    if output.status.success() && counts.failed == 0 {
        terminal.done(format_args!("{name}: {} cases", counts.passed));
    } else {
        // A run that could not begin has no failed case to count.
        counts.failed = counts.failed.max(1);
        print!("{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(counts)
}

fn workspace(terminal: &Terminal, shunt: &Path, name: Option<&str>) -> Result<CargoReport> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    // What a test prints is shown for those that pass as well, because it is how one says that it
    // was skipped.
    command.arg("--").arg("--show-output").args(name).env("SHUNT_BIN", shunt);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut report = CargoReport::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what cargo says")?;
        let line = String::from_utf8_lossy(&line);
        if report.take(&line) {
            terminal.line(&line);
        }
    }
    report.ended_well = child.wait().context("cannot wait for cargo")?.success();
    Ok(report)
}
