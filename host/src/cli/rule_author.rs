//! `shunt rule new|build|test`: what a rule author does, without a daemon.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shunt_rules::build::{BuildOptions, BuildOutput, Progress};
use shunt_rules::cases::Report;
use shunt_rules::scaffold::SdkSource;
use shunt_rules::{Pack, RuleHost, build, cases, scaffold};

use super::failure::Failure;
use super::screen::{Paint, Screen, Tone};
use super::words::count;

/// Makes the folder of a new pack.
///
/// # Errors
/// The name cannot be one, or the folder is there.
pub(super) fn new(folder: &Path, screen: &Screen) -> Result<(), Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files = scaffold::new_pack(folder, &name, &sdk()).map_err(|error| Failure::failed("pack", error))?;
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    screen.show(&json!({ "name": name, "files": files }), |paint| {
        let mut text: String =
            files.iter().map(|file| format!("{} {file}\n", paint.on(Tone::Good, "wrote"))).collect();
        text.push_str(&format!("next: shunt rule test {}\n", folder.display()));
        text
    });
    Ok(())
}

/// The SDK beside which this program was built, where that is; else the one in the registry.
fn sdk() -> SdkSource {
    let program = std::env::current_exe().unwrap_or_default();
    let beside = program.ancestors().skip(1).map(|folder| folder.join("sdk"));
    // A target folder may be anywhere: then the sources that this was built from, if they are still there.
    let beside = beside.chain([PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk"))]);
    let is_sdk =
        |folder: &PathBuf| folder.join("macros/Cargo.toml").is_file() && folder.join("Cargo.toml").is_file();
    match beside.into_iter().find(is_sdk) {
        Some(folder) => SdkSource::Path(folder.canonicalize().unwrap_or(folder)),
        None => SdkSource::Version(
            concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR")).to_owned(),
        ),
    }
}

/// Compiles a pack.
///
/// # Errors
/// It does not compile, or is no rule; the compiler's messages were shown.
pub(super) fn build(folder: &Path, screen: &Screen) -> Result<(), Failure> {
    let built = compile(folder, screen)?;
    let (file, manifest, digest) =
        (built.file.display().to_string(), built.manifest, built.digest.to_string());
    let answer = json!({
        "file": file, "name": manifest.name, "version": manifest.version, "bytes": built.size, "digest": digest,
    });
    screen.show(&answer, |paint| {
        let size = built.size.div_ceil(1024);
        format!(
            "{} {} {}, {size} KiB: {file}\n",
            paint.on(Tone::Good, "built"),
            manifest.name,
            manifest.version
        )
    });
    Ok(())
}

/// Runs the cases of a pack, after it was built as its sources are now.
///
/// # Errors
/// It does not build, or a case fails.
pub(super) fn test(folder: &Path, screen: &Screen) -> Result<(), Failure> {
    if folder.join("Cargo.toml").is_file() {
        compile(folder, screen)?;
    }
    let pack = Pack::read(folder).map_err(|error| Failure::failed("pack", error))?;
    let host = RuleHost::new().map_err(|error| Failure::failed("system", error))?;
    let report =
        cases::run(&host, &pack, &folder.join("cases")).map_err(|error| Failure::failed("cases", error))?;
    let failed = report.failed().count();
    screen.show(&report_json(&report), |paint| told(&report, paint));
    if failed == 0 {
        Ok(())
    } else {
        Err(Failure::failed("cases", format!("{} failed", count(failed, "case"))))
    }
}

fn compile(folder: &Path, screen: &Screen) -> Result<BuildOutput, Failure> {
    // Programs get the messages with the error, in one piece.
    let progress = if screen.is_json() { Progress::Keep } else { Progress::Show };
    build::build(folder, &BuildOptions { target_dir: None, progress })
        .map_err(|error| Failure::failed("build", error))
}

fn report_json(report: &Report) -> Value {
    let cases = report.cases.iter().map(|case| {
        let differences: Vec<String> = case.differences.iter().map(ToString::to_string).collect();
        json!({
            "name": case.name, "file": case.file.display().to_string(), "line": case.line,
            "passed": differences.is_empty(), "differences": differences, "log": case.log,
        })
    });
    let cases: Vec<Value> = cases.collect();
    let failed = report.failed().count();
    json!({ "passed": cases.len() - failed, "failed": failed, "cases": cases })
}

/// A line for each case, what is wrong below it, and the counts in a line of their own at the end.
fn told(report: &Report, paint: Paint) -> String {
    let mut text = String::new();
    for case in &report.cases {
        if case.differences.is_empty() {
            text.push_str(&format!("{}  {}\n", paint.on(Tone::Good, "ok"), case.name));
            continue;
        }
        let wrong = case.to_string();
        let (first, rest) = wrong.split_once('\n').unwrap_or((&wrong, ""));
        text.push_str(&format!("{}  {first}\n", paint.on(Tone::Bad, "no")));
        let log = case.log.iter().map(|line| format!("logged {line}"));
        for line in rest.lines().map(str::to_owned).chain(log) {
            text.push_str(&format!("    {line}\n"));
        }
    }
    let failed = report.failed().count();
    text.push_str(&format!("\n{} passed, {failed} failed\n", report.cases.len() - failed));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use shunt_rules::cases::CaseReport;

    #[test]
    fn what_is_told() {
        let good = CaseReport {
            file: "cases/a.toml".into(),
            line: 1,
            name: "all".to_owned(),
            differences: Vec::new(),
            log: vec!["info: x".to_owned()],
        };
        let report = Report { cases: vec![good.clone(), good] };
        assert_eq!(told(&report, Paint(false)), "ok  all\nok  all\n\n2 passed, 0 failed\n");
        assert_eq!(report_json(&report)["passed"], 2);
    }
}
