//! What people see. Colours only where a terminal shows them.

use std::fmt::Display;
use std::io::IsTerminal;

pub(crate) struct Terminal {
    colours: bool,
    interactive: bool,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        // https://no-color.org: any value that is not empty.
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let interactive = std::io::stdout().is_terminal() && !dumb;
        Self { colours: interactive && !unwanted, interactive }
    }

    /// Whether a line can be written over.
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// A stage begins.
    pub(crate) fn stage(&self, text: impl Display) {
        println!("\n{} {}", self.accent("▍"), self.strong(text));
    }

    /// Something is so, or was done.
    pub(crate) fn done(&self, text: impl Display) {
        println!("  {} {text}", self.good("✓"));
    }

    /// A line of the stage.
    pub(crate) fn line(&self, text: impl Display) {
        println!("  {text}");
    }

    pub(crate) fn failure(&self, error: &anyhow::Error) {
        println!("\n{} {error}", self.bad("✗"));
        for cause in error.chain().skip(1) {
            println!("  {}", self.faint(format_args!("because {cause}")));
        }
    }

    pub(crate) fn strong(&self, text: impl Display) -> String {
        self.paint("1", text)
    }

    pub(crate) fn faint(&self, text: impl Display) -> String {
        self.paint("2", text)
    }

    pub(crate) fn good(&self, text: impl Display) -> String {
        self.paint("32", text)
    }

    pub(crate) fn bad(&self, text: impl Display) -> String {
        self.paint("31", text)
    }

    pub(crate) fn accent(&self, text: impl Display) -> String {
        self.paint("36", text)
    }

    /// A line of a configuration.
    pub(crate) fn toml(&self, line: &str) -> String {
        let (line, comment) = line.split_at(line.find('#').unwrap_or(line.len()));
        let painted = match line.split_once(" = ") {
            Some((key, value)) => format!("{} = {value}", self.accent(key)),
            None => self.strong(line),
        };
        format!("{painted}{}", self.faint(comment))
    }

    /// `code`: the number of an SGR sequence (ECMA-48 section 8.3.117).
    pub(crate) fn paint(&self, code: &str, text: impl Display) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}
