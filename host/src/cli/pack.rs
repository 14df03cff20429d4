//! `shunt pack`: packs as files that teams send to each other, without a daemon.

mod about;
mod diff;
mod inspect;
mod keys;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use shunt_rules::artefact::{Artefact, files_of};
use shunt_rules::{Pack, whole};

use super::failure::Failure;
use super::format::{bytes, count};
use super::rule_author;
use super::screen::{Screen, Tone};

#[derive(Debug, Subcommand)]
pub(super) enum PackCommand {
    /// Compile a pack, and put it with its cases, README and assets into DIR/dist/NAME-VERSION.pack.tar
    Build {
        /// The pack's folder
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
        /// The file to write, in place of DIR/dist/NAME-VERSION.pack.tar
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Take this component or core module, which another tool compiled, and compile nothing
        #[arg(long, value_name = "FILE.wasm")]
        component: Option<PathBuf>,
    },
    /// Run the cases of a pack on the rule host, as `shunt rule test` does
    Test {
        /// The pack's folder
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
    },
    /// Show what a pack is, what it may do, and who signed it
    ///
    /// Signatures are compared with the keys that are given.
    Inspect {
        /// A pack file, a component, or a pack folder that was built
        pack: PathBuf,
        /// The public key of a signer
        #[arg(long = "key", value_name = "NAME.pub")]
        keys: Vec<PathBuf>,
    },
    /// Show what differs between two packs
    ///
    /// Exit code 0: nothing does; 1: something does; 2: one of them cannot be read.
    #[command(verbatim_doc_comment)]
    Diff {
        /// A pack file, a component, or a pack folder that was built
        old: PathBuf,
        /// The same of the other pack
        new: PathBuf,
    },
    /// Make a key to sign packs with: NAME.key, which is secret, and NAME.pub
    Keygen {
        #[arg(value_name = "NAME")]
        name: PathBuf,
    },
    /// Add a signature to a pack file
    Sign {
        /// The file that `shunt pack build` wrote
        file: PathBuf,
        /// The secret key
        #[arg(long, value_name = "NAME.key")]
        key: PathBuf,
    },
    /// Check that the owners of keys signed a pack file
    Verify {
        /// The pack file
        file: PathBuf,
        /// The public key of a signer
        #[arg(long = "key", value_name = "NAME.pub", required = true)]
        keys: Vec<PathBuf>,
        /// How many of the keys must have signed; default: all
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
        threshold: Option<u8>,
    },
}

impl PackCommand {
    pub(super) fn name(&self) -> &'static str {
        match self {
            PackCommand::Build { .. } => "pack build",
            PackCommand::Test { .. } => "pack test",
            PackCommand::Inspect { .. } => "pack inspect",
            PackCommand::Diff { .. } => "pack diff",
            PackCommand::Keygen { .. } => "pack keygen",
            PackCommand::Sign { .. } => "pack sign",
            PackCommand::Verify { .. } => "pack verify",
        }
    }
}

/// # Errors
/// The command cannot do what it was told.
pub(super) fn run(command: PackCommand, screen: &Screen) -> Result<(), Failure> {
    match command {
        PackCommand::Build { folder, file, component } => build(&folder, file, component, screen),
        PackCommand::Test { folder } => rule_author::test(&folder, screen),
        PackCommand::Inspect { pack, keys } => inspect::inspect(&pack, &keys, screen),
        PackCommand::Diff { old, new } => diff::diff(&old, &new, screen),
        PackCommand::Keygen { name } => keys::keygen(&name, screen),
        PackCommand::Sign { file, key } => keys::sign(&file, &key, screen),
        PackCommand::Verify { file, keys, threshold } => keys::verify(&file, &keys, threshold, screen),
    }
}

fn build(
    folder: &Path,
    file: Option<PathBuf>,
    component: Option<PathBuf>,
    screen: &Screen,
) -> Result<(), Failure> {
    let built = rule_author::compile(folder, component, screen)?;
    let pack = Pack::read(&built.file).map_err(refused)?;
    let files = files_of(folder, &pack).map_err(refused)?;
    let artefact = Artefact::new(pack, files).map_err(refused)?;
    let (name, version) = (&built.manifest.name, built.manifest.version.to_string());
    let file = file.unwrap_or_else(|| folder.join("dist").join(format!("{name}-{version}.pack.tar")));
    // Built again, the pack is the same, and its signatures hold.
    let kept = Artefact::open(&file).ok().flatten().filter(|old| old.digest() == artefact.digest());
    let artefact = kept.unwrap_or(artefact);
    let content = artefact.to_bytes();
    write(&file, &content)?;
    let notes = rule_author::Notes::of(&built.open_slots, &built.idle);
    let answer = json!({
        "file": file.display().to_string(), "component": built.file.display().to_string(), "name": name,
        "version": version, "bytes": content.len(), "digest": format!("sha256:{}", artefact.digest()),
        "signatures": artefact.signatures().len(), "open-slots": notes.open_slots, "unused": notes.idle,
    });
    screen.show(&answer, |paint| {
        let mut text = notes.told(paint);
        text.push_str(&format!(
            "{} {name} {version}, {}: {}\npack sha256:{}\n",
            paint.on(Tone::Good, "built"),
            bytes(content.len() as u64),
            file.display(),
            artefact.digest()
        ));
        if let signatures @ 1.. = artefact.signatures().len() {
            text.push_str(&format!("it is as it was, and keeps {}\n", count(signatures, "signature")));
        }
        text
    });
    Ok(())
}

/// A pack file; nothing else has signatures.
fn open(file: &Path) -> Result<Artefact, Failure> {
    Artefact::open(file).map_err(refused)?.ok_or_else(|| {
        Failure::failed("pack", format!("{} is no pack file, and only these are signed", file.display()))
            .help("use the file that `shunt pack build` writes; it ends in .pack.tar")
    })
}

fn write(file: &Path, content: &[u8]) -> Result<(), Failure> {
    whole::write(file, content)
        .map_err(|error| Failure::failed("system", format!("cannot write {}: {error}", file.display())))
}

fn refused(error: impl std::fmt::Display) -> Failure {
    Failure::failed("pack", error)
}
