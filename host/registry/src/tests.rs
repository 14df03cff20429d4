//! Conversations with a registry that is made for them.

mod fake;
mod pull;
mod push;

use std::time::Duration;

use shunt_rules::artefact::{Artefact, PackFile, Reference, SecretKey};
use shunt_rules::{Digest, Pack};

use crate::{Client, Settings};
use fake::Fake;

/// What a component holds of its pack (`shunt-rules`, `pack.rs`).
const PACK_SECTION: &str = "shunt:pack";

/// A pack of this version, with an asset of so many bytes.
fn pack(version: &str, asset: usize) -> Artefact {
    let manifest = format!("[pack]\nname = \"t\"\nversion = {version:?}\nwit = \"0.1\"\n");
    let mut component = wat::parse_str("(component (core module))").unwrap();
    // A custom section: its id, its length, and its name and content (Component Model, Binary.md).
    let mut content = leb(PACK_SECTION.len());
    content.extend(PACK_SECTION.bytes().chain(manifest.bytes()));
    component.push(0);
    component.extend(leb(content.len()));
    component.extend(content);
    let pack = Pack::from_bytes(component).unwrap();
    let file = |path: &str, bytes: Vec<u8>| PackFile { path: path.to_owned(), bytes };
    let bytes = (0..asset).map(|at| (at % 251) as u8).collect();
    let files = vec![file("assets/data", bytes), file("pack.toml", manifest.into_bytes())];
    Artefact::new(pack, files).unwrap()
}

/// An unsigned number as WebAssembly writes it (LEB128).
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn signed(mut artefact: Artefact) -> Artefact {
    artefact.sign(&SecretKey::generate().unwrap()).unwrap();
    artefact
}

/// A client of a registry without TLS, that waits for nobody for long.
fn client(fake: &Fake) -> Client {
    let settings = Settings {
        insecure: vec![fake.name()],
        docker_config: None,
        patience: Duration::from_millis(300),
        ..Settings::default()
    };
    Client::new(&settings).unwrap()
}

fn at(fake: &Fake, rest: &str) -> Reference {
    Reference::parse(&format!("{}/team/t{rest}", fake.name())).unwrap()
}

/// The largest blob.
fn asset(artefact: &Artefact) -> Digest {
    let file = artefact.files().iter().find(|file| file.path == "assets/data").unwrap();
    Digest::of(&file.bytes)
}
