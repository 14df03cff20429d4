//! The files that a configuration is written in, and places in them.

use std::fs;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use shunt_rules::plain_file;

use super::report::{Cause, Refusal};

/// One file, as it was when it was read.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// Empty where the file could not be read.
    pub(super) text: String,
    /// The byte that each line starts at.
    lines: Vec<usize>,
}

impl Source {
    pub(super) fn new(path: PathBuf, text: String) -> Source {
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(index, _)| index + 1);
        let lines = std::iter::once(0).chain(after).collect();
        Source { path, text, lines }
    }

    /// The line, from 0, that a byte is in.
    pub(super) fn line_of(&self, byte: usize) -> usize {
        self.lines.partition_point(|start| *start <= byte).saturating_sub(1)
    }

    /// The byte that a line starts at.
    pub(super) fn start_of(&self, line: usize) -> usize {
        self.lines.get(line).copied().unwrap_or(self.text.len())
    }
}

/// Where something stands: a file, and what part of it where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the file among the sources.
    pub(super) source: usize,
    /// Bytes of its text.
    pub(super) span: Option<Range<usize>>,
}

/// Reads a file, or the `*.toml` of a folder in the order of their names. What cannot be read is
/// returned beside, each with its place.
pub(super) fn read(path: &Path) -> (Vec<Source>, Vec<(Place, Refusal)>) {
    let mut sources = Vec::new();
    let mut refused = Vec::new();
    let files = match list(path) {
        Ok(files) => files,
        Err(refusal) => {
            sources.push(Source::new(path.to_path_buf(), String::new()));
            return (sources, vec![(Place { source: 0, span: None }, refusal)]);
        }
    };
    for path in files {
        let source = sources.len();
        let text = match content(&path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => {
                    // Up to the first bad byte the lossy text is the file's own.
                    let start = error.utf8_error().valid_up_to();
                    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                    let end = start + char::REPLACEMENT_CHARACTER.len_utf8();
                    let refusal = Refusal::new(Cause::Unreadable, "the file is not UTF-8")
                        .help("TOML is UTF-8 text; save the file in this encoding");
                    refused.push((Place { source, span: Some(start..end) }, refusal));
                    text
                }
            },
            Err(error) => {
                refused.push((Place { source, span: None }, unreadable(&path, &error)));
                String::new()
            }
        };
        sources.push(Source::new(path, text));
    }
    (sources, refused)
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    plain_file::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The files that a configuration is written in now; none where they cannot be listed.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    list(path).unwrap_or_default()
}

/// Why something could not be read, and what to do.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            let refusal = Refusal::new(Cause::Unreadable, format!("there is no `{shown}`"));
            match neighbour(path) {
                Some(name) => refusal.help(format!("did you mean `{name}`?")),
                None => refusal.help("fix the path, or put the file there"),
            }
        }
        io::ErrorKind::PermissionDenied => {
            Refusal::new(Cause::Unreadable, format!("Shunt may not read `{shown}`"))
                .help("give the user that Shunt runs as the right to read it, and to enter its folders")
        }
        _ => Refusal::new(Cause::Unreadable, format!("Shunt cannot read `{shown}`: {error}")),
    }
}

/// The file itself, or what a folder holds.
fn list(path: &Path) -> Result<Vec<PathBuf>, Refusal> {
    if !fs::metadata(path).map_err(|error| unreadable(path, &error))?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let name = entry.map_err(|error| unreadable(path, &error))?.file_name();
        // Editors keep locks and copies beside a file under names that begin with a dot.
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if !hidden && Path::new(&name).extension().is_some_and(|extension| extension == "toml") {
            files.push(path.join(name));
        }
    }
    if files.is_empty() {
        let message = format!("the folder `{}` has no `*.toml`", path.display());
        return Err(Refusal::new(Cause::Unreadable, message)
            .help("put at least one configuration file into it, or name a file"));
    }
    files.sort();
    Ok(files)
}

/// A name in the same folder that looks like a slip of the missing one.
fn neighbour(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    super::suggest::nearest(wanted, names.iter().map(String::as_str)).map(String::from)
}
