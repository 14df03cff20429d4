//! A request that is only explained: it passes the phases, and stops where it would be sent.

use std::rc::Rc;

use bytes::Bytes;
use http::{Response, request};
use http_body::Body as _;
use shunt_rules::HeaderEdit;

use crate::http::body::{RequestBody, ResponseBody};
use crate::http::client_body::ClientBody;
use crate::http::member::request::{Framing, write_head};
use crate::http::phases::{Stop, Transaction};
use crate::http::stream::Stream;
use crate::trace::{End, line, printable};
use crate::view::VirtualView;

/// What a request comes to.
pub(crate) enum Explained {
    Answered(Response<ResponseBody>),
    Reset,
    /// It would be sent, or would wait: the trace says which.
    Stopped {
        /// The head as a member gets it, a line each.
        sent: Vec<String>,
        /// What is done to the member's answer, a sentence each.
        answers: Vec<String>,
    },
}

/// Runs the phases for the trace of the connection.
pub(crate) async fn explain(
    stream: &Rc<Stream>,
    view: &Rc<VirtualView>,
    head: request::Parts,
    body: Bytes,
) -> Explained {
    let body = if body.is_empty() { ClientBody::Empty } else { ClientBody::Whole(Some(body)) };
    let mut transaction = Transaction::new(stream, view, head, body);
    let result = match transaction.read_head() {
        Ok(()) => transaction.run().await,
        Err(stop) => Err(stop),
    };
    match result {
        Err(Stop::Apart) => {
            // No rule is told of an end that is none.
            transaction.concluded = true;
            Explained::Stopped { sent: transaction.sent_head(), answers: transaction.answers() }
        }
        Err(Stop::Reset) => {
            transaction.conclude(Err(Stop::Reset));
            Explained::Reset
        }
        result => Explained::Answered(transaction.conclude(result)),
    }
}

impl Transaction {
    /// Stops a request that is apart, which must not go beyond here.
    pub(super) fn stops_apart(&self, end: impl FnOnce() -> End) -> Result<(), Stop> {
        match &self.trace {
            Some(trace) if trace.apart => {
                trace.ends(end());
                Err(Stop::Apart)
            }
            _ => Ok(()),
        }
    }

    fn sent_head(&self) -> Vec<String> {
        let request = &self.exchange.request;
        let framing = match (&self.replay, &self.body, self.body.size_hint().exact()) {
            (Some(bytes), _, _) if bytes.is_empty() => Framing::Empty,
            (Some(bytes), _, _) => Framing::Length(bytes.len() as u64),
            (None, RequestBody::Empty, _) => Framing::Empty,
            (None, _, Some(length)) => Framing::Length(length),
            (None, _, None) => Framing::Chunked,
        };
        let mut written = Vec::new();
        write_head(&mut written, request, framing);
        let text = String::from_utf8_lossy(&written);
        let shown = |text: &str| match text.split_once(": ") {
            Some((name, _)) => match request.headers.iter().find(|(own, _)| own.as_str() == name) {
                Some((own, value)) if shunt_rules::trace::is_secret(own.as_str()) => line(own, value),
                _ => printable(text),
            },
            None => text.to_owned(),
        };
        text.split("\r\n").filter(|line| !line.is_empty()).map(shown).collect()
    }

    /// What is done to the answer.
    fn answers(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .exchange
            .response_edits
            .iter()
            .map(|edit| match edit {
                HeaderEdit::Set(name, value) => format!("sets {}", line(name, value)),
                HeaderEdit::Remove(name) => format!("removes {name}"),
            })
            .collect();
        if let Some(cookie) = &self.set_cookie {
            let name = cookie.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default();
            all.push(format!("binds the client by the cookie {}", String::from_utf8_lossy(name)));
        }
        all
    }
}
