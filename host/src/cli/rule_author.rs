//! `shunt rule new|build|test`: what a rule author does, without a daemon.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shunt_rules::build::{BuildOptions, BuildOutput, Place, Progress};
use shunt_rules::cases::Report;
use shunt_rules::grants::Key;
use shunt_rules::scaffold::SdkSource;
use shunt_rules::{Pack, RuleHost, build, cases, scaffold};

use super::failure::Failure;
use super::format::count;
use super::screen::{Paint, Screen, Tone};

/// Makes the folder of a new pack.
///
/// # Errors
/// The name cannot be one, the folder is there, or there is no SDK where it is said to be.
pub(super) fn new(folder: &Path, sdk: Option<&str>, screen: &Screen) -> Result<(), Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sdk = match sdk {
        Some(asked) => asked_sdk(asked)?,
        None => own_sdk(folder),
    };
    let files = scaffold::new_pack(folder, &name, &sdk).map_err(|error| Failure::failed("pack", error))?;
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let (kind, told) = match &sdk {
        SdkSource::Vendored => (
            "vendored",
            "its sources, in vendor/sdk: the pack builds wherever crates.io can be reached".to_owned(),
        ),
        SdkSource::Path(path) => {
            ("path", format!("{}: the pack builds where that folder is", path.display()))
        }
        SdkSource::Git { url, revision: None } => {
            ("git", format!("the repository {url}, its default branch"))
        }
        SdkSource::Git { url, revision: Some(revision) } => {
            ("git", format!("the repository {url}, at {revision}"))
        }
        SdkSource::Version(version) => ("version", format!("version {version} on crates.io")),
    };
    screen.show(&json!({ "name": name, "files": files, "sdk": kind }), |paint| {
        let mut text: String =
            files.iter().map(|file| format!("{} {file}\n", paint.on(Tone::Good, "wrote"))).collect();
        text.push_str(&format!("the SDK: {told}\nnext: shunt rule test {}\n", folder.display()));
        text
    });
    Ok(())
}

/// What `--sdk` says: `vendored`, a version, the URL of a repository, or a folder with the SDK in it.
fn asked_sdk(asked: &str) -> Result<SdkSource, Failure> {
    if asked == "vendored" {
        return Ok(SdkSource::Vendored);
    }
    if asked.contains("://") || asked.starts_with("git@") {
        let (url, revision) = asked.split_once('#').unzip();
        let url = url.unwrap_or(asked).to_owned();
        return Ok(SdkSource::Git { url, revision: revision.map(str::to_owned) });
    }
    // A folder that is called like a version is `./0.1`.
    if asked.starts_with(|first: char| first.is_ascii_digit()) && !asked.contains('/') {
        return Ok(SdkSource::Version(asked.to_owned()));
    }
    let folder = PathBuf::from(asked);
    if !is_sdk(&folder) {
        let text = format!(
            "{asked} has no shunt-sdk: name the folder that has the Cargo.toml of shunt-sdk, the URL of a \
             repository, a version as 0.1, or `vendored`"
        );
        return Err(Failure::failed("pack", text));
    }
    Ok(SdkSource::Path(folder.canonicalize().unwrap_or(folder)))
}

/// Inside of the repository that this program was built from, the SDK that stands there; anywhere else its sources,
/// which are part of this program.
fn own_sdk(pack: &Path) -> SdkSource {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(|root| root.canonicalize().ok());
    let parent = pack.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let inside = root.filter(|root| is_sdk(&root.join("sdk"))).and_then(|root| {
        let parent = parent.canonicalize().ok()?;
        let below = parent.strip_prefix(root).ok()?.components().count();
        // From the pack, which is one folder further down.
        Some((0..=below).map(|_| "..").collect::<PathBuf>().join("sdk"))
    });
    inside.map_or(SdkSource::Vendored, SdkSource::Path)
}

fn is_sdk(folder: &Path) -> bool {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    manifest.contains("name = \"shunt-sdk\"") && folder.join("macros/Cargo.toml").is_file()
}

/// Compiles a pack.
///
/// # Errors
/// It does not compile, or is no rule; the compiler's messages were shown.
pub(super) fn build(folder: &Path, screen: &Screen) -> Result<(), Failure> {
    let built = compile(folder, None, screen)?;
    let (file, manifest, digest) =
        (built.file.display().to_string(), &built.manifest, built.digest.to_string());
    let notes = Notes::of(&built.open_slots, &built.idle);
    let answer = json!({
        "file": file, "name": manifest.name, "version": manifest.version.to_string(), "bytes": built.size, "digest": digest,
        "open-slots": notes.open_slots, "unused": notes.idle,
    });
    screen.show(&answer, |paint| {
        let notes = notes.told(paint);
        let size = built.size.div_ceil(1024);
        format!(
            "{notes}{} {} {}, {size} KiB: {file}\n",
            paint.on(Tone::Good, "built"),
            manifest.name,
            manifest.version
        )
    });
    Ok(())
}

/// What a build shows that is no error.
pub(super) struct Notes {
    /// Places where a slot is no literal.
    pub(super) open_slots: Vec<String>,
    /// Capabilities that the rule does not use.
    pub(super) idle: Vec<&'static str>,
}

impl Notes {
    pub(super) fn of(open_slots: &[Place], idle: &[Key]) -> Notes {
        Notes {
            open_slots: open_slots.iter().map(ToString::to_string).collect(),
            idle: idle.iter().map(|key| key.name()).collect(),
        }
    }

    /// A line for each.
    pub(super) fn told(&self, paint: Paint) -> String {
        let open = self.open_slots.iter().map(|place| {
            format!(
                "{place}: this slot is not a literal: only a case that reaches it can check whether pack.toml \
                 declares it"
            )
        });
        let idle = self.idle.iter().map(|key| {
            format!("pack.toml asks for {key} under [capabilities], which the rule does not use; remove it")
        });
        open.chain(idle).map(|note| format!("{} {note}\n", paint.on(Tone::Head, "note"))).collect()
    }
}

/// Runs the cases of a pack, after it was built as its sources are now.
///
/// # Errors
/// It does not build, or a case fails.
pub(super) fn test(folder: &Path, screen: &Screen) -> Result<(), Failure> {
    if folder.join("Cargo.toml").is_file() {
        compile(folder, None, screen)?;
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

/// `component`: what another tool has compiled in cargo's place.
pub(super) fn compile(
    folder: &Path,
    component: Option<PathBuf>,
    screen: &Screen,
) -> Result<BuildOutput, Failure> {
    // Programs get the messages with the error, in one piece.
    let progress = if screen.is_json() { Progress::Keep } else { Progress::Show };
    build::build(folder, &BuildOptions { component, target_dir: None, progress })
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
    fn where_the_sdk_is_asked_for() {
        let git = |url: &str, revision: Option<&str>| SdkSource::Git {
            url: url.to_owned(),
            revision: revision.map(str::to_owned),
        };
        for (asked, source) in [
            ("vendored", SdkSource::Vendored),
            ("0.1", SdkSource::Version("0.1".to_owned())),
            ("1.0.0-rc.1", SdkSource::Version("1.0.0-rc.1".to_owned())),
            ("https://example.org/shunt", git("https://example.org/shunt", None)),
            ("https://example.org/shunt#v0.1.0", git("https://example.org/shunt", Some("v0.1.0"))),
            ("git@example.org:shunt#main", git("git@example.org:shunt", Some("main"))),
        ] {
            assert_eq!(asked_sdk(asked).unwrap(), source, "{asked}");
        }
        for none in ["./0.1", "0.1/sdk", "sdk", ""] {
            assert!(asked_sdk(none).is_err(), "{none}");
        }
    }

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
