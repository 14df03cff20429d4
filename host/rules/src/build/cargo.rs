//! Runs cargo on a pack.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde::Deserialize;

use super::{BuildError, BuildOptions};

/// What becomes of the compiler's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// To this process's standard error, as cargo writes them.
    Show,
    /// Kept for [`BuildError::Compile`].
    #[default]
    Keep,
}

/// Set here and not in each pack, so that a pack need not know. Level 3 makes the calls of a usual
/// rule 8 % quicker than `s`, and the smallest rule 1 KiB larger; it compiles as quickly.
const SETTINGS: [&str; 6] = [
    "profile.release.opt-level=3",
    "profile.release.lto=true",
    "profile.release.codegen-units=1",
    "profile.release.panic=\"abort\"",
    // The names of functions stay, and are taken out of the module afterwards.
    "profile.release.strip=\"debuginfo\"",
    // Stripped anyway. Said so that all packs that share a target folder share what they depend on.
    "profile.release.debug=false",
];

/// The lines of cargo's that matter: which files it made.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        manifest_path: PathBuf,
        target: Target,
        filenames: Vec<PathBuf>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether cargo failed because it cannot have what the crate depends on: then it cannot fetch it alone either.
fn unfetched(manifest: &Path) -> bool {
    let mut fetch = cargo();
    fetch.args(["fetch", "--quiet", "--manifest-path"]).arg(manifest);
    let ended = fetch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ended.is_ok_and(|status| !status.success())
}

fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// Whether the standard library of the target is not there: the compiler's own words went to the user's screen.
fn lacks_target(folder: &Path) -> bool {
    let mut rustc = rustc();
    rustc.current_dir(folder).args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]);
    let output = rustc.stdin(Stdio::null()).output().ok().filter(|it| it.status.success());
    output
        .and_then(|it| String::from_utf8(it.stdout).ok())
        .is_some_and(|it| !Path::new(it.trim_end()).is_dir())
}

/// What keeps the folders of this machine out of a module: messages of panics name source files, and the same sources
/// are to give the same pack wherever they are built. `None`: there is no rustc, which cargo says better.
fn without_folders(folder: &Path) -> Option<String> {
    let said = |arguments: &[&str]| {
        let output = rustc().current_dir(folder).args(arguments).stdin(Stdio::null()).output();
        output.ok().filter(|it| it.status.success()).and_then(|it| String::from_utf8(it.stdout).ok())
    };
    let sysroot = PathBuf::from(said(&["--print", "sysroot"])?.trim_end());
    let version = said(&["--version", "--verbose"])?;
    let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "))?;
    // Where rust-src is installed rustc names the files of the standard library there, and elsewhere so.
    let mut remapped = vec![(sysroot.join("lib/rustlib/src/rust"), format!("/rustc/{commit}"))];
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    if let Some(home) = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"))) {
        remapped.push((home.join("registry/src"), "registry".to_owned()));
    }
    remapped.push((folder.canonicalize().ok()?, "pack".to_owned()));
    let flags = remapped.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    // A TOML array is written like a JSON one.
    let flags = serde_json::to_string(&flags.collect::<Vec<_>>()).ok()?;
    Some(format!("target.wasm32-unknown-unknown.rustflags={flags}"))
}

/// Compiles the crate in `folder`; the file of its core module.
pub(super) fn build(folder: &Path, options: &BuildOptions) -> Result<PathBuf, BuildError> {
    let manifest = folder.join("Cargo.toml");
    let io = |source| BuildError::Io { path: manifest.clone(), source };
    let manifest_path = manifest.canonicalize().map_err(io)?;

    let mut command = cargo();
    command
        .current_dir(folder)
        .args(["build", "--release", "--lib", "--target", "wasm32-unknown-unknown"])
        .args(["--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(&manifest_path);
    for setting in SETTINGS {
        command.args(["--config", setting]);
    }
    if let Some(setting) = without_folders(folder) {
        command.args(["--config", &setting]);
    }
    if let Some(target_dir) = &options.target_dir {
        command.arg("--target-dir").arg(target_dir);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(match options.progress {
        Progress::Show => Stdio::inherit(),
        Progress::Keep => Stdio::piped(),
    });
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => BuildError::NoCargo,
        _ => io(error),
    })?;
    // Both pipes at once: a full one would stop cargo.
    let errors = child.stderr.take().map(|mut pipe| {
        thread::spawn(move || {
            let mut text = Vec::new();
            // What could be read is what there is to show.
            let _ = pipe.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let mut module = None;
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufReader::lines) {
        if let Ok(Message::CompilerArtifact { manifest_path: made_from, target, filenames }) =
            serde_json::from_str(&line.map_err(io)?)
            && made_from == manifest_path
            && target.crate_types.iter().any(|kind| kind == "cdylib")
        {
            module = filenames.into_iter().find(|file| file.extension().is_some_and(|kind| kind == "wasm"));
        }
    }
    let done = child.wait().map_err(io)?;
    let errors = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
    if !done.success() {
        return Err(match (lacks_target(folder), unfetched(&manifest_path)) {
            (true, _) => BuildError::NoTarget,
            (false, true) => BuildError::Fetch { messages: errors },
            (false, false) => BuildError::Compile { messages: errors },
        });
    }
    module.ok_or(BuildError::NoCdylib)
}
