//! Secrets of sessions, in the format of `SSLKEYLOGFILE` (draft-ietf-tls-keylogfile): for debugging, where an
//! operator asks for it in the configuration. No variable of the environment switches it on.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustls::KeyLog;

#[derive(Debug)]
pub(super) struct KeyLogFile {
    path: PathBuf,
    /// Made with the first secret; `None` in it: that failed, which the log has told.
    file: Mutex<Option<Option<File>>>,
}

impl KeyLogFile {
    pub(super) fn new(path: &Path) -> Self {
        KeyLogFile { path: path.to_owned(), file: Mutex::default() }
    }

    /// Why secrets cannot be written there, as far as it shows without making the file.
    pub(super) fn check(path: &Path) -> Result<(), String> {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match path.metadata() {
            Ok(found) if found.is_file() => Ok(()),
            // Opening a FIFO would wait for its reader, and the worker with it.
            Ok(_) => Err("it is not a plain file; name another".to_owned()),
            Err(_) if folder.is_dir() => Ok(()),
            Err(_) => Err(format!("there is no folder {}; make it, or name another", folder.display())),
        }
    }

    fn open(path: &Path) -> io::Result<File> {
        KeyLogFile::check(path).map_err(io::Error::other)?;
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)
    }

    fn failed(&self, error: &io::Error) {
        let file = self.path.display();
        tracing::error!(event = "key-log-failed", %file, %error, "the secrets of sessions cannot be logged");
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line = String::from(label);
        for (space, bytes) in [(' ', client_random), (' ', secret)] {
            line.push(space);
            for byte in bytes {
                let _ = write!(line, "{byte:02x}");
            }
        }
        line.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = file
            .get_or_insert_with(|| KeyLogFile::open(&self.path).map_err(|error| self.failed(&error)).ok());
        // One write, so that lines of several processes do not mix.
        if let Some(Err(error)) = file.as_mut().map(|file| file.write_all(line.as_bytes())) {
            self.failed(&error);
            *file = None;
        }
    }
}
