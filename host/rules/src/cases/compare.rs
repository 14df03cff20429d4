//! What was expected against what was found.

use std::collections::BTreeMap;
use std::fmt;

use http::{HeaderMap, header};

use super::data::{Payload, shown};
use super::file::{Expect, FieldExpect};
use super::play::Played;
use crate::Alert;

/// One thing that was not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key in `expect`: `response-headers.X-Pool`; empty where the case itself is wrong.
    pub key: String,
    pub expected: String,
    pub found: String,
}

impl Difference {
    pub(super) fn case(message: String) -> Difference {
        Difference { key: String::new(), expected: "a case that can be played".to_owned(), found: message }
    }
}

/// Two lines under each other, so that the eye finds what differs.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { key, expected, found } = self;
        let colon = if key.is_empty() { "" } else { ": " };
        write!(
            f,
            "  {key}{colon}expected {expected}\n  {:width$}found    {found}",
            "",
            width = key.len() + colon.len()
        )
    }
}

/// Everything in which a case differs from what it expects.
pub(super) fn compare(expect: &Expect, played: &Played) -> Vec<Difference> {
    let mut all = Comparison { differences: Vec::new() };
    for grant in &played.denied {
        all.differ(
            "capabilities",
            "no more than pack.toml asks for",
            &format!("pack.toml does not ask to {grant}; {}", grant.remedy()),
        );
    }
    let target = played.target.as_ref();
    let parts = &played.exchange.request;

    if let Some(refused) = &played.refused
        && expect.refused.is_none()
    {
        // Nothing was played: what else was expected says nothing.
        all.differ("settings", "accepted", refused);
        return all.differences;
    }
    all.contains(
        "refused",
        expect.refused.as_ref(),
        played.refused.as_deref().unwrap_or("settings that are accepted"),
    );
    if let Some(fault) = &played.fault
        && expect.fault.is_none()
        && expect.verdict.as_deref() != Some("fault")
    {
        all.differ("verdict", expect.verdict.as_deref().unwrap_or("no fault"), &format!("fault: {fault}"));
        return all.differences;
    }
    all.equals("verdict", expect.verdict.as_ref(), played.verdict);
    let fault = played.fault.as_ref().map_or("no fault".to_owned(), ToString::to_string);
    all.contains("fault", expect.fault.as_ref(), &fault);

    let pool = target.and_then(|target| played.slots.get(target.pool?)).map_or("none", String::as_str);
    all.equals("pool", expect.pool.as_ref(), pool);
    let member =
        target.and_then(|target| target.member).map_or("none".to_owned(), |member| member.to_string());
    all.equals("member", expect.member.map(|member| member.to_string()).as_ref(), &member);
    let persist = target.and_then(|target| target.persist.as_ref());
    let persist = persist.map_or("none".into(), |persist| String::from_utf8_lossy(&persist.key));
    all.equals("persist", expect.persist.as_ref(), &persist);

    for (key, expected, found) in
        [("to-server", &expect.to_server, &played.data[0]), ("to-client", &expect.to_client, &played.data[1])]
    {
        match expected.as_ref().map(Payload::bytes) {
            None => {}
            Some(Ok(expected)) => all.equals(key, Some(&shown(&expected)), &shown(&found.sent)),
            Some(Err(error)) => all.differ(key, "octets", &error),
        }
    }

    if let Some(expected) = &expect.sent {
        match expected.iter().map(Payload::bytes).collect::<Result<Vec<_>, _>>() {
            Ok(expected) => {
                let joined =
                    |all: Vec<String>| if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
                let found = joined(played.sent.iter().map(|bytes| shown(bytes)).collect());
                all.equals(
                    "sent",
                    Some(&joined(expected.iter().map(|bytes| shown(bytes)).collect())),
                    &found,
                );
            }
            Err(error) => all.differ("sent", "octets", &error),
        }
    }
    all.contains("result", expect.result.as_ref(), played.result.as_deref().unwrap_or("no probe"));

    let terms = played.terms.as_ref();
    let certificate = terms.and_then(|terms| terms.certificate.as_deref()).unwrap_or("as configured");
    all.equals("certificate", expect.certificate.as_ref(), certificate);
    let demand =
        terms.and_then(|terms| terms.client_certificate).map_or("as configured", |demand| demand.name());
    all.equals("client-certificate", expect.client_certificate.as_ref(), demand);
    let protocols = terms.and_then(|terms| terms.protocols.as_ref());
    let named = |protocols: &Vec<String>| protocols.join(", ");
    let found = protocols.map_or("as configured".to_owned(), named);
    all.equals("protocols", expect.protocols.as_ref().map(named).as_ref(), &found);
    let alert = played.alert.map_or("none", Alert::name);
    all.equals("alert", expect.alert.as_ref(), alert);
    all.contains("veto", expect.veto.as_ref(), played.veto.as_deref().unwrap_or("no veto"));

    let status = played.answered().map_or("no answer".to_owned(), |(status, _)| status.as_u16().to_string());
    all.equals("status", expect.status.map(|status| status.to_string()).as_ref(), &status);
    let none = HeaderMap::new();
    all.fields("headers", &expect.headers, played.answered().map_or(&none, |(_, headers)| headers));
    let body =
        played.answer.as_ref().map_or("no answer".into(), |answer| String::from_utf8_lossy(&answer.body));
    all.equals("body", expect.body.as_ref(), &body);
    all.contains("body-contains", expect.body_contains.as_ref(), &body);

    all.fields("request-headers", &expect.request_headers, &parts.headers);
    if let Some(path) = &expect.path {
        let whole = parts.uri.path_and_query().map_or("", |whole| whole.as_str());
        let found = if path.contains('?') { whole } else { parts.uri.path() };
        all.equals("path", Some(path), found);
    }
    let host = parts.headers.get(header::HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
    all.equals("host", expect.host.as_ref(), host.as_deref().unwrap_or("none"));

    let sent = played.sent_headers();
    for (name, field) in &expect.response_headers {
        if matches!(field, FieldExpect::Present(false))
            && !sent.contains_key(name)
            && !played.is_removed(name)
        {
            let key = format!("response-headers.{name}");
            all.differ(&key, "removed", "unchanged; give the response this field to test it");
        } else {
            all.field("response-headers", name, field, &sent);
        }
    }
    for (key, expected, found) in &played.tables {
        all.differ(key, expected, found);
    }
    for text in expect.log.iter().flat_map(|log| log.as_slice()) {
        if !played.log.iter().any(|line| line.contains(text.as_str())) {
            let found = if played.log.is_empty() { "no line".to_owned() } else { played.log.join(" | ") };
            all.differ("log", &format!("a line that contains {text:?}"), &found);
        }
    }
    all.differences
}

struct Comparison {
    differences: Vec<Difference>,
}

impl Comparison {
    fn differ(&mut self, key: &str, expected: &str, found: &str) {
        let (key, expected, found) = (key.to_owned(), expected.to_owned(), found.to_owned());
        self.differences.push(Difference { key, expected, found });
    }

    fn equals(&mut self, key: &str, expected: Option<&String>, found: &str) {
        if let Some(expected) = expected
            && expected != found
        {
            self.differ(key, expected, found);
        }
    }

    fn contains(&mut self, key: &str, expected: Option<&String>, found: &str) {
        if let Some(expected) = expected
            && !found.contains(expected.as_str())
        {
            self.differ(key, &format!("text that contains {expected:?}"), found);
        }
    }

    fn fields(&mut self, key: &str, expected: &BTreeMap<String, FieldExpect>, headers: &HeaderMap) {
        for (name, field) in expected {
            self.field(key, name, field, headers);
        }
    }

    fn field(&mut self, key: &str, name: &str, expected: &FieldExpect, headers: &HeaderMap) {
        let found: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        let (holds, expected) = match expected {
            FieldExpect::Present(present) => (
                found.is_empty() != *present,
                if *present { "present".to_owned() } else { "absent".to_owned() },
            ),
            FieldExpect::Values(values) => (found == values.as_slice(), show(values.as_slice())),
        };
        if !holds {
            self.differ(&format!("{key}.{name}"), &expected, &show(&found));
        }
    }
}

fn show(values: &[String]) -> String {
    match values {
        [] => "absent".to_owned(),
        values => values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", "),
    }
}
