//! The committed XDP program comes from its source.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of a folder, as paths from the root.
fn files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    entries.map(|entry| format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap())).collect()
}

#[test]
fn the_object_is_made_from_the_sources_that_are_there() {
    let listed = fs::read_to_string(root().join("host/bpf/shunt.bpf.sha256")).unwrap();
    let listed: BTreeMap<&str, &str> = listed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once("  ").map(|(digest, file)| (file, digest)).unwrap())
        .collect();
    let mut files = files("host/bpf/src");
    files.extend(
        [
            "host/bpf/Cargo.lock",
            "host/bpf/Cargo.toml",
            "host/bpf/shunt.bpf.o",
            "host/wire/src/address.rs",
            "host/wire/src/ip/numbers.rs",
            "host/wire/src/names.rs",
            "host/wire/src/steering.rs",
            "rust-toolchain.toml",
        ]
        .map(str::to_owned),
    );
    files.sort_unstable();
    assert_eq!(listed.keys().copied().collect::<Vec<_>>(), files, "run `cargo xtask bpf`");
    for (file, digest) in listed {
        let bytes = fs::read(root().join(file)).unwrap();
        assert_eq!(
            digest,
            format!("{:x}", Sha256::digest(bytes)),
            "{file} is another one: run `cargo xtask bpf`"
        );
    }
}

/// Else a change of another module would change the program unnoticed.
#[test]
fn the_program_uses_no_more_of_wire_than_what_is_listed() {
    let allowed = ["Address;", "ip::numbers::", "names::", "steering::", "steering;"];
    for file in files("host/bpf/src") {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        for used in text.split("shunt_wire::").skip(1) {
            assert!(
                allowed.iter().any(|start| used.starts_with(start)),
                "{file}: shunt_wire::{}",
                &used[..20]
            );
        }
    }
    for (file, allowed) in
        [("steering.rs", "Address;"), ("names.rs", "nothing"), ("ip/numbers.rs", "nothing")]
    {
        let text = fs::read_to_string(root().join("host/wire/src").join(file)).unwrap();
        for used in text.split("crate::").skip(1) {
            assert!(used.starts_with(allowed), "{file}: crate::{}", &used[..20]);
        }
    }
}
