//! Compiled code kept over restarts, by wasmtime's own cache, in a folder of this process's user.
//!
//! wasmtime keeps an entry for each component, called by a hash of the component, of the compiler's settings and of the
//! processor. An entry is machine code, and wasmtime believes what it finds: an entry that was damaged on its way through a
//! disk would run, or would refuse the component that it is of. So the digests of all entries are kept beside them, and
//! whatever does not match is removed before wasmtime looks: it is compiled again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use wasmtime::{Cache, CacheConfig};

use crate::{Digest, PrivateFolder, PrivateFolderError, whole};

/// The folder of the entries, and the file of their digests.
const ENTRIES: &str = "compiled";
const DIGESTS: &str = "compiled.sha256";
/// Bytes of all entries before wasmtime removes those that were not used for longest: more than a thousand rules, and read
/// through at a start in a fraction of a second.
const MAX_BYTES: u64 = 128 << 20;
/// What wasmtime keeps beside an entry: how often it was used.
const STATISTICS: &str = "stats";

/// How often code was compiled, and how often it was there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compilations {
    pub compiled: usize,
    pub cached: usize,
}

pub(crate) struct CompileCache {
    cache: Cache,
    entries: PathBuf,
    digests: PathBuf,
    /// Misses after which the digests were last written.
    recorded: Mutex<usize>,
}

/// Why compiled code is not kept. Rules run without.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    #[error("cannot use the compiled code in {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot set up the cache of compiled code: {0:#}")]
    Cache(wasmtime::Error),
}

impl CompileCache {
    /// # Errors
    /// The folder cannot be written, or an entry that is damaged cannot be removed.
    pub(crate) fn open(folder: &PrivateFolder) -> Result<CompileCache, CacheError> {
        let entries = folder.below(ENTRIES)?.path().to_owned();
        let digests = folder.path().join(DIGESTS);
        sweep(&entries, &read_digests(&digests))
            .map_err(|source| CacheError::Io { path: entries.clone(), source })?;
        let mut config = CacheConfig::new();
        config
            .with_directory(&entries)
            .with_files_total_size_soft_limit(MAX_BYTES)
            .with_cleanup_interval(Duration::from_secs(60 * 60))
            // An entry that is written again would have another digest.
            .with_optimized_compression_usage_counter_threshold(u64::MAX);
        let cache = Cache::new(config).map_err(CacheError::Cache)?;
        Ok(CompileCache { cache, entries, digests, recorded: Mutex::new(0) })
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(crate) fn compilations(&self) -> Compilations {
        Compilations { compiled: self.cache.cache_misses(), cached: self.cache.cache_hits() }
    }

    /// Writes the digests of entries that are new. An entry without one is compiled again at the next start, so that nothing
    /// is lost but time where they cannot be written.
    pub(crate) fn record(&self) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let misses = self.cache.cache_misses();
        if *recorded == misses {
            return;
        }
        let mut digests = read_digests(&self.digests);
        let found = found(&self.entries).unwrap_or_default();
        digests.retain(|path, _| found.contains_key(path));
        for (path, file) in found.into_iter().filter(|(path, _)| is_entry(Path::new(path))) {
            if !digests.contains_key(&path)
                && let Ok(bytes) = fs::read(file)
            {
                digests.insert(path, Digest::of(&bytes));
            }
        }
        let text: String = digests.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect();
        if whole::write(&self.digests, text.as_bytes()).is_ok() {
            *recorded = misses;
        }
    }
}

/// Removes what has no digest, or another one.
fn sweep(entries: &Path, digests: &BTreeMap<String, Digest>) -> io::Result<()> {
    for (path, file) in found(entries)? {
        // How often an entry was used is of no consequence.
        let entry = path.strip_suffix(&format!(".{STATISTICS}")).unwrap_or(&path);
        let is_good = match digests.get(entry) {
            Some(digest) if is_entry(&file) => {
                if_there(fs::read(&file))?.is_none_or(|bytes| Digest::of(&bytes) == *digest)
            }
            Some(_) => true,
            None => false,
        };
        if !is_good {
            if_there(fs::remove_file(&file))?;
        }
    }
    Ok(())
}

/// `None`: it has gone. The cache of another process, which ends, renames and removes files meanwhile.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_entry(file: &Path) -> bool {
    file.extension().is_none()
}

/// The files below a folder, by their paths from it.
fn found(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(below) = folders.pop() {
        let Some(listed) = if_there(fs::read_dir(below))? else { continue };
        for entry in listed {
            let entry = entry?;
            let path = entry.path();
            let Some(kind) = if_there(entry.file_type())? else { continue };
            if kind.is_dir() {
                folders.push(path);
            } else if let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str) {
                files.insert(name.to_owned(), path);
            }
        }
    }
    Ok(files)
}

/// As sha256sum(1) writes them. What cannot be read is not there.
fn read_digests(file: &Path) -> BTreeMap<String, Digest> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        let (digest, path) = line.split_once("  ")?;
        Some((path.to_owned(), Digest::from_hex(digest)?))
    };
    text.lines().filter_map(line).collect()
}
