//! Why a command did not do what it was told, and what the process then ends with.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::admin::refusal::Refusal;
use crate::control::ApplyError;

/// Shown under `shunt --help`.
pub(super) const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no daemon answers";

/// The exit codes. They are stable; clap gives 2 for wrong usage by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It was refused or failed.
    Failed = 1,
    /// It cannot be meant like this.
    Usage = 2,
    /// No daemon answers at the socket.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: Message,
    /// What to do.
    pub(super) help: Option<String>,
    /// The same for programs, in the shape of the admin interface.
    pub(super) json: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Message {
    /// To be shown after `error: `.
    Plain(String),
    /// A report with headings of its own, without and with colours.
    Report { plain: String, styled: String },
    /// The result says it.
    Shown,
}

impl Failure {
    pub(super) fn new(exit: Exit, kind: &str, message: impl Into<String>) -> Failure {
        let message = message.into();
        let json = json!({ "error": { "kind": kind, "message": message, "help": null } });
        Failure { exit, message: Message::Plain(message), help: None, json }
    }

    /// The result was shown, and it is not the good one.
    pub(super) fn shown() -> Failure {
        Failure { exit: Exit::Failed, message: Message::Shown, help: None, json: Value::Null }
    }

    /// Of the command itself, not of the daemon.
    pub(super) fn failed(kind: &str, error: impl std::fmt::Display) -> Failure {
        Failure::new(Exit::Failed, kind, error.to_string())
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Failure {
        let help = help.into();
        self.json["error"]["help"] = json!(help);
        self.help = Some(help);
        self
    }

    /// As the daemon would refuse it.
    pub(super) fn refused(exit: Exit, refusal: &Refusal) -> Failure {
        let json = refusal.json();
        let text = |name: &str| json["error"][name].as_str().map(str::to_owned);
        let message = Message::Plain(text("message").unwrap_or_default());
        Failure { exit, message, help: text("help"), json }
    }

    /// A configuration that cannot be used; `outcome` is what came of it.
    pub(super) fn not_applied(error: &ApplyError, outcome: &str) -> Failure {
        let json = Refusal::from(error).json();
        let message = match error {
            ApplyError::Config(report) => {
                let told = |color| format!("{}{}\n", report.render(color), report.summary(outcome));
                Message::Report { plain: told(false), styled: told(true) }
            }
            ApplyError::Resources(_) | ApplyError::System(_) => Message::Plain(format!("{error}\n{outcome}")),
        };
        Failure { exit: Exit::Failed, message, help: None, json }
    }

    /// What the daemon answered in place of a result.
    pub(super) fn from_daemon(status: http::StatusCode, body: &[u8]) -> Failure {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| json["error"][name].as_str().map(str::to_owned);
        let Some(message) = text("message") else {
            return Failure::failed("protocol", format!("the daemon sent status {status} without a reason"))
                .help("check that `--socket` names the admin socket of Shunt");
        };
        let message = match text("kind").as_deref() {
            Some("config") => Message::Report { plain: message.clone(), styled: message },
            _ => Message::Plain(message),
        };
        Failure { exit: Exit::Failed, message, help: text("help"), json }
    }
}
