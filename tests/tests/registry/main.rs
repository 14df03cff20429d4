//! Packs through the registry of Debian, by the command line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue says so and ends"
)]

mod cosign;
mod loading;
mod login;
mod members;
mod story;
mod tampering;
mod transfer;

use std::path::{Path, PathBuf};

use shunt_tests::daemon::Folder;
use shunt_tests::registry::Registry;
use shunt_tests::{packs, program};

/// A team: its folder, and a pack in it that it signed.
struct Team {
    folder: Folder,
    file: PathBuf,
}

impl Team {
    fn new() -> Team {
        let folder = Folder::new();
        let file = packs::file("headers", &folder);
        let team = Team { folder, file };
        team.pack(&["keygen", "team"]).good();
        team.pack(&["sign", team.file(), "--key", "team.key"]).good();
        team
    }

    /// One whose pack has a file of some MiB beside it.
    fn with_a_large_pack() -> Team {
        let folder = Folder::new();
        let mut command = program::command();
        program::ended(command.current_dir(folder.path()).args(["rule", "new", "large"])).good();
        let pack = folder.path().join("large");
        std::fs::create_dir(pack.join("assets")).unwrap();
        // Nothing in it repeats for long.
        let bytes: Vec<u8> =
            (0..4_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        std::fs::write(pack.join("assets/data"), bytes).unwrap();
        let file = packs::file_of(&pack, &folder);
        Team { folder, file }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self) -> &str {
        self.file.to_str().unwrap()
    }

    /// Runs `shunt pack` as this team: its logins and its cache are its own.
    fn pack(&self, arguments: &[&str]) -> program::Ended {
        let mut command = program::command();
        command
            .env("DOCKER_CONFIG", self.path().join("docker"))
            .env("XDG_CACHE_HOME", self.path().join("cache"));
        program::ended(command.arg("pack").args(arguments).current_dir(self.path()))
    }

    /// The same, of a registry that is asked without TLS.
    fn plain(&self, registry: &Registry, arguments: &[&str]) -> program::Ended {
        let name = registry.name();
        self.pack(&[arguments, &["--insecure-registry", &name]].concat())
    }

    fn digest(&self) -> String {
        let shown = self.pack(&["inspect", self.file(), "-o", "json"]).json();
        shown["digest"].as_str().unwrap().to_owned()
    }

    /// What is left in the cache.
    fn left(&self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        let mut folders = vec![self.path().join("cache")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    left.push(path);
                }
            }
        }
        left
    }
}
