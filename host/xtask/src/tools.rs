//! The programs that the others call, and what must be installed for them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::progress;
use crate::terminal::Terminal;

pub(crate) const GUEST_TARGET: &str = "wasm32-unknown-unknown";

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // host/xtask, two levels below.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command, its output shown as it comes; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy);
    format!("`{}`", words.collect::<Vec<_>>().join(" "))
}

/// The path as one would type it in the current folder.
pub(crate) fn from_here(path: &Path) -> &Path {
    std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}

/// Whether a program is installed.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Makes sure that what every build needs is there, and adds what rustup can add.
pub(crate) fn prepare(terminal: &Terminal) -> Result<()> {
    if !installed("cc") && std::env::var_os("CC").is_none() {
        bail!("a C compiler is missing; install one: `apt-get install gcc` or `dnf install gcc`");
    }
    if guest_target_installed()? {
        return Ok(());
    }
    if !installed("rustup") {
        bail!("the Rust target {GUEST_TARGET} is missing, and so is rustup to add it: see https://rustup.rs");
    }
    terminal.line(format_args!("adding the Rust target {GUEST_TARGET}"));
    run(Command::new("rustup").args(["target", "add", GUEST_TARGET]).current_dir(root()))
}

/// How `shunt` is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For tests: with debug assertions.
    Dev,
    /// For people who wait for it: what compiles soonest.
    Demo,
    /// As it is shipped; takes minutes.
    Release,
}

impl Profile {
    /// As `Cargo.toml` names it.
    fn name(self) -> &'static str {
        match self {
            Profile::Dev => "dev",
            Profile::Demo => "demo",
            Profile::Release => "release",
        }
    }
}

/// Builds the `shunt` program and gives its path.
pub(crate) fn build_shunt(profile: Profile) -> Result<PathBuf> {
    let mut command = build_command(profile);
    let output =
        command.stdout(Stdio::piped()).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("Shunt does not build");
    }
    program(&String::from_utf8_lossy(&output.stdout))
}

/// The same, with one line that counts in place of cargo's.
pub(crate) fn build_shunt_shown(terminal: &Terminal, profile: Profile) -> Result<PathBuf> {
    let ended = progress::watch(terminal, &mut build_command(profile))?;
    if !ended.status.success() {
        bail!("Shunt does not build:\n{}", ended.messages);
    }
    program(&ended.stdout)
}

fn build_command(profile: Profile) -> Command {
    let mut command = cargo();
    command.args(["build", "--package", "shunt", "--profile", profile.name()]);
    command.args(["--message-format", "json-render-diagnostics"]);
    command
}

/// The path of the program among cargo's messages.
fn program(messages: &str) -> Result<PathBuf> {
    // One JSON object per line; the artifact of the program names its path
    // (the Cargo book, "External tools", JSON messages).
    let path = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| {
            let is_shunt = message["reason"] == "compiler-artifact" && message["target"]["name"] == "shunt";
            message["executable"].as_str().filter(|_| is_shunt).map(PathBuf::from)
        });
    path.context("cargo did not say where it put `shunt`")
}

/// Cargo's target folder, in which `shunt` was built: `target/debug/shunt`.
pub(crate) fn target_folder(shunt: &Path) -> &Path {
    shunt.ancestors().nth(2).unwrap_or(shunt)
}

/// Cargo's target folder of this workspace.
pub(crate) fn workspace_target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The target triple of programs that run here.
pub(crate) fn host_target() -> Result<String> {
    let output =
        Command::new("rustc").arg("-vV").current_dir(root()).output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what it builds for")?.to_owned())
}

fn guest_target_installed() -> Result<bool> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", GUEST_TARGET])
        .current_dir(root())
        .output()
        .context("cannot start rustc")?;
    let folder = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(folder.trim()).is_dir())
}
