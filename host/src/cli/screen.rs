//! Where results and refusals are printed: as text for people, with colours on a terminal, or as JSON.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::args::Format;
use super::failure::{Failure, Message};
use shunt_runtime::log;

#[derive(Debug)]
pub(super) struct Screen {
    format: Format,
    /// Why a result could not be printed.
    unwritten: RefCell<Option<io::Error>>,
    /// Colours on stdout.
    pub(super) out: Paint,
    /// Colours on stderr.
    pub(super) err: Paint,
}

/// Whether colours may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paint(pub(super) bool);

/// The few things that a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Head,
    Good,
    Bad,
    Faint,
}

impl Screen {
    pub(super) fn new(format: Format) -> Self {
        // https://no-color.org: any value but the empty one.
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let paint = |terminal: bool| Paint(wanted && terminal);
        let (out, err) = (paint(io::stdout().is_terminal()), paint(io::stderr().is_terminal()));
        Screen { format, unwritten: RefCell::new(None), out, err }
    }

    /// Whether programs read the result.
    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints a result.
    pub(super) fn show(&self, json: &Value, text: impl FnOnce(Paint) -> String) {
        let text = if self.is_json() { format!("{json:#}\n") } else { text(self.out) };
        let mut out = io::stdout();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.unwritten.replace(Some(error));
        }
    }

    /// Whether every result was printed. A reader that has read enough, as `head`, is no failure.
    ///
    /// # Errors
    /// A result was not printed; what the command had to do is done.
    pub(super) fn written(&self) -> Result<(), Failure> {
        match self.unwritten.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::failed("output", format!("the result cannot be written: {error}"))
                    .help("the command was carried out; check where its standard output goes"))
            }
            _ => Ok(()),
        }
    }

    /// Prints why there is no result.
    pub(super) fn refuse(&self, failure: &Failure) {
        if matches!(failure.message, Message::Shown) {
            return;
        }
        let text = if self.is_json() { format!("{:#}\n", failure.json) } else { told(failure, self.err) };
        if !log::last(&text) {
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }
}

impl Paint {
    pub(super) fn on(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Head => "1",
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Faint => "2",
        };
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn told(failure: &Failure, paint: Paint) -> String {
    let mut text = match &failure.message {
        Message::Report { plain, styled } => {
            let report = if paint.0 { styled } else { plain };
            format!("{}\n", report.trim_end())
        }
        Message::Plain(message) => format!("{} {}\n", paint.on(Tone::Bad, "error:"), message.trim_end()),
        Message::Shown => String::new(),
    };
    if let Some(help) = &failure.help {
        text.push_str(&format!("{} {help}\n", paint.on(Tone::Head, "help:")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_looks_like() {
        let failure = Failure::failed("x", "no rule").help("load one");
        assert_eq!(told(&failure, Paint(false)), "error: no rule\nhelp: load one\n");
        assert_eq!(
            told(&failure, Paint(true)),
            "\x1b[1;31merror:\x1b[0m no rule\n\x1b[1mhelp:\x1b[0m load one\n"
        );
        assert_eq!(failure.json["error"]["help"], "load one");
    }
}
