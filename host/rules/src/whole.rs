//! Files that are there as a whole, or not at all.

use std::path::Path;
use std::{fs, io};

/// Writes a file in the place of the one that may be there.
///
/// # Errors
/// It cannot be written; the file that was there stays.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    // Beside it, so that the rename cannot cross a file system.
    let unfinished = file.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, file));
    if written.is_err() {
        // What is left of it is nobody's, and the first error is the one to tell.
        let _ = fs::remove_file(&unfinished);
    }
    written
}
