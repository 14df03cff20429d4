//! Pack files as they are written, and everything that is refused.

mod signatures;

use serde_json::{Value, json};
use tar::{EntryType, Header};

use super::archive::Name;
use super::*;
use crate::MAX_PACK_BYTES;
use crate::Shipped;
use crate::pack::{PACK_SECTION, SETTINGS_SECTION};
use crate::testing::{self, component};

const COMPONENT: &str = "(component (core module))";

pub(super) fn pack(name: &str) -> Pack {
    let manifest =
        format!("[pack]\nname = {name:?}\nversion = \"1.0.0\"\nwit = \"0.1\"\ndescription = \"A test.\"\n");
    let sections = [(PACK_SECTION, manifest.as_bytes()), (SETTINGS_SECTION, br#"{"fields":[]}"#)];
    Pack::from_bytes(component(COMPONENT, &sections)).unwrap()
}

pub(super) fn artefact(name: &str) -> Artefact {
    let pack = pack(name);
    let mut files = file::own(&pack);
    files.insert(0, PackFile { path: "assets/empty".to_owned(), bytes: Vec::new() });
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Artefact::new(pack, files).unwrap()
}

fn entries(bytes: &[u8]) -> BTreeMap<Name, Vec<u8>> {
    archive::read(bytes).unwrap().into_iter().map(|(name, content)| (name, content.to_vec())).collect()
}

fn archived(entries: &BTreeMap<Name, Vec<u8>>) -> Vec<u8> {
    archive::write(entries.iter().map(|(name, content)| (*name, content.as_slice())))
}

#[track_caller]
fn refused(bytes: &[u8], says: &str) {
    let error = Artefact::read(bytes).unwrap_err().to_string();
    assert!(error.contains(says), "{says:?} is not in {error:?}");
}

/// A good file, taken apart to be put together wrong.
struct Forge {
    entries: BTreeMap<Name, Vec<u8>>,
    component: Manifest,
    companion: Manifest,
}

impl Forge {
    fn new(name: &str) -> Forge {
        let good = artefact(name);
        let parse = |blob: &Blob| serde_json::from_slice::<Manifest>(&blob.bytes).unwrap();
        let (component, companion) = (parse(&good.component), parse(&good.companion));
        let mut entries = entries(&good.to_bytes());
        for blob in [&good.component, &good.companion] {
            entries.remove(&Name::Blob(blob.digest));
        }
        Forge { entries, component, companion }
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.entries.insert(Name::Blob(Digest::of(bytes)), bytes.to_vec());
    }

    /// The manifest of the pack names that of the component, whatever became of it.
    fn bytes(mut self) -> Vec<u8> {
        let component = Blob::json(&self.component);
        self.companion.subject = Some(component.descriptor(oci::MANIFEST));
        self.bytes_as_they_are()
    }

    fn bytes_as_they_are(mut self) -> Vec<u8> {
        let blobs = [Blob::json(&self.component), Blob::json(&self.companion)];
        let manifests = blobs.iter().map(|blob| blob.descriptor(oci::MANIFEST)).collect();
        let index = Index { schema_version: 2, media_type: oci::INDEX.to_owned(), manifests };
        self.entries.insert(Name::Index, Blob::json(&index).bytes);
        for blob in blobs {
            self.blob(&blob.bytes);
        }
        archived(&self.entries)
    }
}

#[test]
fn what_is_written_is_read_and_is_always_the_same() {
    let mut good = artefact("t");
    let bytes = good.to_bytes();
    assert_eq!(artefact("t").to_bytes(), bytes);
    let read = Artefact::read(&bytes).unwrap();
    assert_eq!((read.digest(), read.pack().digest()), (good.digest(), pack("t").digest()));
    assert_eq!(read.files(), good.files());
    let paths: Vec<_> = read.files().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["assets/empty", "pack.toml", "settings.json"]);
    assert!(Artefact::is_one(&bytes) && !Artefact::is_one(good.pack().bytes()));
    // A signature changes the file, not the pack.
    good.sign(&SecretKey::generate().unwrap()).unwrap();
    assert_eq!(Artefact::read(&good.to_bytes()).unwrap().digest(), read.digest());
    assert_ne!(good.to_bytes(), bytes);
}

#[test]
fn the_component_is_what_readers_of_the_wasm_layout_expect() {
    let good = artefact("t");
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let (code, config) = (good.pack().digest(), good.config.digest);
    assert_eq!(
        json(&good.component.bytes),
        json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.wasm.config.v0+json", "digest": format!("sha256:{config}"),
                "size": good.config.bytes.len(),
            },
            "layers": [{
                "mediaType": "application/wasm", "digest": format!("sha256:{code}"),
                "size": good.pack().bytes().len(),
            }],
            "annotations": {
                "org.opencontainers.image.title": "t", "org.opencontainers.image.version": "1.0.0",
                "org.opencontainers.image.description": "A test.",
            },
        })
    );
    assert_eq!(
        json(&good.config.bytes),
        json!({
            "created": "1970-01-01T00:00:00Z", "architecture": "wasm", "os": "wasip2",
            "layerDigests": [format!("sha256:{code}")], "component": { "exports": [], "imports": [] },
        })
    );
}

#[test]
fn any_changed_byte_is_refused() {
    let mut good = artefact("t");
    good.sign(&SecretKey::generate().unwrap()).unwrap();
    let good = good.to_bytes();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(Artefact::read(&bytes).is_err(), "byte {at} was changed");
    }
}

#[test]
fn a_changed_blob_is_named_and_a_changed_header_too() {
    let good = artefact("t").to_bytes();
    for (name, content) in entries(&good) {
        let Name::Blob(digest) = name else { continue };
        let mut blocks = (0..good.len()).step_by(archive::BLOCK);
        // An empty one has no byte to change.
        if let Some(at) = blocks.find(|at| !content.is_empty() && good[*at..].starts_with(&content)) {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            refused(&bytes, &format!("the bytes of blobs/sha256/{digest} are not those of this digest"));
        }
    }
    let mut bytes = good;
    bytes[3] ^= 1;
    refused(&bytes, "header 1 of the pack file is damaged");
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let good = artefact("t").to_bytes();
    for block in (0..good.len()).step_by(archive::BLOCK) {
        for end in [block, block + 1, block + archive::BLOCK - 1] {
            let error = Artefact::read(&good[..end]).unwrap_err();
            assert!(
                matches!(error, ArtefactError::Truncated | ArtefactError::Oversized { .. }),
                "at {end}: {error}"
            );
        }
    }
    refused(&[&good[..], &[0]].concat(), "something follows the end");
    refused(&[&good[..good.len() - 1], &[1]].concat(), "something follows the end");
    refused(&vec![0; MAX_FILE_BYTES + 1], "larger than 64 MiB");
}

/// An archive of one entry, or of a good file with an entry before it.
fn with_entry(name: &str, edit: impl FnOnce(&mut Header), content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    edit(&mut header);
    header.set_cksum();
    let mut bytes = [&header.as_bytes()[..], content].concat();
    bytes.resize(bytes.len().next_multiple_of(archive::BLOCK), 0);
    bytes.extend(artefact("t").to_bytes());
    bytes
}

#[test]
fn only_plain_files_of_known_names_may_be_there() {
    for (kind, says) in [
        (EntryType::Symlink, "a symbolic link"),
        (EntryType::Link, "a hard link"),
        (EntryType::Directory, "a folder"),
        (EntryType::Char, "a device"),
        (EntryType::Block, "a device"),
        (EntryType::Fifo, "a pipe"),
        (EntryType::XHeader, "an extended header"),
        (EntryType::XGlobalHeader, "an extended header"),
        (EntryType::GNULongName, "a long name of GNU tar"),
        (EntryType::GNULongLink, "a long name of GNU tar"),
        (EntryType::GNUSparse, "of an unusual kind"),
        (EntryType::Continuous, "of an unusual kind"),
    ] {
        refused(&with_entry("index.json", |header| header.set_entry_type(kind), b""), says);
    }
    let hex = "a".repeat(64);
    for name in [
        "/etc/passwd",
        "../index.json",
        "./index.json",
        "blobs/sha256/../../x",
        "blobs/",
        "blobs/sha512/a",
        "oci-layout/",
        "INDEX.JSON",
        "",
        "blobs/sha256/A",
        &format!("blobs/sha256/{hex}0"),
        &format!("blobs/sha256/{}", hex.to_uppercase()),
        &format!("/blobs/sha256/{hex}"),
    ] {
        refused(&with_entry(name, |_| {}, b"x"), &format!("has an entry {name:?}"));
    }
    // A name in two fields, which `ustar` puts together.
    let prefixed = with_entry("index.json", |header| header.as_ustar_mut().unwrap().prefix[0] = b'x', b"");
    refused(&prefixed, "has an entry \"x/index.json\"");
    refused(&with_entry("index.json", |_| {}, b"{}"), "index.json is in the pack file twice");
    refused(&with_entry("index.json", |header| header.set_size(1 << 33), b""), "larger than what is left");
    refused(&with_entry("index.json", |header| header.set_size(u64::MAX), b""), "larger than what is left");
    refused(&with_entry("index.json", |header| header.as_old_mut().size = [b'9'; 12], b""), "header 1 ");
}

#[test]
fn ten_thousand_entries_are_refused_at_the_first_too_many() {
    let name = |number: usize| Name::Blob(Digest::of(&number.to_le_bytes()));
    let many = archive::write((0..10_000).map(|number| (name(number), &b""[..])));
    refused(&many, "more than 256 entries");
}

#[test]
fn what_another_program_packed_is_refused() {
    let good = artefact("t");
    let bytes = good.to_bytes();
    let mut later = bytes.clone();
    let mut header = Header::from_byte_slice(&later[..archive::BLOCK]).clone();
    header.set_mtime(1);
    header.set_cksum();
    later[..archive::BLOCK].copy_from_slice(header.as_bytes());
    refused(&later, "packed again by another program");
    let entries = entries(&bytes);
    let reversed = archive::write(entries.iter().rev().map(|(name, content)| (*name, content.as_slice())));
    refused(&reversed, "packed again by another program");
}

#[test]
fn parts_that_are_missing_or_too_many_are_named() {
    let good = entries(&artefact("t").to_bytes());
    for (name, says) in [(Name::Index, "has no index.json"), (Name::Layout, "has no oci-layout")] {
        let mut entries = good.clone();
        entries.remove(&name);
        refused(&archived(&entries), says);
    }
    for name in good.keys().filter(|name| matches!(name, Name::Blob(_))) {
        let mut entries = good.clone();
        entries.remove(name);
        refused(&archived(&entries), "which is not in the pack file");
    }
    let mut forge = Forge::new("t");
    forge.blob(b"more");
    refused(&forge.bytes(), "nothing in the pack file names the blob");
    let mut entries = good;
    entries.insert(Name::Layout, br#"{"imageLayoutVersion":"2.0.0"}"#.to_vec());
    refused(&archived(&entries), "oci-layout cannot be read");
    entries.insert(Name::Layout, oci::LAYOUT.to_vec());
    entries.insert(Name::Index, b"{".to_vec());
    refused(&archived(&entries), "the index cannot be read");
    entries.insert(Name::Index, vec![b' '; MAX_JSON_BYTES + 1]);
    refused(&archived(&entries), "the index is larger than 256 KiB");
    entries.insert(Name::Index, vec![b'['; MAX_JSON_BYTES]);
    refused(&archived(&entries), "the index cannot be read");
}

#[test]
fn manifests_that_say_something_else_are_refused() {
    let edited = |edit: &dyn Fn(&mut Forge)| {
        let mut forge = Forge::new("t");
        edit(&mut forge);
        forge.bytes()
    };
    // rust-oci-wasm refuses it as well.
    let second = |forge: &mut Forge| forge.component.layers.push(forge.component.layers[0].clone());
    refused(&edited(&second), "names 2 layers, and a WebAssembly component is exactly one; use");
    refused(&edited(&|forge| forge.component.layers.clear()), "names 0 layers");
    let kind = |forge: &mut Forge| forge.component.layers[0].media_type = "application/x".to_owned();
    refused(&edited(&kind), "says \"application/x\" where \"application/wasm\" is expected");
    let kind = |forge: &mut Forge| forge.component.layers[0].media_type = "application/wasm+gzip".to_owned();
    refused(&edited(&kind), "\"application/wasm+gzip\", and packs are not compressed");
    refused(&edited(&|forge| forge.component.layers[0].size += 1), "bytes, and it has");
    refused(
        &edited(&|forge| forge.component.layers[0].size = u64::MAX),
        "the component is larger than 8 MiB",
    );
    let other = |forge: &mut Forge| forge.companion.artifact_type = Some("application/x".to_owned());
    refused(&edited(&other), "says \"application/x\"");
    let none = |forge: &mut Forge| forge.companion.artifact_type = None;
    refused(&edited(&none), "names 2 manifests of a component");
    let path = |path: &'static str| {
        edited(&move |forge: &mut Forge| {
            forge.companion.layers[0].annotations.insert(oci::TITLE.to_owned(), path.to_owned());
        })
    };
    refused(&path("../assets/empty"), "\"../assets/empty\" cannot be a file of a pack");
    refused(&path("pack.toml"), "application/octet-stream");
    refused(&edited(&|forge| forge.companion.layers.swap(0, 1)), "not in the order of their paths");
    let twice = |forge: &mut Forge| forge.companion.layers.insert(0, forge.companion.layers[0].clone());
    refused(&edited(&twice), "not in the order of their paths, or one is there twice");
    let long = |forge: &mut Forge| {
        forge.component.annotations.insert("x".to_owned(), "y".repeat(MAX_JSON_BYTES));
    };
    refused(&edited(&long), "larger than 256 KiB");
}

#[test]
fn parts_of_two_packs_are_refused() {
    let (one, other) = (Forge::new("one"), Forge::new("other"));
    // The component of one with all that goes with the other, each as its author made it.
    let mut mixed = Forge { companion: other.companion.clone(), ..Forge::new("one") };
    mixed.entries.extend(other.entries);
    refused(&mixed.bytes_as_they_are(), "which is not the one in this file: parts of two packs were mixed");
    // The same, with a manifest that was written anew to hold them together.
    let mut mixed = Forge { companion: other.companion, ..one };
    let files = artefact("other").files;
    mixed.entries.remove(&Name::Blob(Digest::of(pack("one").manifest_toml())));
    files.iter().for_each(|file| mixed.blob(&file.bytes));
    refused(&mixed.bytes(), "pack.toml beside the component is not what the component has in it");
    // The configuration of another component.
    let mut mixed = Forge::new("one");
    let config = artefact("other").config;
    mixed.entries.remove(&Name::Blob(mixed.component.config.digest));
    mixed.component.config = config.descriptor(oci::WASM_CONFIG);
    mixed.blob(&config.bytes);
    refused(&mixed.bytes(), "the component's configuration belongs to");
}

#[test]
fn what_is_no_pack_in_a_pack_file_is_refused() {
    let refused = |code: &[u8], says: &str| refused(&of_component(code), says);
    let core = wat::parse_str("(module)").unwrap();
    refused(&core, "the component of the pack file: the file is a core module");
    let bomb = testing::bomb();
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    refused(
        &bomb,
        "the component of the pack file: the file is compressed by gzip, and packs are not compressed",
    );
}

/// A pack file in which all is well but its component.
fn of_component(core: &[u8]) -> Vec<u8> {
    let mut forge = Forge::new("t");
    let config = Blob::json(&WasmConfig::new(
        Digest::of(core),
        WasmInterfaces { exports: Vec::new(), imports: Vec::new() },
    ));
    for old in [forge.component.config.digest, forge.component.layers[0].digest] {
        forge.entries.remove(&Name::Blob(old));
    }
    forge.component.config = config.descriptor(oci::WASM_CONFIG);
    forge.component.layers = vec![Descriptor::of(oci::WASM, core)];
    forge.blob(&config.bytes);
    forge.blob(core);
    forge.bytes()
}

#[test]
fn what_is_compressed_is_refused_wherever_a_pack_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.pack.tar.gz");
    std::fs::write(&file, testing::bomb()).unwrap();
    let refused = [
        Pack::read(&file).map(drop),
        Artefact::open(&file).map(drop),
        Shipped::read(&file).map(drop),
        Shipped::from_bytes(std::fs::read(&file).unwrap()).map(drop),
    ];
    for refused in refused {
        assert!(
            matches!(refused, Err(PackError::Compressed { format: "gzip", unpack: "gunzip" })),
            "{refused:?}"
        );
    }
}

#[test]
fn a_pack_file_is_read_wherever_a_pack_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.pack.tar");
    std::fs::write(&file, artefact("t").to_bytes()).unwrap();
    assert_eq!(Pack::read(&file).unwrap().digest(), pack("t").digest());
    // Larger than a component may be, and whole.
    let assets = (0..2)
        .map(|number| PackFile { path: format!("assets/{number}"), bytes: vec![number; MAX_PACK_BYTES - 1] });
    let files: Vec<_> = assets.chain(file::own(&pack("t"))).collect();
    std::fs::write(&file, Artefact::new(pack("t"), files).unwrap().to_bytes()).unwrap();
    assert_eq!(Pack::read(&file).unwrap().digest(), pack("t").digest());
    let damaged = std::fs::read(&file).unwrap();
    std::fs::write(&file, &damaged[..damaged.len() - 1]).unwrap();
    assert!(matches!(Pack::read(&file), Err(PackError::Artefact(ArtefactError::Truncated))));
}

#[test]
fn a_folder_gives_its_readme_cases_and_assets() {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    };
    ["README.md", "src/lib.rs", "cases/b.toml", "cases/a.toml", "cases/note.txt", "assets/z", "assets/a/b"]
        .iter()
        .for_each(|path| put(path));
    let paths = |folder: &Path| {
        files_of(folder, &pack("t")).map(|files| files.into_iter().map(|file| file.path).collect::<Vec<_>>())
    };
    assert_eq!(
        paths(folder.path()).unwrap(),
        ["README.md", "assets/a/b", "assets/z", "cases/a.toml", "cases/b.toml", "pack.toml", "settings.json"]
    );
    put("assets/with space");
    assert!(paths(folder.path()).unwrap_err().to_string().contains("\"assets/with space\" cannot be a file"));
    std::fs::remove_file(folder.path().join("assets/with space")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("assets/link")).unwrap();
    assert!(paths(folder.path()).unwrap_err().to_string().contains("assets/link is neither"));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_pack_file_or_an_error(bytes: Vec<u8>) {
        proptest::prop_assert!(Artefact::read(&bytes).is_err());
    }

    #[test]
    fn a_good_file_with_any_bytes_in_it_is_refused(at in 0usize..8_000, bytes in proptest::collection::vec(0u8.., 1..600)) {
        let good = artefact("t").to_bytes();
        let mut changed = good.clone();
        let at = at % good.len();
        let end = (at + bytes.len()).min(good.len());
        changed[at..end].copy_from_slice(&bytes[..end - at]);
        proptest::prop_assert_eq!(Artefact::read(&changed).is_ok(), changed == good);
    }

    /// Behind their digests: what someone makes who knows how.
    #[test]
    fn what_manifests_say_is_read_or_refused_whatever_it_is(
        of_pack: bool, at in 0usize..2_000, cut in 0usize..40, put in "[\"{}\\[\\]:,0-9a-f/.-]{0,12}|[0-9]{1,20}|null",
    ) {
        let good = artefact("t");
        let mut entries = entries(&good.to_bytes());
        let (blob, other) =
            if of_pack { (&good.companion, &good.component) } else { (&good.component, &good.companion) };
        let mut text = String::from_utf8(blob.bytes.clone()).unwrap();
        let at = at % text.len();
        text.replace_range(at..(at + cut).min(text.len()), &put);
        let changed = Blob::new(text.into_bytes());
        entries.remove(&Name::Blob(blob.digest));
        entries.insert(Name::Blob(changed.digest), changed.bytes.clone());
        let mut index: Index = serde_json::from_slice(&entries[&Name::Index]).unwrap();
        for descriptor in index.manifests.iter_mut().filter(|it| it.digest == blob.digest) {
            (descriptor.digest, descriptor.size) = (changed.digest, changed.bytes.len() as u64);
        }
        entries.insert(Name::Index, Blob::json(&index).bytes);
        let bytes = archived(&entries);
        if let Ok(read) = Artefact::read(&bytes) {
            proptest::prop_assert_eq!(read.to_bytes(), bytes);
        }
        // And in the parts that a registry gives.
        let (component, companion) = if of_pack {
            (other.bytes.clone(), changed.bytes)
        } else {
            (changed.bytes, other.bytes.clone())
        };
        if let Ok(mut assembly) = Assembly::new(component, companion) {
            for part in good.blobs() {
                assembly.put(Checked::new(part.bytes.to_vec()));
            }
            let _ = assembly.finish();
        }
    }
}
