//! Pack files by the digest of the pack, in a folder of this user alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use shunt_rules::artefact::{Artefact, MAX_FILE_BYTES, Wanted};
use shunt_rules::{Digest, PrivateFolder, PrivateFolderError, whole};

/// Bytes of a blob from which a transfer of it is worth going on with.
const WORTH_KEEPING: u64 = 256 << 10;

/// How long what there is of a blob is kept.
const GONE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Pack files: what a registry gave is there when the registry is not.
#[derive(Clone, Debug)]
pub struct Cache {
    packs: PrivateFolder,
    /// Blobs whose transfer broke.
    partial: PrivateFolder,
}

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    #[error("cannot read or write {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Cache {
    /// Opens a folder, and makes it if it is not there: with mode 0700.
    ///
    /// # Errors
    /// Others may write or read there.
    pub fn open(folder: &Path) -> Result<Cache, CacheError> {
        let folder = PrivateFolder::open(folder)?;
        let cache = Cache { packs: folder.below("packs")?, partial: folder.below("partial")? };
        remove_old(cache.partial.path());
        Ok(cache)
    }

    fn file(&self, pack: Digest) -> PathBuf {
        self.packs.path().join(format!("sha256-{pack}.pack.tar"))
    }

    /// A pack. One that was damaged is removed, and not there.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn get(&self, pack: Digest) -> Result<Option<Artefact>, CacheError> {
        let path = self.file(pack);
        let io = |source| CacheError::Io { path: path.clone(), source };
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        match Artefact::read(&bytes) {
            Ok(artefact) if artefact.digest() == pack => Ok(Some(artefact)),
            _ => {
                // Where it cannot be removed it is found damaged again.
                let _ = fs::remove_file(&path);
                Ok(None)
            }
        }
    }

    /// Puts a pack there, or puts it there again with other signatures. Gives its file.
    ///
    /// # Errors
    /// It cannot be written. What was there stays, and nothing else is left.
    pub fn put(&self, artefact: &Artefact) -> Result<PathBuf, CacheError> {
        let path = self.file(artefact.digest());
        whole::write(&path, &artefact.to_bytes())
            .map_err(|source| CacheError::Io { path: path.clone(), source })?;
        Ok(path)
    }

    /// Removes what there is of blobs: they are whole, or nobody will have them.
    pub(crate) fn forget(&self, blobs: &[Wanted]) {
        for wanted in blobs {
            let _ = fs::remove_file(self.partial_file(*wanted));
        }
    }

    fn partial_file(&self, wanted: Wanted) -> PathBuf {
        self.partial.path().join(format!("sha256-{}", wanted.digest))
    }

    /// What there is of a blob, for this process alone. `None`: it is small, another process has it, or the folder cannot
    /// be written: then it is got as a whole.
    pub(crate) fn partial(&self, wanted: Wanted) -> Option<Partial> {
        if wanted.size < WORTH_KEEPING {
            return None;
        }
        let path = self.partial_file(wanted);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).ok()?;
        file.try_lock().ok()?;
        let mut bytes = Vec::new();
        (&mut file).take(wanted.size).read_to_end(&mut bytes).ok()?;
        Some(Partial { path, file: Some(file), kept: bytes.len(), bytes })
    }
}

/// Removes what nobody went on with.
fn remove_old(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|it| it.modified()).map(|at| at.elapsed().unwrap_or_default());
        if age.is_ok_and(|age| age > GONE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A blob that is being got, in a file that is locked.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    /// Gone when it could not be written: a disk that is full does not end a transfer.
    file: Option<File>,
    /// How much of the blob is in the file.
    kept: usize,
    bytes: Vec<u8>,
}

impl Partial {
    /// What was there.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Writes what came since.
    pub(crate) fn keep(&mut self, blob: &[u8]) {
        let since = blob.get(self.kept..).unwrap_or_default();
        if self.file.as_mut().is_some_and(|file| file.write_all(since).is_err()) {
            self.give_up();
        }
        self.kept = blob.len();
    }

    /// The transfer begins anew.
    pub(crate) fn clear(&mut self) {
        self.kept = 0;
        let cleared = |file: &mut File| file.set_len(0).and_then(|()| file.rewind());
        if self.file.as_mut().is_some_and(|file| cleared(file).is_err()) {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.file = None;
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Nothing came of it.
        if self.file.as_ref().is_some_and(|file| file.metadata().is_ok_and(|it| it.len() == 0)) {
            self.give_up();
        }
    }
}
