//! Packs for tests, built by the program under test.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::daemon::Folder;
use crate::program;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder above").to_owned()
}

/// The file of a guest of `tests/guests`.
///
/// # Panics
/// It does not build.
#[track_caller]
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    built(&root().join("tests/guests").join(name))
}

/// What a rule of the guest `surface` has bound beside its slots: an entry in each set, and a secret of zeros.
#[must_use]
pub fn surface_bindings() -> String {
    let key = root().join("tests/guests/surface/zeros.key");
    format!(
        "sets = {{ clients = [\"192.0.2.1\"], paths = [\"/\"], agents = [\"x\"] }}\n\
         keys = {{ secret = {key:?}, issuer = {key:?} }}\n"
    )
}

/// The file of an example of `rules-examples`.
///
/// # Panics
/// It does not build.
#[track_caller]
#[must_use]
pub fn example(name: &str) -> PathBuf {
    built(&root().join("rules-examples").join(name))
}

/// An example, built to a pack file in this folder, after its own folder was changed: a copy of it.
#[must_use]
pub fn pack_file(example: &str, file: &str, folder: &Folder, change: impl FnOnce(&Path)) -> PathBuf {
    let copy = tempfile::tempdir().expect("a folder of one's own");
    let source = root().join("rules-examples").join(example);
    let copied =
        std::process::Command::new("cp").arg("-r").arg(source).arg(copy.path().join(example)).status();
    assert!(copied.is_ok_and(|status| status.success()), "{example} can be copied");
    let place = copy.path().join(example);
    let cargo = std::fs::read_to_string(place.join("Cargo.toml")).expect("a package");
    let sdk = format!("shunt-sdk = {{ path = {:?} }}", root().join("sdk"));
    let lines = cargo.lines().map(|line| if line.starts_with("shunt-sdk") { sdk.as_str() } else { line });
    let package = lines.collect::<Vec<_>>().join("\n") + "\n\n[workspace]\n";
    std::fs::write(place.join("Cargo.toml"), package).expect("a file that can be written");
    change(&place);
    let file = folder.path().join(file);
    build(&place, &file);
    file
}

/// Builds the pack of a folder to this file.
///
/// # Panics
/// It does not build.
#[track_caller]
pub fn build(pack: &Path, file: &Path) {
    let mut command = program::command();
    command.env("CARGO_TARGET_DIR", root().join("target/guests")).args(["pack", "build", "-o", "json"]);
    let built = program::ended(command.arg(pack).arg("--file").arg(file));
    drop(built.good());
}

/// An example of `rules-examples`, built to a pack file in this folder.
///
/// # Panics
/// It does not build.
#[track_caller]
pub fn file(example: &str, folder: &Folder) -> PathBuf {
    file_of(&root().join("rules-examples").join(example), folder)
}

/// A pack, built to a pack file in this folder.
///
/// # Panics
/// It does not build.
#[track_caller]
pub fn file_of(pack: &Path, folder: &Folder) -> PathBuf {
    let name = pack.file_name().unwrap_or_default().to_string_lossy();
    let file = folder.path().join(format!("{name}.pack.tar"));
    let mut command = program::command();
    command.env("CARGO_TARGET_DIR", root().join("target/guests")).args(["pack", "build"]);
    let answer = program::ended(command.arg(pack).arg("--file").arg(&file).args(["-o", "json"])).json();
    assert_eq!(answer["file"].as_str(), file.to_str());
    file
}

/// The pack of a guest that calls itself another version, and does the same.
#[must_use]
pub fn guest_version(name: &str, version: &str, folder: &Folder) -> PathBuf {
    let with = |manifest: &str| manifest.replace("version = \"1.0.0\"", &format!("version = {version:?}"));
    guest_manifest(name, &format!("{name}-{version}.wasm"), folder, with)
}

/// The pack of a guest with another `pack.toml` in it, as a file of this name.
///
/// # Panics
/// The guest is no component with a manifest.
#[must_use]
pub fn guest_manifest(name: &str, file: &str, folder: &Folder, change: impl Fn(&str) -> String) -> PathBuf {
    const SECTION: &[u8] = b"shunt:pack";
    let bytes = std::fs::read(guest(name)).expect("a pack that was built");
    // Component Model, Binary.md: a preamble of eight bytes, then sections: a number, a length, the content. A custom
    // section has number 0, and begins with its name.
    let (mut rest, mut made) = (&bytes[8..], bytes[..8].to_vec());
    while let [id, after @ ..] = rest {
        let (length, after) = read_leb(after);
        let (content, after) = after.split_at(length);
        let (name_length, named) = read_leb(content);
        if *id == 0 && named.get(..name_length) == Some(SECTION) {
            let manifest = std::str::from_utf8(&named[name_length..]).expect("a manifest is text");
            let mut changed = leb(name_length);
            changed.extend(SECTION);
            changed.extend(change(manifest).bytes());
            section(&mut made, 0, &changed);
        } else {
            section(&mut made, *id, content);
        }
        rest = after;
    }
    folder.write(file, made)
}

fn read_leb(bytes: &[u8]) -> (usize, &[u8]) {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (number, &bytes[at + 1..]);
        }
    }
    (number, &[])
}

/// The pack of a guest that does the same, and has beside it a module that takes long to compile: about 4 MiB of code that
/// nothing calls.
#[must_use]
pub fn large(name: &str, folder: &Folder) -> PathBuf {
    let mut bytes = std::fs::read(guest(name)).expect("a pack that was built");
    // A core module is a section of a component (Component Model, Binary.md: section 1).
    section(&mut bytes, 1, &large_module());
    folder.write(&format!("{name}-large.wasm"), bytes)
}

fn large_module() -> Vec<u8> {
    const FUNCTIONS: usize = 2_000;
    // WebAssembly 2.0, section 5.5: a type `[i32] -> [i32]`, functions of that type, and their code.
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(&mut module, 1, &[1, 0x60, 1, 0x7f, 1, 0x7f]);
    let mut types = leb(FUNCTIONS);
    types.extend(std::iter::repeat_n(0, FUNCTIONS));
    section(&mut module, 3, &types);
    let mut codes = leb(FUNCTIONS);
    for function in 0..FUNCTIONS {
        // No locals; the argument again and again multiplied by, and added to, numbers of its own.
        let mut code = vec![0, 0x20, 0];
        for step in 0..256 {
            code.extend([0x41, (function % 64) as u8, 0x6c, 0x41, (step % 64) as u8, 0x6a, 0x20, 0, 0x73]);
        }
        code.push(0x0b);
        codes.extend(leb(code.len()));
        codes.extend(code);
    }
    section(&mut module, 10, &codes);
    module
}

fn section(to: &mut Vec<u8>, id: u8, content: &[u8]) {
    to.push(id);
    to.extend(leb(content.len()));
    to.extend(content);
}

/// An unsigned number as WebAssembly writes it (LEB128).
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Builds each pack once in a test program. Cargo does not build again what did not change.
#[track_caller]
fn built(folder: &Path) -> PathBuf {
    static BUILT: OnceLock<Mutex<HashMap<PathBuf, PathBuf>>> = OnceLock::new();
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = built.get(folder) {
        return file.clone();
    }
    let mut command = program::command();
    // One folder for all: they have their dependencies in common.
    command.env("CARGO_TARGET_DIR", root().join("target/guests"));
    let answer = program::ended(command.args(["rule", "build", "-o", "json"]).arg(folder)).json();
    let file = PathBuf::from(answer["file"].as_str().expect("the file that was built"));
    built.insert(folder.to_owned(), file.clone());
    file
}

/// 200 MiB of zeros, which gzip makes some 200 KiB of, as a file.
///
/// # Panics
/// It cannot be made.
#[must_use]
pub fn bomb(folder: &Folder) -> PathBuf {
    let script = "head -c 200M /dev/zero | gzip > bomb.pack.tar.gz";
    let made = std::process::Command::new("sh").args(["-ec", script]).current_dir(folder.path()).status();
    assert!(made.is_ok_and(|status| status.success()), "{script}");
    folder.path().join("bomb.pack.tar.gz")
}
