//! `shunt rule new|build|test`: what a rule author does, without a daemon.

use std::path::{Path, PathBuf};

use serde_json::json;
use shunt_rules::build::{BuildOptions, Progress};
use shunt_rules::scaffold::SdkSource;
use shunt_rules::{build, scaffold};

use super::failure::Failure;
use super::screen::{Screen, Tone};

/// Makes the folder of a new pack.
///
/// # Errors
/// The name cannot be one, or the folder is there.
pub(super) fn new(folder: &Path, screen: &Screen) -> Result<(), Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files = scaffold::new_pack(folder, &name, &sdk()).map_err(|error| Failure::failed("pack", error))?;
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    screen.show(&json!({ "name": name, "files": files }), |paint| {
        let mut text: String = files.iter().map(|file| format!("{} {file}\n", paint.on(Tone::Good, "wrote"))).collect();
        text.push_str(&format!("next: shunt rule build {0} && shunt rule test {0}\n", folder.display()));
        text
    });
    Ok(())
}

/// The SDK beside which this program was built, where that is; else the one in the registry.
fn sdk() -> SdkSource {
    let program = std::env::current_exe().unwrap_or_default();
    let beside = program.ancestors().skip(1).map(|folder| folder.join("sdk"));
    let is_sdk = |folder: &PathBuf| folder.join("macros/Cargo.toml").is_file() && folder.join("Cargo.toml").is_file();
    match beside.into_iter().find(is_sdk) {
        Some(folder) => SdkSource::Path(folder),
        None => {
            SdkSource::Version(concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR")).to_owned())
        }
    }
}

/// Compiles a pack.
///
/// # Errors
/// It does not compile, or is no rule; the compiler's messages were shown.
pub(super) fn build(folder: &Path, screen: &Screen) -> Result<(), Failure> {
    // Programs get the messages with the error, in one piece.
    let progress = if screen.is_json() { Progress::Keep } else { Progress::Show };
    let built = build::build(folder, &BuildOptions { target_dir: None, progress })
        .map_err(|error| Failure::failed("build", error))?;
    let (file, manifest, digest) = (built.file.display().to_string(), built.manifest, built.digest.to_string());
    let answer = json!({
        "file": file, "name": manifest.name, "version": manifest.version, "bytes": built.size, "digest": digest,
    });
    screen.show(&answer, |paint| {
        let size = built.size.div_ceil(1024);
        format!("{} {} {}, {size} KiB: {file}\n", paint.on(Tone::Good, "built"), manifest.name, manifest.version)
    });
    Ok(())
}

/// Runs the cases of a pack.
///
/// # Errors
/// It does not build, or a case fails.
pub(super) fn test(folder: &Path, screen: &Screen) -> Result<(), Failure> {
    Ok(())
}
