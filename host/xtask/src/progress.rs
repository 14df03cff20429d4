//! A run of cargo as one line that counts, and its messages only where it fails.

use std::io::{BufReader, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::terminal::Terminal;
use crate::tools;

/// Between two looks of the line, on a terminal.
const TICK: Duration = Duration::from_millis(100);

/// How a run ended.
pub(crate) struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    /// What was said on standard error, without progress: errors and warnings.
    pub messages: String,
}

/// Runs a command that is cargo, or that runs it, and shows how far it is.
pub(crate) fn watch(terminal: &Terminal, command: &mut Command) -> Result<Ended> {
    // Cargo counts what it will compile, and says so only in the bar that it draws for people.
    command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "100");
    command.env("CARGO_TERM_COLOR", "never").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", tools::shown(command)))?;
    let mut output = child.stdout.take().context("the command has no output")?;
    // Both pipes at once: a full one would stop it.
    let output = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).map(|_| bytes)
    });
    let errors = child.stderr.take().context("the command has no output")?;
    let messages = follow(errors, &mut Line::new(terminal))?;
    let status = child.wait().with_context(|| format!("cannot wait for {}", tools::shown(command)))?;
    let stdout = output.join().ok().context("a thread ended early")?.context("cannot read the output")?;
    Ok(Ended { status, stdout: String::from_utf8_lossy(&stdout).into_owned(), messages })
}

/// Reads to the end, shows progress, and gives what is no progress.
fn follow(errors: impl Read, line: &mut Line<'_>) -> Result<String> {
    let mut messages = String::new();
    let mut piece = Vec::new();
    for byte in BufReader::new(errors).bytes() {
        let byte = byte.context("cannot read what cargo says")?;
        if byte != b'\r' && byte != b'\n' {
            piece.push(byte);
            continue;
        }
        let text = String::from_utf8_lossy(&piece);
        match Said::of(&text) {
            Said::Count(count) => line.count(count)?,
            Said::Step => {}
            Said::Message => {
                messages.push_str(&text);
                messages.push('\n');
            }
        }
        piece.clear();
    }
    messages.push_str(&String::from_utf8_lossy(&piece));
    line.clear()?;
    Ok(messages)
}

/// What a piece of cargo's standard error is.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// `    Building [=====>      ] 12/345: serde, syn`
    Count(Count),
    /// A step in its usual course: `   Compiling serde v1.0.0`.
    Step,
    Message,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    done: u32,
    all: u32,
}

impl Said {
    fn of(piece: &str) -> Said {
        /// Verbs that cargo sets in front of a line, flush right in twelve columns.
        const STEPS: [&str; 12] = [
            "Adding",
            "Blocking",
            "Building",
            "Compiling",
            "Dirty",
            "Downloaded",
            "Downloading",
            "Finished",
            "Fresh",
            "Locking",
            "Running",
            "Updating",
        ];
        let text = piece.trim_start_matches("\x1b[K").trim();
        if let Some(count) = text.strip_prefix("Building [").and_then(Count::read) {
            return Said::Count(count);
        }
        let verb = text.split(' ').next().unwrap_or_default();
        if text.is_empty() || STEPS.contains(&verb) { Said::Step } else { Said::Message }
    }
}

impl Count {
    fn read(bar: &str) -> Option<Count> {
        let (_, rest) = bar.split_once("] ")?;
        let (done, rest) = rest.split_once('/')?;
        let all = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Count { done: done.parse().ok()?, all: all.parse().ok()? })
    }
}

/// The line that people see.
struct Line<'a> {
    terminal: &'a Terminal,
    begin: Instant,
    shown: Option<Instant>,
    /// Tenths that were said where no terminal shows a line that changes.
    tenths: u32,
}

impl Line<'_> {
    fn new(terminal: &Terminal) -> Line<'_> {
        Line { terminal, begin: Instant::now(), shown: None, tenths: 0 }
    }

    fn count(&mut self, Count { done, all }: Count) -> Result<()> {
        let seconds = self.begin.elapsed().as_secs();
        let text = format!("compiled {done} of {all} ({}:{:02})", seconds / 60, seconds % 60);
        if self.terminal.is_interactive() {
            if self.shown.is_none_or(|shown| shown.elapsed() >= TICK) {
                self.shown = Some(Instant::now());
                write_now(format_args!("\r\x1b[K  {}", self.terminal.faint(text)))?;
            }
            return Ok(());
        }
        let tenths = done * 10 / all.max(1);
        if tenths > self.tenths {
            self.tenths = tenths;
            self.terminal.line(text);
        }
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        if self.shown.is_some() { write_now(format_args!("\r\x1b[K")) } else { Ok(()) }
    }
}

fn write_now(text: std::fmt::Arguments<'_>) -> Result<()> {
    let mut out = std::io::stdout();
    out.write_fmt(text).and_then(|()| out.flush()).context("cannot write to the terminal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_understood() {
        for (piece, said) in [
            (
                "    Building [=====>      ] 12/345: serde, syn(build)",
                Said::Count(Count { done: 12, all: 345 }),
            ),
            ("\x1b[K    Building [====] 345/345", Said::Count(Count { done: 345, all: 345 })),
            ("   Compiling serde v1.0.0", Said::Step),
            ("", Said::Step),
            ("error[E0425]: cannot find value `x` in this scope", Said::Message),
            ("    Building something else", Said::Step),
        ] {
            assert_eq!(Said::of(piece), said, "{piece}");
        }
    }

    #[test]
    fn only_messages_are_kept() {
        let terminal = Terminal::new();
        let said =
            "   Compiling a v1\n    Building [> ] 1/2: a\r    Building [=>] 2/2: b\rerror: no\n  --> b.rs\n";
        assert_eq!(follow(said.as_bytes(), &mut Line::new(&terminal)).unwrap(), "error: no\n  --> b.rs\n");
    }
}
