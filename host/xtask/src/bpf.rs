//! `cargo xtask bpf`: the XDP program, built and proved.
//!
//! The object is committed, so that only who changes the program needs its tool chain. Beside it stands
//! a list of digests, of it and of what it was made from; a test of `shunt-sys` compares them, and
//! `sha256sum -c` can.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::terminal::Terminal;
use crate::tools::{self, cargo};

const TARGET: &str = "bpfel-unknown-none";
const OBJECT: &str = "host/bpf/shunt.bpf.o";
const DIGESTS: &str = "host/bpf/shunt.bpf.sha256";
/// What the program is made from, beside `host/bpf/src`. Of `shunt-wire` it uses no more than this.
const SOURCES: [&str; 7] = [
    "host/bpf/Cargo.lock",
    "host/bpf/Cargo.toml",
    "host/wire/src/address.rs",
    "host/wire/src/ip/numbers.rs",
    "host/wire/src/names.rs",
    "host/wire/src/steering.rs",
    "rust-toolchain.toml",
];

/// What to do with what was built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Built {
    /// It becomes the committed object.
    Commit,
    /// It has to be the committed object, byte for byte. Where the tool chain is missing, nothing is
    /// built, and that is said.
    Compare,
}

pub(crate) fn run(terminal: &Terminal, built: Built) -> Result<()> {
    terminal.stage("The XDP program");
    let linker = match (tool_chain(), built) {
        (Ok(linker), _) => linker,
        (Err(missing), Built::Commit) => return Err(missing),
        (Err(missing), Built::Compare) => {
            terminal.line(format_args!("skipped: {missing}"));
            return Ok(());
        }
    };
    let object = tools::root().join(OBJECT);
    let made = fs::read(build()?).context("cargo left no object")?;
    if built == Built::Commit {
        fs::write(&object, made).with_context(|| format!("cannot write {OBJECT}"))?;
        fs::write(tools::root().join(DIGESTS), digests(&linker)?)
            .with_context(|| format!("cannot write {DIGESTS}"))?;
        terminal.done(format_args!("{OBJECT} and {DIGESTS}"));
        return Ok(());
    }
    if fs::read(&object).with_context(|| format!("cannot read {OBJECT}"))? != made {
        let listed = fs::read_to_string(tools::root().join(DIGESTS)).unwrap_or_default();
        let by = listed.lines().next().unwrap_or("# by nobody knows what");
        bail!(
            "{OBJECT} is not what its source gives here, with {linker}; it says it was made{}.\n\
             If the source changed, run `cargo xtask bpf`.",
            by.trim_start_matches('#')
        );
    }
    terminal.done(format_args!("{OBJECT} is what its source gives"));
    Ok(())
}

/// The linker's name and version, if all is there that the build needs.
fn tool_chain() -> Result<String> {
    let output = Command::new("bpf-linker").arg("--version").env("PATH", path()?).output();
    let Ok(output) = output else {
        bail!(
            "bpf-linker is missing. With the LLVM of this Rust (Debian: `apt-get install llvm-22-dev`):\n  \
             LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --no-default-features --features llvm-22"
        );
    };
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(tools::root())
        .output()
        .context("cannot start rustc")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        bail!("the sources of Rust's core are missing: `rustup component add rust-src`");
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Builds the program, and gives its path.
fn build() -> Result<PathBuf> {
    let folder = tools::root().join("host/bpf/target");
    let mut command = cargo();
    command
        .args(["build", "--quiet", "--locked", "--release", "--target", TARGET])
        // There is no core built for this target; building one is not stable yet.
        .args(["-Z", "build-std=core"])
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["--manifest-path", "host/bpf/Cargo.toml", "--target-dir"])
        .arg(&folder)
        .env("PATH", path()?);
    // Whoever builds it, the bytes are the same.
    for flags in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
        command.env_remove(flags);
    }
    tools::run(&mut command)?;
    Ok(folder.join(TARGET).join("release/shunt-bpf"))
}

/// Where `cargo install` puts programs is not on everybody's path.
fn path() -> Result<std::ffi::OsString> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let installed = home.map(|home| home.join("bin"));
    let usual = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::env::split_paths(&usual).chain(installed))
        .context("a folder on PATH has a colon")
}

/// As `sha256sum` writes them, under a line that says what the object was built with.
fn digests(linker: &str) -> Result<String> {
    let mut files: Vec<String> = SOURCES.map(str::to_owned).into();
    files.push(OBJECT.to_owned());
    for entry in fs::read_dir(tools::root().join("host/bpf/src")).context("cannot read host/bpf/src")? {
        let name = entry?.file_name();
        files.push(format!("host/bpf/src/{}", name.to_string_lossy()));
    }
    files.sort_unstable();
    let mut text = format!("# with {linker}\n");
    for file in files {
        let bytes = fs::read(tools::root().join(&file)).with_context(|| format!("cannot read {file}"))?;
        let _ = writeln!(text, "{:x}  {file}", Sha256::digest(bytes));
    }
    Ok(text)
}
