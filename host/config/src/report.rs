//! What is wrong with a configuration: every problem with its place, its cause and what to do, for
//! people and for programs.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::source::{Place, Source};

/// Why a configuration was refused.
#[derive(Clone, Debug)]
pub struct Report {
    sources: Arc<[Source]>,
    /// In the order of the files, and of the text within each.
    findings: Vec<Finding>,
    /// They are no reason to refuse it.
    warnings: bool,
}

/// One problem, for `-o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub cause: Cause,
    pub file: PathBuf,
    /// From 1. Absent where the problem is the whole file.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    /// The key as it stands in this configuration: `virtual.shop.timeouts.head`.
    pub key: Option<String>,
    /// The same key in the reference: `virtual.timeouts.head`.
    pub entry: Option<String>,
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Other places that are part of it: where a name was used first.
    pub also: Vec<Also>,
}

/// Another place that a problem speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Also {
    pub file: PathBuf,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub message: String,
}

/// The kinds of problems. The names in JSON and in brackets on the terminal are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A file or folder cannot be read as text.
    Unreadable,
    /// It is not TOML.
    Syntax,
    /// Nothing has this name here.
    UnknownKey,
    /// A key that must be there is not.
    MissingKey,
    /// A number where text belongs, and so on.
    WrongType,
    /// The right type, but not in the form or from the choice that the key takes.
    BadValue,
    /// Too little or too much.
    OutOfRange,
    /// It names something that is not there.
    Unresolved,
    /// It may be there only once.
    Duplicate,
    /// Keys, each right, that do not fit together.
    Conflict,
    /// The key is right; what it points to was refused when it was opened.
    Refused,
    /// It can be used, and is most likely not what was meant. A warning.
    Suspicious,
}

impl Cause {
    /// Every cause, for tests and documents.
    pub const ALL: [Cause; 12] = [
        Cause::Unreadable,
        Cause::Syntax,
        Cause::UnknownKey,
        Cause::MissingKey,
        Cause::WrongType,
        Cause::BadValue,
        Cause::OutOfRange,
        Cause::Unresolved,
        Cause::Duplicate,
        Cause::Conflict,
        Cause::Refused,
        Cause::Suspicious,
    ];

    /// Its stable name.
    pub fn code(self) -> &'static str {
        match self {
            Cause::Unreadable => "unreadable",
            Cause::Syntax => "syntax",
            Cause::UnknownKey => "unknown-key",
            Cause::MissingKey => "missing-key",
            Cause::WrongType => "wrong-type",
            Cause::BadValue => "bad-value",
            Cause::OutOfRange => "out-of-range",
            Cause::Unresolved => "unresolved",
            Cause::Duplicate => "duplicate",
            Cause::Conflict => "conflict",
            Cause::Refused => "refused",
            Cause::Suspicious => "suspicious",
        }
    }
}

impl Report {
    pub(super) fn new(sources: Arc<[Source]>, mut findings: Vec<Finding>) -> Report {
        findings.sort_by_key(|finding| {
            let span = finding.place.span.as_ref();
            // Of two at the same byte the wider comes first: the table before what is in it.
            (finding.place.source, span.map(|span| (span.start, Reverse(span.end))))
        });
        // A value that several virtuals have in common is wrong once.
        let mut seen = BTreeSet::new();
        findings.retain(|Finding { place, refusal, .. }| {
            let span = place.span.as_ref().map(|span| (span.start, span.end));
            seen.insert((place.source, span, refusal.message.clone()))
        });
        Report { sources, findings, warnings: false }
    }

    /// The same as warnings.
    pub(super) fn of_warnings(self) -> Report {
        Report { warnings: true, ..self }
    }

    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// The problems in a line each: `shunt.toml:12:1: nothing uses pool \`web\``.
    pub fn lines(&self) -> Vec<String> {
        let line = |problem: Problem| {
            let at = |number: Option<usize>| number.map(|it| format!(":{it}")).unwrap_or_default();
            let Problem { file, line, column, message, .. } = problem;
            format!("{}{}{}: {message}", file.display(), at(line), at(column))
        };
        self.problems().into_iter().map(line).collect()
    }

    /// The problems as a compiler would show them, each with the lines that it is about.
    /// `color`: with the escape sequences of a terminal.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(&renderer.render(&[self.group(finding)]));
            text.push_str("\n\n");
        }
        text
    }

    /// How many there are, and what came of it: `5 errors; nothing was changed`.
    pub fn summary(&self, outcome: &str) -> String {
        match self.findings.len() {
            1 => format!("1 error; {outcome}"),
            count => format!("{count} errors; {outcome}"),
        }
    }

    /// The problems for programs.
    pub fn problems(&self) -> Vec<Problem> {
        self.findings.iter().map(|finding| self.problem(finding)).collect()
    }

    fn problem(&self, finding: &Finding) -> Problem {
        let (file, line, column) = self.position(&finding.place);
        let also = finding.refusal.also.iter().map(|(place, message)| {
            let (file, line, column) = self.position(place);
            Also { file, line, column, message: message.clone() }
        });
        Problem {
            cause: finding.refusal.cause,
            file,
            line,
            column,
            key: finding.key.as_ref().map(|key| key.here.clone()),
            entry: finding.key.as_ref().map(|key| key.entry.clone()).filter(|entry| !entry.is_empty()),
            message: finding.refusal.message.clone(),
            help: finding.refusal.help.clone(),
            also: also.collect(),
        }
    }

    fn position(&self, place: &Place) -> (PathBuf, Option<usize>, Option<usize>) {
        let source = &self.sources[place.source];
        let Some(span) = &place.span else {
            return (source.path.clone(), None, None);
        };
        let start = within(&source.text, span).start;
        let line = source.line_of(start);
        let before = &source.text[source.start_of(line)..start];
        // A byte order mark is no column.
        let column = before.trim_start_matches('\u{feff}').chars().count();
        (source.path.clone(), Some(line + 1), Some(column + 1))
    }

    fn group<'a>(&'a self, finding: &'a Finding) -> Group<'a> {
        let refusal = &finding.refusal;
        let level = if self.warnings { Level::WARNING } else { Level::ERROR };
        let mut group =
            Group::with_title(level.primary_title(refusal.message.as_str()).id(refusal.cause.code()));
        /// Places further apart are shown apart, for a snippet holds all lines between.
        const NEAR: usize = 50;
        let home = finding.place.source;
        let line =
            |place: &Place| self.sources[home].line_of(place.span.as_ref().map_or(0, |span| span.start));
        let (near, far): (Vec<_>, Vec<_>) = refusal.also.iter().partition(|(place, _)| {
            place.source == home && line(place).abs_diff(line(&finding.place)) <= NEAR
        });
        let near = near.iter().map(|(place, label)| (place, Some(label.as_str()), AnnotationKind::Context));
        let primary = (&finding.place, refusal.label.as_deref(), AnnotationKind::Primary);
        group = group.element(self.snippet(home, std::iter::once(primary).chain(near)));
        for (place, label) in far {
            let mark = (place, Some(label.as_str()), AnnotationKind::Context);
            group = group.element(self.snippet(place.source, std::iter::once(mark)));
        }
        match &refusal.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }

    /// The marked lines of one file, or its name alone where there is nothing to mark.
    fn snippet<'a>(
        &'a self,
        source: usize,
        marks: impl Iterator<Item = (&'a Place, Option<&'a str>, AnnotationKind)>,
    ) -> Element<'a> {
        let source = &self.sources[source];
        let path = source.path.display().to_string();
        let marks: Vec<_> = marks
            .filter_map(|(place, label, kind)| {
                Some((within(&source.text, place.span.as_ref()?), label, kind))
            })
            .collect();
        let first = marks.iter().map(|(span, ..)| span.start).min();
        let last = marks.iter().map(|(span, ..)| span.end).max();
        let (Some(first), Some(last)) = (first, last) else {
            return Origin::path(path).into();
        };
        // Only the lines in question: the renderer's work grows with the text it is given.
        let text = &source.text;
        let line = source.line_of(first);
        let start = source.start_of(line);
        let end = text[last..].find('\n').map_or(text.len(), |newline| last + newline);
        let marks = marks
            .into_iter()
            .map(|(span, label, kind)| kind.span(span.start - start..span.end - start).label(label));
        Snippet::source(&text[start..end]).line_start(line + 1).path(path).annotations(marks).into()
    }
}

/// Everything, without colours.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Report {}

/// A refusal and what it is about.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) place: Place,
    pub(super) key: Option<KeyPath>,
    pub(super) refusal: Refusal,
}

/// What is wrong, apart from where.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) cause: Cause,
    pub(super) message: String,
    /// Stands beside the caret.
    pub(super) label: Option<String>,
    pub(super) help: Option<String>,
    pub(super) also: Vec<(Place, String)>,
}

impl Refusal {
    pub(super) fn new(cause: Cause, message: impl Into<String>) -> Refusal {
        Refusal { cause, message: message.into(), label: None, help: None, also: Vec::new() }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Refusal {
        self.label = Some(label.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Refusal {
        self.help = Some(help.into());
        self
    }

    pub(super) fn also(mut self, place: Place, label: impl Into<String>) -> Refusal {
        self.also.push((place, label.into()));
        self
    }
}

/// Where a key stands: in this configuration, and in the reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyPath {
    pub(super) here: String,
    pub(super) entry: String,
}

impl KeyPath {
    /// A key of this table.
    pub(super) fn key(&self, name: &str) -> KeyPath {
        KeyPath { here: join(&self.here, name), entry: join(&self.entry, name) }
    }

    /// An element of this array; by name where it has one, else by number from 0.
    pub(super) fn element(&self, name: Option<&str>, index: usize) -> KeyPath {
        let here = match name {
            Some(name) => join(&self.here, name),
            None => format!("{}[{index}]", self.here),
        };
        KeyPath { here, entry: self.entry.clone() }
    }

    /// What an operator chose the name of, such as a slot.
    pub(super) fn named(&self, name: &str) -> KeyPath {
        KeyPath { here: join(&self.here, name), entry: self.entry.clone() }
    }
}

/// `virtual` and `shop` make `virtual.shop`; names that are no bare TOML keys are quoted.
pub(super) fn join(path: &str, name: &str) -> String {
    let bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let name = if bare { name.to_string() } else { format!("{name:?}") };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// The span on the first of its lines, and never outside of the text or within a character.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.min(text.len()).max(start));
    let line = text[start..end].find(['\n', '\r']).unwrap_or(end - start);
    start..start + line
}
