//! A client is known by what the application calls its session.

use std::time::Duration;

use super::Kind;
use crate::containers::table as in_table;
use crate::keys::HOUR;
use crate::report::{Cause, Refusal};
use crate::shape::{cookie, header_field, parameter};
use crate::walk::Table;

/// `session = { cookie = "JSESSIONID", parameter = "jsessionid", header = "X-Session" }`: at least one of them
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub cookie: Option<String>,
    /// In lower case.
    pub header: Option<String>,
    pub parameter: Option<String>,
}

impl Kind for Session {
    const KEY: &'static str = "session";
    const TIMEOUT: Option<Duration> = Some(HOUR);
    const NO_PACKETS: Option<&'static str> = Some("a packet virtual does not read HTTP messages");
    const UNREAD: Option<&'static str> = Some("a session");

    fn reads_answers(&self) -> bool {
        true
    }

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(
            Self::KEY,
            "Binds the sessions of the application: to the member whose answer set one. Where it is found in answers and in \
             requests.",
            in_table(session),
        )
    }
}

fn session(table: &mut Table<'_>) -> Option<Session> {
    let cookie = table.optional("cookie", "The cookie that members set: `JSESSIONID`.", cookie());
    let header = table.optional(
        "header",
        "The field that members set in answers, and clients repeat in requests: `Mcp-Session-Id`.",
        header_field(),
    );
    let parameter = table.optional(
        "parameter",
        "The parameter of URLs: `jsessionid` for `/cart;jsessionid=…` and `/cart?jsessionid=…`. In answers Shunt finds it in \
         `Location`, and not in pages.",
        parameter(),
    );
    if !["cookie", "header", "parameter"].iter().any(|name| table.wrote(name)) {
        let refusal = Refusal::new(Cause::MissingKey, "`session` says nothing of where the session is").help(
            "write `cookie`, `header` or `parameter`, or several: `session = { cookie = \"JSESSIONID\" }`",
        );
        table.refuse("cookie", refusal);
        return None;
    }
    if let Some(name) = header.as_deref().filter(|name| matches!(*name, "cookie" | "set-cookie")) {
        let refusal = Refusal::new(Cause::Conflict, format!("`{name}` holds many cookies"))
            .help("use `cookie`, with the name of the one that is the session");
        table.refuse("header", refusal);
    }
    Some(Session { cookie, header, parameter })
}
