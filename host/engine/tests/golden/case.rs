//! One golden case: a story, what it is set in, and a conversation in frames.
//!
//! ```text
//! A client opens a connection, and the member gets it under its own address.
//!
//! virtual shop 203.0.113.1:80 tcp nat
//! member 10.0.0.1:8080
//!
//! in eth0 eth 02:00:00:00:00:01 > 02:00:00:00:00:02 | ip4 192.0.2.7 > 203.0.113.1 df
//!     | tcp 40000 > 80 S seq 1 mss 1460
//! out eth1 eth 02:00:00:00:01:02 > 02:00:00:00:01:01 | …
//! verdict send eth1
//! ```
//!
//! The story ends at the first empty line. A line that starts with a blank continues with the line before it;
//! one that starts with `#` is a remark. Everything before the first `in` is the setting; its words, and
//! other words between frames, belong to who runs the case.

use std::fs;
use std::path::Path;

use crate::frame;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) story: String,
    pub(crate) setting: Vec<Line>,
    pub(crate) steps: Vec<Step>,
}

/// A line whose meaning is its reader's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where it starts in the file, from 1.
    pub(crate) number: usize,
    pub(crate) word: String,
    /// What follows the word.
    pub(crate) rest: String,
}

/// The word of the line below a frame that comes in: who gets it from the kernel program, `shunt` and why, or the `kernel`.
pub(crate) const STEERED: &str = "steered";

/// Words of who runs a case, between its frames. All others change the setting.
const OF_SCRIPTS: [&str; 17] = [
    STEERED,
    "at",
    "again",
    "headroom",
    "announce",
    "lost",
    "takes",
    "hands",
    "delete",
    "solicits",
    "state",
    "flows",
    "done",
    "counts",
    "noticed",
    "forwarded",
    "words",
];

impl Line {
    /// Does it change the setting, as a reload or the network does?
    pub(crate) fn is_setting(&self) -> bool {
        !OF_SCRIPTS.contains(&self.word.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A frame comes in.
    In {
        interface: String,
        frame: Vec<u8>,
    },
    /// A frame must have gone out.
    Out {
        interface: String,
        frame: Vec<u8>,
    },
    /// What the last frame's verdict must be.
    Verdict(String),
    Other(Line),
}

impl Case {
    /// # Errors
    ///
    /// The line and what is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let (story, lines) = lines(text);
        let mut case = Self { story, setting: Vec::new(), steps: Vec::new() };
        for line in lines {
            let number = line.number;
            let step = match line.word.as_str() {
                "in" => link(&line.rest).map(|(interface, frame)| Step::In { interface, frame }),
                "out" => link(&line.rest).map(|(interface, frame)| Step::Out { interface, frame }),
                "verdict" => Ok(Step::Verdict(line.rest)),
                _ if case.steps.is_empty() => {
                    case.setting.push(line);
                    continue;
                }
                _ => Ok(Step::Other(line)),
            };
            case.steps.push(step.map_err(|error| format!("line {number}: {error}"))?);
        }
        if case.story.is_empty() || case.steps.is_empty() {
            return Err("a case has a story and at least one frame".to_owned());
        }
        Ok(case)
    }
}

/// All cases below `folder`, named by topic and file, in order.
///
/// # Errors
///
/// The file and what is wrong with it.
pub(crate) fn all(folder: &Path) -> Result<Vec<(String, Case)>, String> {
    let mut cases = Vec::new();
    for topic in entries(folder)? {
        for file in entries(&topic)? {
            let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let case = Case::read(&text).map_err(|error| format!("{}: {error}", file.display()))?;
            let name = file.with_extension("");
            let name = name.strip_prefix(folder).unwrap_or(&name).display().to_string();
            cases.push((name, case));
        }
    }
    Ok(cases)
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, String> {
    let say = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(say)? {
        paths.push(entry.map_err(say)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The story, and the lines behind it with their continuations.
fn lines(text: &str) -> (String, Vec<Line>) {
    let mut story = Vec::new();
    let mut lines: Vec<Line> = Vec::new();
    let mut in_story = true;
    for (at, text) in text.lines().enumerate() {
        if text.trim().is_empty() {
            in_story &= story.is_empty();
        } else if text.starts_with('#') {
        } else if in_story {
            story.push(text.trim());
        } else if text.starts_with(char::is_whitespace)
            && let Some(line) = lines.last_mut()
        {
            line.rest.push(' ');
            line.rest.push_str(text.trim());
        } else {
            let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
            lines.push(Line { number: at + 1, word: word.to_owned(), rest: rest.trim().to_owned() });
        }
    }
    (story.join(" "), lines)
}

/// An interface and a frame.
fn link(rest: &str) -> Result<(String, Vec<u8>), String> {
    let (interface, text) = rest.split_once(' ').ok_or("an interface and a frame belong here")?;
    Ok((interface.to_owned(), frame::read(text)?))
}
