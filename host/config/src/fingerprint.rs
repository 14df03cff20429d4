//! What the files of a configuration were when they were read, to see later whether they still are.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::source;

/// Files, and what tells another content without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    config: PathBuf,
    files: BTreeMap<PathBuf, Option<Mark>>,
}

/// Device and inode, time of the last change of the content in nanoseconds, and length.
type Mark = (u64, u64, i128, u64);

/// Files as they are at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<PathBuf, Option<Mark>>);

impl Marks {
    pub fn of(files: impl IntoIterator<Item = PathBuf>) -> Marks {
        Marks(files.into_iter().map(|path| (path.clone(), mark(&path))).collect())
    }
}

impl Fingerprint {
    /// Of a configuration, which is a file or a folder.
    pub(super) fn take(config: &Path) -> Fingerprint {
        let mut taken = Fingerprint { config: config.to_owned(), files: BTreeMap::new() };
        taken.add(source::files(config));
        taken
    }

    /// Other files that belong to it.
    pub(super) fn add(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.files.extend(files.into_iter().map(|path| {
            let mark = mark(&path);
            (path, mark)
        }));
    }

    /// Of files that belong to it, what they have become: it is in force.
    pub fn renew(&mut self, marks: &Marks) {
        for (path, mark) in &mut self.files {
            if let Some(renewed) = marks.0.get(path) {
                *mark = *renewed;
            }
        }
    }

    /// The files that were written, added or removed since.
    pub fn changed(&self) -> Vec<PathBuf> {
        let changed =
            self.files.iter().filter(|(path, before)| mark(path) != **before).map(|(path, _)| path.clone());
        let added = source::files(&self.config).into_iter().filter(|path| !self.files.contains_key(path));
        changed.chain(added).collect()
    }
}

/// `None`: it is not there. A folder of a pack is what its built file is.
fn mark(path: &Path) -> Option<Mark> {
    let of = |path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        let time = i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec());
        Some((file.dev(), file.ino(), time, file.len()))
    };
    let built = std::fs::read_dir(path.join("dist")).into_iter().flatten().filter_map(Result::ok);
    built.filter_map(|entry| of(&entry.path())).max_by_key(|(_, _, time, _)| *time).or_else(|| of(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_written_added_or_removed_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.toml", "b.toml", "key"] {
            fs::write(path(name), name).unwrap();
        }
        let mut taken = Fingerprint::take(folder.path());
        taken.add([path("key"), path("none")]);
        assert_eq!(taken.changed(), Vec::<PathBuf>::new());
        fs::write(path("a.toml"), "longer than it was").unwrap();
        fs::remove_file(path("b.toml")).unwrap();
        fs::write(path("c.toml"), "").unwrap();
        fs::write(path("none"), "").unwrap();
        let marks = Marks::of([path("none"), path("other")]);
        assert_ne!(marks, Marks::of([path("none"), path("key")]));
        let mut renewed = taken.clone();
        renewed.renew(&marks);
        assert_eq!(renewed.changed(), ["a.toml", "b.toml", "c.toml"].map(path));
        // Put in its place by renaming, as editors and tools for certificates do.
        fs::write(path("new"), "key").unwrap();
        fs::rename(path("new"), path("key")).unwrap();
        let changed = taken.changed();
        assert_eq!(changed, ["a.toml", "b.toml", "key", "none", "c.toml"].map(path));
    }
}
