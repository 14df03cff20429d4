//! Compiled code over restarts: taken from the cache, and compiled again where the cache is not what it was.

use std::fs;
use std::path::{Path, PathBuf};

use shunt_rules::{Compilations, PrivateFolder, RequestVerdict, RuleHost, Runner, Target};

use crate::world::{World, exchange, options, pack};

/// One that is not there yet, and the one above it, which is removed at the end.
fn cache_folder() -> (tempfile::TempDir, PathBuf) {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("cache");
    (above, folder)
}

/// What a process that starts with this folder does to run a rule.
fn started(folder: &Path) -> Compilations {
    let (host, problem) = RuleHost::with_cache(&PrivateFolder::open(folder).unwrap()).unwrap();
    assert!(problem.is_none(), "{problem:?}");
    runs(&host);
    host.compilations().unwrap()
}

/// Compiles a rule and calls it.
fn runs(host: &RuleHost) {
    let rule = host.compile(&pack("plain")).unwrap();
    let mut runner = Runner::new(rule.attach(options(&rule, &World::new())).unwrap());
    let verdict = runner.on_request(&mut exchange("/", &[])).unwrap();
    assert_eq!(verdict, RequestVerdict::To(Target { pool: Some(0), ..Target::default() }));
}

const COMPILED: Compilations = Compilations { compiled: 1, cached: 0 };
const CACHED: Compilations = Compilations { compiled: 0, cached: 1 };

/// The one entry in a cache.
fn entry(folder: &Path) -> PathBuf {
    let mut folder = folder.join("compiled");
    while folder.is_dir() {
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        // Beside them are how often they were used, and the locks of cleanups.
        let is_entry = |path: &PathBuf| path.is_dir() || path.extension().is_none();
        let mut entries: Vec<_> = entries.filter(is_entry).collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        folder = entries.remove(0);
    }
    folder
}

#[test]
fn what_was_compiled_is_not_compiled_again() {
    let (_above, folder) = cache_folder();
    assert_eq!(started(&folder), COMPILED);
    assert_eq!(started(&folder), CACHED);
    // Another process may have the same folder at the same time.
    let (one, _) = RuleHost::with_cache(&PrivateFolder::open(&folder).unwrap()).unwrap();
    assert_eq!(started(&folder), CACHED);
    runs(&one);
    assert_eq!(one.compilations(), Some(CACHED));
    assert_eq!(RuleHost::new().unwrap().compilations(), None);
}

#[test]
fn an_entry_that_was_damaged_is_compiled_again() {
    let (_above, folder) = cache_folder();
    assert_eq!(started(&folder), COMPILED);
    let file = entry(&folder);
    let good = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let mut damaged = vec![Vec::new(), good[..good.len() / 2].to_vec(), good[..good.len() - 1].to_vec()];
    damaged.extend((0..16).map(|part| flipped(good.len() * part / 16)));
    damaged.push([&good[..], b"more"].concat());
    for bytes in damaged {
        fs::write(&file, &bytes).unwrap();
        assert_eq!(started(&folder), COMPILED, "{} bytes", bytes.len());
        assert_eq!(started(&folder), CACHED);
    }
}

#[test]
fn an_entry_that_nobody_vouches_for_is_compiled_again() {
    let (_above, folder) = cache_folder();
    started(&folder);
    for digests in ["", "no digests\n", &format!("{:064}  modules/none\n", 0)] {
        fs::write(folder.join("compiled.sha256"), digests).unwrap();
        assert_eq!(started(&folder), COMPILED, "{digests:?}");
    }
    // Half of a file that a process left behind which ended in the middle of it.
    let unfinished = entry(&folder).with_extension("wip-atomic-write-mod");
    fs::write(&unfinished, "half").unwrap();
    assert_eq!(started(&folder), CACHED);
    assert!(!unfinished.exists());
}

#[test]
fn a_cache_that_cannot_be_written_costs_only_time() {
    let (_above, folder) = cache_folder();
    // A file in the place of the folder stops root too.
    let cache = PrivateFolder::open(&folder).unwrap();
    fs::write(folder.join("compiled"), "").unwrap();
    let (host, problem) = RuleHost::with_cache(&cache).unwrap();
    assert!(problem.unwrap().to_string().contains("is no folder"));
    runs(&host);

    let (_above, folder) = cache_folder();
    let compiled = PrivateFolder::open(&folder).unwrap().below("compiled").unwrap();
    let (host, problem) = RuleHost::with_cache(&PrivateFolder::open(&folder).unwrap()).unwrap();
    assert!(problem.is_none());
    fs::write(compiled.path().join("modules"), "").unwrap();
    runs(&host);
    assert_eq!(host.compilations().unwrap().cached, 0);
}
