//! A folder of this process's user alone: what was put there is believed when it is read again.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What it is made with, and what others may not have of it.
const MODE: u32 = 0o700;
const OTHERS: u32 = 0o077;
/// Of a folder above it: all may make entries, and only the owner of an entry may exchange it (inode(7)).
const WORLD_WRITABLE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// A folder of the effective user of this process, that no other user can read, write or exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateFolder(PathBuf);

/// Why a folder is not believed. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFolderError {
    #[error("cannot use the folder {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no folder; remove it, or name another", .0.display())]
    NotAFolder(PathBuf),
    #[error("{} is a link to {}, which is not there; make that folder, or remove the link", path.display(), to.display())]
    Dangling { path: PathBuf, to: PathBuf },
    #[error(
        "the folder {} belongs to user {owner}, and Shunt runs as user {user}; use a folder \
         of its own", path.display()
    )]
    Owner { path: PathBuf, owner: u32, user: u32 },
    #[error(
        "the folder {} has mode {mode:04o}, and others can use it; look at what is in it, then `chmod 0700 {}`",
        path.display(), path.display()
    )]
    Mode { path: PathBuf, mode: u32 },
    #[error(
        "others can put a folder of theirs in the place of {}, because {} is writable for all or another user's; \
         use a folder in another place", path.display(), parent.display()
    )]
    Replaceable { path: PathBuf, parent: PathBuf },
}

impl PrivateFolder {
    /// Makes it, with the folders above it, where it is not there.
    ///
    /// # Errors
    /// See [`PrivateFolderError`]: it cannot be made, or others can get at what is in it.
    pub fn open(path: &Path) -> Result<PrivateFolder, PrivateFolderError> {
        let io = |source| PrivateFolderError::Io { path: path.to_owned(), source };
        if !path.exists() {
            if let Ok(to) = path.read_link() {
                return Err(PrivateFolderError::Dangling { path: path.to_owned(), to });
            }
            DirBuilder::new().recursive(true).mode(MODE).create(path).map_err(io)?;
        }
        // Where links lead to, seen once.
        let path = path.canonicalize().map_err(io)?;
        let user = nix::unistd::geteuid().as_raw();
        judge(&path, &path.metadata().map_err(io)?, user)?;
        for parent in path.ancestors().skip(1) {
            if !is_kept(&parent.metadata().map_err(io)?, user) {
                return Err(PrivateFolderError::Replaceable {
                    path: path.clone(),
                    parent: parent.to_owned(),
                });
            }
        }
        Ok(PrivateFolder(path))
    }

    /// A folder in it.
    ///
    /// # Errors
    /// As [`PrivateFolder::open`].
    pub fn below(&self, name: &str) -> Result<PrivateFolder, PrivateFolderError> {
        PrivateFolder::open(&self.0.join(name))
    }

    /// Absolute, and without links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// The mode of a file or folder of this process's user, where others can use it as well.
#[must_use]
pub fn shared_mode(found: &Metadata) -> Option<u32> {
    let mode = found.permissions().mode() & 0o777;
    (found.uid() == nix::unistd::geteuid().as_raw() && mode & OTHERS != 0).then_some(mode)
}

fn judge(path: &Path, found: &Metadata, user: u32) -> Result<(), PrivateFolderError> {
    let path = path.to_owned();
    if !found.is_dir() {
        return Err(PrivateFolderError::NotAFolder(path));
    }
    if found.uid() != user {
        return Err(PrivateFolderError::Owner { path, owner: found.uid(), user });
    }
    match found.permissions().mode() & 0o777 {
        mode if mode & OTHERS != 0 => Err(PrivateFolderError::Mode { path, mode }),
        _ => Ok(()),
    }
}

/// Whether only this user and root can exchange what this user has in a folder.
fn is_kept(parent: &Metadata, user: u32) -> bool {
    let mode = parent.permissions().mode();
    [0, user].contains(&parent.uid()) && (mode & WORLD_WRITABLE == 0 || mode & STICKY != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_missing_is_made_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = PrivateFolder::open(&folder.path().join("a/cache")).unwrap();
        assert_eq!((mode(cache.path()), mode(&folder.path().join("a"))), (0o700, 0o700));
        let below = cache.below("compiled").unwrap();
        assert_eq!((below.path(), mode(below.path())), (&*cache.path().join("compiled"), 0o700));
        assert_eq!(PrivateFolder::open(cache.path()).unwrap(), cache);
        symlink(cache.path(), folder.path().join("link")).unwrap();
        assert_eq!(PrivateFolder::open(&folder.path().join("link")).unwrap(), cache);
    }

    #[test]
    fn what_others_can_get_at_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let says = |path: &Path| PrivateFolder::open(path).unwrap_err().to_string();
        fs::write(&cache, "").unwrap();
        assert!(says(&cache).contains("is no folder"));
        fs::remove_file(&cache).unwrap();
        symlink("none", &cache).unwrap();
        assert!(says(&cache).contains("is a link to none, which is not there; make that folder"));
        fs::remove_file(&cache).unwrap();
        fs::create_dir(&cache).unwrap();
        for shared in [0o755, 0o770, 0o701, 0o704] {
            fs::set_permissions(&cache, Permissions::from_mode(shared)).unwrap();
            assert!(says(&cache).contains(&format!("has mode {shared:04o}")), "{shared:o}");
        }
        // Inherited from a folder above it, or made so that nothing is added: still its owner's alone.
        for own in [0o2700, 0o500, 0o700] {
            fs::set_permissions(&cache, Permissions::from_mode(own)).unwrap();
            PrivateFolder::open(&cache).unwrap();
        }
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(says(&cache).contains("is writable for all or another user's"));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
        PrivateFolder::open(&cache).unwrap();
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        let (found, user) = (folder.path().metadata().unwrap(), nix::unistd::geteuid().as_raw());
        judge(folder.path(), &found, user).unwrap();
        assert!(is_kept(&found, user) && (user == 0 || !is_kept(&found, user + 1)));
        let error = judge(folder.path(), &found, user + 1).unwrap_err().to_string();
        assert!(
            error.contains(&format!("belongs to user {user}, and Shunt runs as user {}", user + 1)),
            "{error}"
        );
    }
}
