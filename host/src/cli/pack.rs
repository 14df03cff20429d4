//! `shunt pack`: packs as files that teams send to each other, without a daemon.

mod about;
mod diff;
mod inspect;
mod keys;
mod lock;
mod registry;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use shunt_rules::artefact::{Artefact, Reference, files_of, is_reference};
use shunt_rules::{Pack, whole};

use super::args::DEFAULT_CONFIG;
use super::failure::Failure;
use super::format::{bytes, count};
use super::rule_author;
use super::screen::{Screen, Tone};
use registry::RegistryArgs;

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
        /// A pack file, a component, a pack folder that was built, or a reference to a registry
        pack: PathBuf,
        /// The public key of a signer
        #[arg(long = "key", value_name = "NAME.pub")]
        keys: Vec<PathBuf>,
        #[command(flatten)]
        registry: RegistryArgs,
    },
    /// Show what differs between two packs
    ///
    /// Exit code 0: nothing does; 1: something does; 2: one of them cannot be read.
    #[command(verbatim_doc_comment)]
    Diff {
        /// A pack file, a component, a pack folder that was built, or a reference to a registry
        old: PathBuf,
        /// The same of the other pack
        new: PathBuf,
        #[command(flatten)]
        registry: RegistryArgs,
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
        /// The pack file, or a reference to a registry
        file: PathBuf,
        /// The public key of a signer
        #[arg(long = "key", value_name = "NAME.pub", required = true)]
        keys: Vec<PathBuf>,
        /// How many of the keys must have signed; default: all
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
        threshold: Option<u8>,
        #[command(flatten)]
        registry: RegistryArgs,
    },
    /// Send a pack file to a registry, with its signatures
    ///
    /// Logins are those of `docker login`. A tag that names another pack is refused.
    Push {
        /// The file that `shunt pack build` wrote
        file: PathBuf,
        /// Where to: registry.example/team/canary, with a tag that is not the version only if it is given
        #[arg(value_name = "REFERENCE")]
        reference: Reference,
        /// Let the tag name this pack, whatever it named before
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        registry: RegistryArgs,
    },
    /// Get a pack file from a registry, with its signatures
    ///
    /// Every byte is compared with its digest. Nothing is compiled or run. Logins are those of `docker login`.
    Pull {
        /// Which: registry.example/team/canary:1.2.0, or with @sha256:DIGEST
        #[arg(value_name = "REFERENCE")]
        reference: Reference,
        /// The file to write, in place of NAME-VERSION.pack.tar
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        registry: RegistryArgs,
    },
    /// Pin the references of a configuration to the packs that they stand for now
    ///
    /// Gets each pack into `packs.cache`, judges it by the policies, and writes the lock beside the
    /// configuration: shunt.toml has shunt.lock. A tag of one or two numbers, as `:1.2`, stands for the
    /// highest version within it. Shows what changed, and what new packs ask for beyond those before.
    #[command(verbatim_doc_comment)]
    Lock {
        /// The configuration: a TOML file, or a folder of them
        #[arg(short, long, value_name = "PATH", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
    /// List the versions of a pack in a registry, with their digests
    List {
        /// registry.example/team/canary
        #[arg(value_name = "REPOSITORY")]
        repository: Reference,
        #[command(flatten)]
        registry: RegistryArgs,
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
            PackCommand::Push { .. } => "pack push",
            PackCommand::Pull { .. } => "pack pull",
            PackCommand::Lock { .. } => "pack lock",
            PackCommand::List { .. } => "pack list",
        }
    }
}

/// # Errors
/// The command cannot do what it was told.
pub(super) fn run(command: PackCommand, screen: &Screen) -> Result<(), Failure> {
    match command {
        PackCommand::Build { folder, file, component } => build(&folder, file, component, screen),
        PackCommand::Test { folder } => rule_author::test(&folder, screen),
        PackCommand::Inspect { pack, keys, registry } => inspect::inspect(&pack, &keys, &registry, screen),
        PackCommand::Diff { old, new, registry } => diff::diff(&old, &new, &registry, screen),
        PackCommand::Keygen { name } => keys::keygen(&name, screen),
        PackCommand::Sign { file, key } => keys::sign(&file, &key, screen),
        PackCommand::Verify { file, keys, threshold, registry } => {
            let artefact = || fetched(&file, &registry, screen)?.map_or_else(|| open(&file), Ok);
            keys::verify(artefact, &keys, threshold, screen)
        }
        PackCommand::Push { file, reference, replace, registry } => {
            registry::push(&file, &reference, replace, &registry, screen)
        }
        PackCommand::Pull { reference, file, registry } => {
            registry::pull(&reference, file, &registry, screen)
        }
        PackCommand::Lock { config } => lock::lock(&config, screen),
        PackCommand::List { repository, registry } => registry::list(&repository, &registry, screen),
    }
}

/// The pack of a registry, where a text names one and not a path.
fn fetched(text: &Path, args: &RegistryArgs, screen: &Screen) -> Result<Option<Artefact>, Failure> {
    let Some(text) = text.to_str().filter(|text| is_reference(text)) else { return Ok(None) };
    let reference = Reference::parse(text).and_then(Reference::versioned).map_err(|error| {
        Failure::failed("registry", error).help(format!("write ./{text} if it is a file"))
    })?;
    registry::get(&reference, args, screen).map(Some)
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
