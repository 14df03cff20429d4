//! Files that are there as a whole, or not at all.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

/// Writes a file in the place of the one that may be there. Where that is a link, to where it leads.
///
/// # Errors
/// It cannot be written; the file that was there stays.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = &*behind_links(file)?;
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    // Beside it, so that the rename cannot cross a file system; and of this call alone.
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let (process, call) = (std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed));
    let unfinished = file.with_file_name(format!(".{}.{process}.{call}", name.to_string_lossy()));
    let written = fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, file));
    if written.is_err() {
        // What is left of it is nobody's, and the first error is the one to tell.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn behind_links(file: &Path) -> io::Result<Cow<'_, Path>> {
    if !file.is_symlink() {
        return Ok(Cow::Borrowed(file));
    }
    let leads = file.canonicalize().map_err(|error| {
        let to = fs::read_link(file).unwrap_or_default();
        io::Error::new(error.kind(), format!("it is a link to {}: {error}", to.display()))
    })?;
    Ok(Cow::Owned(leads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, elsewhere] = ["a/file", "link", "elsewhere"].map(|it| folder.path().join(it));
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("a/file", &link).unwrap();
        write(&link, b"new").unwrap();
        assert_eq!((fs::read(&file).unwrap(), link.is_symlink()), (b"new".to_vec(), true));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
        std::os::unix::fs::symlink("none", &elsewhere).unwrap();
        let error = write(&elsewhere, b"new").unwrap_err().to_string();
        assert!(error.contains("it is a link to none"), "{error}");
    }

    #[test]
    fn many_write_one_file_at_a_time_and_leave_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::thread::scope(|scope| {
            for byte in 0..8_u8 {
                let file = &file;
                scope.spawn(move || (0..50).for_each(|_| write(file, &[byte; 4096]).unwrap()));
            }
        });
        let bytes = fs::read(&file).unwrap();
        assert!(bytes.len() == 4096 && bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = write(&folder.path().join("none/file"), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
