//! How the admin interface says no: one JSON shape for every reason.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use shunt_api::refusal::{Also, Error, Problem, Refusal as Body};

use crate::control::{ApplyError, EntryError, FlagRefusal, LoadError, NotFound, SetLoadError, Unlisted};

/// Why something was not done.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: StatusCode,
    body: Body,
}

impl Refusal {
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Refusal {
        let error = Error { kind: kind.to_owned(), message: message.into(), ..Error::default() };
        Refusal { status, body: Body { error } }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Refusal {
        self.body.error.help = Some(help.into());
        self
    }

    pub fn kind(&self) -> &str {
        &self.body.error.kind
    }

    /// The JSON that is sent.
    pub fn json(&self) -> serde_json::Value {
        // A structure of texts and numbers can always be written.
        serde_json::to_value(&self.body).unwrap_or_default()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<&ApplyError> for Refusal {
    fn from(error: &ApplyError) -> Refusal {
        let unprocessable =
            |kind, message: String| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, kind, message);
        match error {
            ApplyError::Config(report) => {
                let mut refusal = unprocessable("config", report.to_string());
                refusal.body.error.problems = report.problems().into_iter().map(problem).collect();
                refusal.help("do what each of these says, and reload; what was in force stays so")
            }
            ApplyError::Resources(_) => unprocessable("resources", error.to_string()),
            ApplyError::System(_) => {
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "system", error.to_string())
            }
        }
    }
}

impl From<&LoadError> for Refusal {
    fn from(error: &LoadError) -> Refusal {
        let (status, help) = match error {
            LoadError::NoSuchRule { .. } => {
                (StatusCode::NOT_FOUND, Some("add a `[[virtual.rule]]` of this name and reload"))
            }
            LoadError::NoEarlierVersion(_) => {
                (StatusCode::CONFLICT, Some("`shunt rule list` shows the versions that are kept"))
            }
            LoadError::NoSuchVersion { .. } => {
                (StatusCode::NOT_FOUND, Some("`shunt rule list` shows the versions that are kept"))
            }
            LoadError::NotLoaded(_) => {
                (StatusCode::CONFLICT, Some("`shunt rule load` or `rollback` loads it"))
            }
            LoadError::Registry(_) => (StatusCode::BAD_GATEWAY, None),
            LoadError::Cache(_) | LoadError::System(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
            LoadError::Pack(_)
            | LoadError::NotLocked { .. }
            | LoadError::NoVersion { .. }
            | LoadError::OtherVersion { .. }
            | LoadError::OtherPack { .. }
            | LoadError::OtherPin { .. }
            | LoadError::NotCached { .. }
            | LoadError::Trust(_)
            | LoadError::Older { .. }
            | LoadError::Grown { .. }
            | LoadError::Component(_)
            | LoadError::Attach(_)
            | LoadError::Cases(_) => (StatusCode::UNPROCESSABLE_ENTITY, None),
        };
        let refusal = Refusal::new(status, error.kind(), error.to_string());
        match help {
            Some(help) => refusal.help(help),
            None => refusal,
        }
    }
}

impl From<FlagRefusal> for Refusal {
    fn from(error: FlagRefusal) -> Refusal {
        match error {
            FlagRefusal::NotFound(missing) => missing.into(),
            FlagRefusal::Value(error) => {
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "flag", error.to_string())
                    .help("use a value of its type; `shunt flag list` shows them")
            }
        }
    }
}

impl From<SetLoadError> for Refusal {
    fn from(error: SetLoadError) -> Refusal {
        match error {
            SetLoadError::NotFound(missing) => missing.into(),
            SetLoadError::Lines(error) => {
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "set", error.to_string())
                    .help("fix these lines and load the set again; the one in force stays so")
            }
            SetLoadError::System(why) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "system", why),
        }
    }
}

impl From<NotFound> for Refusal {
    fn from(missing: NotFound) -> Refusal {
        let refusal =
            Refusal::new(StatusCode::NOT_FOUND, "not-found", format!("there is no {}", missing.what));
        if missing.known.is_empty() {
            refusal
        } else {
            refusal.help(format!("use one of {}", missing.known.join(", ")))
        }
    }
}

impl From<Unlisted> for Refusal {
    fn from(why: Unlisted) -> Refusal {
        match why {
            Unlisted::NotFound(missing) => missing.into(),
            Unlisted::System(why) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "system", why),
        }
    }
}

impl From<EntryError> for Refusal {
    fn from(error: EntryError) -> Refusal {
        match error {
            EntryError::NotFound(missing) => missing.into(),
            EntryError::Unfit(why) => Refusal::new(StatusCode::BAD_REQUEST, "bad-request", why),
        }
    }
}

fn problem(problem: shunt_config::Problem) -> Problem {
    let shunt_config::Problem { cause, file, line, column, key, entry, message, help, also } = problem;
    let also = also.into_iter().map(|shunt_config::Also { file, line, column, message }| Also {
        file: file.display().to_string(),
        line,
        column,
        message,
    });
    Problem {
        cause: cause.code().to_owned(),
        file: file.display().to_string(),
        line,
        column,
        key,
        entry,
        message,
        help,
        also: also.collect(),
    }
}
