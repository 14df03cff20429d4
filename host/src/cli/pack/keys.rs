//! `shunt pack keygen|sign|verify`

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use shunt_rules::artefact::{Artefact, KeyError, PublicKey, SecretKey};
use shunt_rules::{plain_file, shared_mode};

use super::super::failure::{Exit, Failure};
use super::super::format::count;
use super::super::screen::{Screen, Tone};
use super::{open, refused, write};

/// Bytes of a key's file, which has about 120.
const MAX_KEY: u64 = 4 << 10;

/// Makes a key.
///
/// # Errors
/// One of its files is there, or cannot be written.
pub(super) fn keygen(name: &Path, screen: &Screen) -> Result<(), Failure> {
    let with = |ending: &str| PathBuf::from(format!("{}.{ending}", name.display()));
    let (secret_file, public_file) = (with("key"), with("pub"));
    let key = SecretKey::generate().map_err(key_error)?;
    let (secret, public) = (key.to_pem().map_err(key_error)?, key.public().to_pem().map_err(key_error)?);
    // The public one first: where it is there, a secret one may be in use.
    create(&public_file, 0o644, public.as_bytes())?;
    if let Err(failure) = create(&secret_file, 0o600, secret.as_bytes()) {
        // Without its secret key it is of no use.
        let _ = std::fs::remove_file(&public_file);
        return Err(failure);
    }
    let id = format!("sha256:{}", key.public().id());
    let answer = json!({
        "secret": secret_file.display().to_string(), "public": public_file.display().to_string(), "key": id,
    });
    screen.show(&answer, |paint| {
        let wrote = paint.on(Tone::Good, "wrote");
        format!(
            "{wrote} {}, which signs: keep it secret\n{wrote} {}, for those who verify\nkey {id}\n",
            secret_file.display(),
            public_file.display()
        )
    });
    Ok(())
}

/// Makes a file that is not there.
fn create(file: &Path, mode: u32, content: &[u8]) -> Result<(), Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    let written = made.and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::failed("key", format!("{} is there", file.display()))
            .help("choose another name; a key that was replaced cannot be had back"),
        _ => Failure::failed("system", format!("cannot write {}: {error}", file.display())),
    })
}

/// Adds a signature.
///
/// # Errors
/// The file is no pack file, the key is none, or the file cannot be written.
pub(super) fn sign(file: &Path, key: &Path, screen: &Screen) -> Result<(), Failure> {
    let mut artefact = open(file)?;
    let secret = SecretKey::from_pem(&text(key)?).map_err(|error| key_file(key, &error))?;
    is_secret(key)?;
    let added = artefact.sign(&secret).map_err(refused)?;
    if added {
        write(file, &artefact.to_bytes())?;
    }
    let id = format!("sha256:{}", secret.public().id());
    let (manifest, number) = (artefact.pack().manifest(), artefact.signatures().len());
    let answer = json!({
        "file": file.display().to_string(), "digest": format!("sha256:{}", artefact.digest()), "key": id,
        "added": added, "signatures": number,
    });
    screen.show(&answer, |paint| {
        let done = if added { "signed" } else { "already signed" };
        format!(
            "{} {} {} with key {id}; {}\n",
            paint.on(Tone::Good, done),
            manifest.name,
            manifest.version,
            count(number, "signature")
        )
    });
    Ok(())
}

/// As ssh has it: a key of this user that others can read may be known to them.
fn is_secret(key: &Path) -> Result<(), Failure> {
    let found = key.metadata().ok().filter(std::fs::Metadata::is_file);
    let Some(mode) = found.as_ref().and_then(shared_mode) else { return Ok(()) };
    let key = key.display();
    Err(Failure::failed("key", format!("{key} has mode {mode:04o}, and others may know this secret key"))
        .help(format!("`chmod 0600 {key}` if nobody has read it, else make another by `shunt pack keygen`")))
}

/// Checks signatures.
///
/// # Errors
/// The file is no pack file, a key is none, or too few signed it.
pub(super) fn verify(
    artefact: impl FnOnce() -> Result<Artefact, Failure>,
    keys: &[PathBuf],
    threshold: Option<u8>,
    screen: &Screen,
) -> Result<(), Failure> {
    let public = public_keys(keys)?;
    for (at, key) in public.iter().enumerate() {
        if let Some(other) = public[..at].iter().position(|other| other == key) {
            let message = format!("{} and {} are one key", keys[other].display(), keys[at].display());
            return Err(Failure::new(Exit::Usage, "usage", message).help("give each key once"));
        }
    }
    let threshold = threshold.map_or(public.len(), usize::from);
    if threshold > public.len() {
        let message = format!("--threshold is {threshold}, of {}", count(public.len(), "key"));
        return Err(
            Failure::new(Exit::Usage, "usage", message).help("give more keys, or a lower --threshold")
        );
    }
    let artefact = artefact()?;
    let valid = artefact.verify(&public, threshold).map_err(|error| Failure::failed("signature", error))?;
    let signers: Vec<(String, String)> = keys
        .iter()
        .zip(&public)
        .filter(|(_, key)| valid.contains(&key.id()))
        .map(|(file, key)| (file.display().to_string(), format!("sha256:{}", key.id())))
        .collect();
    let manifest = artefact.pack().manifest();
    let shown: Vec<_> = signers.iter().map(|(file, key)| json!({ "file": file, "key": key })).collect();
    let answer = json!({
        "name": manifest.name, "version": manifest.version.to_string(), "digest": format!("sha256:{}", artefact.digest()),
        "threshold": threshold, "signers": shown,
    });
    screen.show(&answer, |paint| {
        let signers: String = signers.iter().map(|(file, key)| format!("  {file}: key {key}\n")).collect();
        format!(
            "{} {} {} is signed by {} of {}\n{signers}",
            paint.on(Tone::Good, "valid:"),
            manifest.name,
            manifest.version,
            valid.len(),
            count(public.len(), "key")
        )
    });
    Ok(())
}

/// # Errors
/// One of the files is no public key.
pub(super) fn public_keys(files: &[PathBuf]) -> Result<Vec<PublicKey>, Failure> {
    let read = |file: &PathBuf| PublicKey::from_pem(&text(file)?).map_err(|error| key_file(file, &error));
    files.iter().map(read).collect()
}

fn text(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    plain_file::open(file)
        .and_then(|open| open.take(MAX_KEY).read_to_string(&mut text))
        .map_err(|error| Failure::failed("key", format!("cannot read {}: {error}", file.display())))?;
    Ok(text)
}

fn key_file(file: &Path, error: &KeyError) -> Failure {
    Failure::failed("key", format!("{}: {error}", file.display()))
}

fn key_error(error: KeyError) -> Failure {
    Failure::failed("key", error)
}
