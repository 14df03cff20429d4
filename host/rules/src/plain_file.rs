//! Files that are read to their end, which only plain ones are sure to have.

use std::fs::{self, File, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// Opens a plain file to read it. To open a FIFO would wait for who writes to it, so it is looked at first.
///
/// # Errors
/// There is none, it may not be read, or it is something else, which the text names.
pub fn open(path: &Path) -> io::Result<File> {
    match other(fs::metadata(path)?.file_type()) {
        Some(other) if !is_inherited(path) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {other} and not a file")))
        }
        _ => File::open(path),
    }
}

/// What it is, if it is no plain file.
#[must_use]
pub fn other(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_fifo() {
        Some("a FIFO")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

/// Whether it is open already: `<(command)` of a shell, or the standard input.
fn is_inherited(path: &Path) -> bool {
    path == Path::new("/dev/stdin") || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn only_plain_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let [fifo, socket, file, link] = ["fifo", "socket", "file", "link"].map(|it| folder.path().join(it));
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for (path, what) in [
            (fifo.as_path(), "a FIFO"),
            (&socket, "a socket"),
            (folder.path(), "a folder"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let error = open(path).unwrap_err().to_string();
            assert_eq!(error, format!("it is {what} and not a file"));
        }
        let mut text = String::new();
        open(&link).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        assert_eq!(open(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_a_shell_passes_is_read() {
        use std::os::fd::AsRawFd as _;
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let mut text = String::new();
        open(Path::new(&path)).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "");
    }
}
