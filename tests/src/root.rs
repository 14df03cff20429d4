//! Tests that need root.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount, umount};

use crate::program;

/// A file system in memory without any room. Unmounted when this is dropped.
pub struct FullFileSystem {
    path: PathBuf,
}

impl FullFileSystem {
    /// Mounts it at a folder that is not there yet.
    ///
    /// # Panics
    /// It cannot be mounted.
    #[must_use]
    pub fn mount(path: &Path) -> Self {
        fs::create_dir(path).expect("a folder that can be made");
        // The root folder takes one inode; more there are not.
        let options = "size=64k,nr_inodes=2";
        let mounted = mount(Some("none"), path, Some("tmpfs"), MsFlags::empty(), Some(options));
        let full = FullFileSystem { path: path.to_owned() };
        mounted.unwrap_or_else(|error| panic!("cannot mount at {}: {error}", path.display()));
        fs::write(full.ballast(), "").expect("the last inode");
        full
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives room for one file.
    ///
    /// # Panics
    /// It has been called before.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("what fills it");
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for FullFileSystem {
    fn drop(&mut self) {
        if let Err(error) = umount(&self.path) {
            eprintln!("cannot unmount {}: {error}", self.path.display());
        }
    }
}

/// The program under test, copied to a folder that everybody may open, to be run by the user `nobody`.
///
/// # Panics
/// It cannot be copied.
#[must_use]
pub fn as_nobody(folder: &Path) -> Command {
    /// Of `nobody` on every distribution that matters here; the kernel's overflow user.
    const NOBODY: u32 = 65_534;
    let program = folder.join("shunt");
    // By another process: a file that this one has open for writing cannot be run, nor can it while a
    // child that another test is just starting has inherited it.
    let copied = Command::new("cp").arg(program::path()).arg(&program).status();
    assert!(copied.is_ok_and(|status| status.success()), "cannot copy the program to {}", program.display());
    let mut command = Command::new(program);
    command.uid(NOBODY).gid(NOBODY).stdin(Stdio::null()).env_clear();
    command
}
