//! Plays one case: the hooks in the order in which a request meets them.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::compare::{self, Difference};
use super::data::Shown;
use super::file::{Case, RequestCase, ResponseCase, SchemeCase, TransportCase, Values, VersionCase};
use super::stage::Stage;
use super::tables;
use crate::grants::Grant;
use crate::keys::Keys;
use crate::sets::SetLines;
use crate::{
    Alert, Answer, AttachOptions, Attachment, Exchange, Fault, Flow, HeaderEdit, KeyBinding, Rule, Runner,
    Scheme, SetBinding, SetContent, SlotBinding, Target, Terms, Transport,
};

/// What a case came to.
#[derive(Default)]
pub(crate) struct Played {
    /// The text with which the rule was refused; then nothing was played.
    pub refused: Option<String>,
    /// The name of the last hook's verdict.
    pub verdict: &'static str,
    pub fault: Option<Fault>,
    /// Of the last verdict that sent it somewhere.
    pub target: Option<Target>,
    /// On which it wants TLS to be terminated.
    pub terms: Option<Terms>,
    pub alert: Option<Alert>,
    /// Why it wants another member.
    pub veto: Option<String>,
    /// The rule's answer.
    pub answer: Option<Answer>,
    pub exchange: Box<Exchange>,
    /// By direction.
    pub data: [Shown; 2],
    /// What it sent to a member that it probes.
    pub sent: Vec<Bytes>,
    /// What came of the probe.
    pub result: Option<String>,
    /// What the indices of `target` mean.
    pub slots: Vec<String>,
    pub log: Vec<String>,
    /// What the rule asked for and `pack.toml` does not.
    pub denied: Vec<Grant>,
    /// Where tables are not as expected: key, what is expected, what is found.
    pub tables: Vec<(String, String, String)>,
}

/// A secret of 32 zeros, in base64.
const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Plays a case and compares; the differences, and what was logged.
pub(crate) fn play(rule: &Arc<Rule>, case: &Case) -> (Vec<Difference>, Vec<String>) {
    let stage = Arc::new(Stage::new(case, rule.manifest()));
    let slots = rule.manifest().slots.iter().map(|(slot, declared)| SlotBinding {
        slot: slot.clone(),
        pool: slot.clone(),
        snat: declared.snat,
    });
    let mut options = AttachOptions::new("case", stage.clone());
    options.slots = slots.collect();
    let sets = rule.manifest().sets.keys().map(|set| {
        let lines = case.sets.get(set).map(Vec::as_slice).unwrap_or_default();
        SetBinding { set: set.clone(), content: SetContent::Lines(SetLines::of_list(set, lines)) }
    });
    options.sets = sets.collect();
    let keys = rule.manifest().keys.keys().map(|key| {
        let text = case.keys.get(key).map_or(ZEROS, String::as_str);
        KeyBinding { key: key.clone(), keys: Keys::parse(key, text.as_bytes()).map(Arc::new) }
    });
    options.keys = keys.collect();
    options.settings = case.settings.clone();
    let mut played = Played { slots: rule.manifest().slots.keys().cloned().collect(), ..Played::default() };
    match rule.attach(options) {
        Ok(attachment) => {
            match set_flags(&attachment, case).and_then(|()| {
                Play::new(case, &stage, Runner::new(Arc::clone(&attachment)), &mut played).all()
            }) {
                Ok(()) => {}
                Err(Stop::Fault(fault)) => {
                    played.verdict = "fault";
                    played.fault = Some(fault);
                }
                Err(Stop::Case(message)) => return (vec![Difference::case(message)], stage.log()),
            }
            played.tables = tables::differences(&case.expect.tables, &attachment, stage.now_ms());
        }
        Err(error) => {
            played.refused = Some(error.to_string());
            played.verdict = "refused";
        }
    }
    played.log = stage.log();
    (compare::compare(&case.expect, &played), played.log)
}

/// Sets the flags as the case has them. `on-load` has run with their defaults.
fn set_flags(attachment: &Attachment, case: &Case) -> Result<(), Stop> {
    for (name, value) in &case.flags {
        if let Some(Err(error)) = attachment.flag(name).map(|flag| flag.set(value.clone())) {
            return Err(Stop::Case(error.to_string()));
        }
    }
    Ok(())
}

/// Why a case ends early.
pub(crate) enum Stop {
    Fault(Fault),
    /// The case itself is wrong: a request that HTTP does not allow.
    Case(String),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

pub(crate) struct Play<'a> {
    pub(crate) case: &'a Case,
    stage: &'a Stage,
    pub(crate) runner: Runner,
    pub(crate) played: &'a mut Played,
}

impl<'a> Play<'a> {
    fn new(case: &'a Case, stage: &'a Stage, runner: Runner, played: &'a mut Played) -> Play<'a> {
        Play { case, stage, runner, played }
    }

    /// Fills the tables, and plays what came before.
    fn earlier(&mut self) -> Result<(), Stop> {
        tables::fill(&self.case.tables, self.runner.attachment(), self.stage.now_ms()).map_err(Stop::Case)?;
        for earlier in &self.case.earlier {
            for _ in 0..earlier.times {
                self.run(
                    earlier.request.as_ref().or(self.case.request.as_ref()),
                    earlier.response.as_ref().or(self.case.response.as_ref()),
                )?;
                let slots = std::mem::take(&mut self.played.slots);
                *self.played = Played { slots, ..Played::default() };
                self.stage.pass(earlier.after);
            }
        }
        self.stage.pass(self.case.after);
        Ok(())
    }

    fn all(mut self) -> Result<(), Stop> {
        let ended = self.earlier().and_then(|()| {
            let Case { request, response, .. } = self.case;
            self.run(request.as_ref(), response.as_ref())
        });
        self.played.denied = self.runner.denied().to_vec();
        ended
    }

    fn run(&mut self, request: Option<&RequestCase>, response: Option<&ResponseCase>) -> Result<(), Stop> {
        self.played.exchange.flow = flow(self.case, request);
        if self.case.flow.is_some() {
            self.on_flow()?;
        }
        if let Some(hello) = &self.case.client_hello {
            self.on_client_hello(hello)?;
        }
        self.on_data(&self.case.data)?;
        if let Some(request) = request {
            set_request(&mut self.played.exchange, request).map_err(Stop::Case)?;
            self.on_request(request)?;
        }
        if let Some(selected) = &self.case.selected {
            self.on_selected(selected)?;
        }
        if let Some(failed) = &self.case.connect_failed {
            self.on_connect_failed(failed)?;
        }
        if let Some(response) = response {
            self.set_response(response)?;
            self.on_response(response)?;
        }
        if let Some(done) = &self.case.done {
            self.on_done(done)?;
        }
        match &self.case.probe {
            Some(probe) => self.on_probe(probe),
            None => Ok(()),
        }
    }

    fn set_response(&mut self, response: &ResponseCase) -> Result<(), Stop> {
        let mut parts = http::Response::new(()).into_parts().0;
        parts.status = StatusCode::from_u16(response.status)
            .map_err(|error| Stop::Case(format!("response: {error}")))?;
        for (name, values) in &response.headers {
            append(&mut parts.headers, name, values).map_err(Stop::Case)?;
        }
        let slot = response.slot.clone().or_else(|| self.slot().map(str::to_owned));
        self.played.exchange.member = Some(self.member_of(response.slot.as_deref()));
        self.played.exchange.pool = slot.map(Into::into);
        self.played.exchange.response = Some(parts);
        Ok(())
    }

    /// The slot that the rule sent it to.
    pub(crate) fn slot(&self) -> Option<&str> {
        let pool = self.played.target.as_ref()?.pool?;
        self.played.slots.get(pool).map(String::as_str)
    }

    /// The first member of that slot; by default, the one that the rule named or the first where it sent it.
    pub(crate) fn member_of(&self, slot: Option<&str>) -> SocketAddr {
        match slot {
            Some(slot) => self.stage.first_member(Some(slot)),
            None => self.member(),
        }
    }

    pub(crate) fn member(&self) -> SocketAddr {
        let named = self.played.target.as_ref().and_then(|target| target.member);
        named.unwrap_or_else(|| self.stage.first_member(self.slot()))
    }
}

fn flow(case: &Case, request: Option<&RequestCase>) -> Flow {
    let flow = case.flow.clone().unwrap_or_default();
    let of_hello = case.client_hello.as_ref().and_then(|hello| hello.client);
    let client = request.and_then(|request| request.client).or(of_hello);
    let client = client.unwrap_or(flow.client);
    Flow {
        id: 1,
        client: client.0,
        vip: flow.vip,
        transport: match flow.transport {
            TransportCase::Tcp => Transport::Tcp,
            TransportCase::Udp => Transport::Udp,
            TransportCase::Icmp => Transport::Icmp,
            TransportCase::Other => Transport::Other,
        },
        ingress: 1,
    }
}

fn set_request(exchange: &mut Exchange, request: &RequestCase) -> Result<(), String> {
    let parts = &mut exchange.request;
    parts.method = Method::from_bytes(request.method.as_bytes())
        .map_err(|error| format!("method {:?}: {error}", request.method))?;
    parts.uri = request.path.parse().map_err(|error| format!("path {:?}: {error}", request.path))?;
    parts.version = match request.version {
        VersionCase::Http10 => http::Version::HTTP_10,
        VersionCase::Http11 => http::Version::HTTP_11,
        VersionCase::Http2 => http::Version::HTTP_2,
        VersionCase::Http3 => http::Version::HTTP_3,
    };
    if !request.host.is_empty() {
        let host = HeaderValue::from_str(&request.host).map_err(|error| format!("host: {error}"))?;
        parts.headers.insert(header::HOST, host);
    }
    for (name, values) in &request.headers {
        append(&mut parts.headers, name, values)?;
    }
    if let Some(shown) = &request.client_certificate {
        exchange.client_certificate = Some(Arc::new(shown.clone()));
    }
    exchange.scheme = match request.scheme {
        SchemeCase::Http => Scheme::Http,
        SchemeCase::Https => Scheme::Https,
    };
    Ok(())
}

fn append(headers: &mut HeaderMap, name: &str, values: &Values) -> Result<(), String> {
    for value in values.as_slice() {
        let field =
            HeaderName::from_bytes(name.as_bytes()).map_err(|error| format!("header {name:?}: {error}"))?;
        let value = HeaderValue::from_str(value).map_err(|error| format!("header {name:?}: {error}"))?;
        headers.append(field, value);
    }
    Ok(())
}

impl Played {
    /// The head that the client gets before edits: of the rule's answer, or of the response.
    pub(crate) fn answered(&self) -> Option<(StatusCode, &HeaderMap)> {
        match (&self.answer, &self.exchange.response) {
            (Some(answer), _) => Some((answer.status, &answer.headers)),
            (None, Some(response)) => Some((response.status, &response.headers)),
            (None, None) => None,
        }
    }

    /// The fields that the client gets, edits included. Where nobody has answered, the edits alone.
    pub(crate) fn sent_headers(&self) -> HeaderMap {
        let mut headers = self.answered().map(|(_, headers)| headers.clone()).unwrap_or_default();
        self.exchange.response_edits.iter().cloned().for_each(|edit| edit.apply(&mut headers));
        headers
    }

    /// Whether a field's absence means something: it is not there, and somebody answered or it
    /// was taken out.
    pub(crate) fn is_removed(&self, name: &str) -> bool {
        let removed = |edit: &HeaderEdit| matches!(edit, HeaderEdit::Remove(field) if field.as_str().eq_ignore_ascii_case(name));
        !self.sent_headers().contains_key(name)
            && (self.answered().is_some() || self.exchange.response_edits.iter().any(removed))
    }
}
