//! Checks what a rule returned and makes the host's verdict of it.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::abi;
use crate::capabilities::is_forbidden;
use crate::verdict::{
    Answer, BodyVerdict, ConnectFailedVerdict, FlowVerdict, PersistKey, RequestVerdict, ResponseVerdict,
    Target,
};
use crate::{Attachment, Hook};

/// Bytes of a persistence key, as `wit/types.wit` says.
const MAX_PERSIST_KEY: usize = 256;

/// Why a verdict means nothing; becomes the fault's message.
type Judged<T> = Result<T, String>;

pub(crate) fn flow(verdict: abi::FlowVerdict, attachment: &Attachment) -> Judged<FlowVerdict> {
    Ok(match verdict {
        abi::FlowVerdict::Next => FlowVerdict::Next,
        abi::FlowVerdict::To(to) => FlowVerdict::To(target(to, attachment)?),
        abi::FlowVerdict::Reject => FlowVerdict::Reject,
        abi::FlowVerdict::Drop => FlowVerdict::Drop,
    })
}

pub(crate) fn request(verdict: abi::RequestVerdict, attachment: &Attachment) -> Judged<RequestVerdict> {
    Ok(match verdict {
        abi::RequestVerdict::Next => RequestVerdict::Next,
        abi::RequestVerdict::To(to) => RequestVerdict::To(target(to, attachment)?),
        abi::RequestVerdict::Respond(with) => RequestVerdict::Respond(answer(with, attachment)?),
        abi::RequestVerdict::NeedBody(_) if !attachment.hooks().contains(Hook::OnRequestBody) => {
            return Err("asked for the body, but the rule has no on-request-body".to_owned());
        }
        abi::RequestVerdict::NeedBody(max) => RequestVerdict::NeedBody(max),
        abi::RequestVerdict::Reject => RequestVerdict::Reject,
    })
}

pub(crate) fn body(verdict: abi::BodyVerdict, attachment: &Attachment) -> Judged<BodyVerdict> {
    Ok(match verdict {
        abi::BodyVerdict::Next => BodyVerdict::Next,
        abi::BodyVerdict::Replace(bytes) => BodyVerdict::Replace(bytes.into()),
        abi::BodyVerdict::To(to) => BodyVerdict::To(target(to, attachment)?),
        abi::BodyVerdict::Respond(with) => BodyVerdict::Respond(answer(with, attachment)?),
        abi::BodyVerdict::Reject => BodyVerdict::Reject,
    })
}

pub(crate) fn connect_failed(
    verdict: abi::ConnectFailedVerdict,
    attachment: &Attachment,
) -> Judged<ConnectFailedVerdict> {
    Ok(match verdict {
        abi::ConnectFailedVerdict::Next => ConnectFailedVerdict::Next,
        abi::ConnectFailedVerdict::Retry => ConnectFailedVerdict::Retry,
        abi::ConnectFailedVerdict::To(to) => ConnectFailedVerdict::To(target(to, attachment)?),
        abi::ConnectFailedVerdict::Respond(with) => ConnectFailedVerdict::Respond(answer(with, attachment)?),
    })
}

pub(crate) fn response(verdict: abi::ResponseVerdict, attachment: &Attachment) -> Judged<ResponseVerdict> {
    Ok(match verdict {
        abi::ResponseVerdict::Next => ResponseVerdict::Next,
        abi::ResponseVerdict::Replace(with) => ResponseVerdict::Replace(answer(with, attachment)?),
        abi::ResponseVerdict::Retry => ResponseVerdict::Retry,
    })
}

fn target(target: abi::Target, attachment: &Attachment) -> Judged<Target> {
    let slot = |name: Option<String>| match name {
        None => Ok(None),
        Some(name) => match attachment.slot_index(&name) {
            Some(index) => Ok(Some(index)),
            None => Err(format!("named the slot {name:?}, which the pack does not declare")),
        },
    };
    Ok(Target {
        pool: slot(target.pool)?,
        member: target.member.map(Into::into),
        mode: target.mode.map(Into::into),
        snat_pool: slot(target.snat_pool)?,
        persist: target.persist.map(persist).transpose()?,
    })
}

fn persist(persist: abi::PersistKey) -> Judged<PersistKey> {
    if persist.key.len() > MAX_PERSIST_KEY {
        return Err(format!(
            "gave a persistence key of {} bytes; at most {MAX_PERSIST_KEY} are allowed",
            persist.key.len()
        ));
    }
    let timeout = (persist.timeout_ms > 0).then(|| Duration::from_millis(persist.timeout_ms.into()));
    Ok(PersistKey { key: persist.key, timeout })
}

fn answer(answer: abi::Answer, attachment: &Attachment) -> Judged<Answer> {
    let status = match answer.status {
        200..=599 => StatusCode::from_u16(answer.status).map_err(|error| error.to_string())?,
        other => return Err(format!("answered with status {other}; 200 to 599 are allowed")),
    };
    let mut headers = HeaderMap::with_capacity(answer.headers.len().min(64));
    let mut size = 0;
    for (name, value) in answer.headers {
        size += name.len() + value.len() + 4;
        if size > attachment.header_limit {
            return Err(format!("answered with a head of more than {} bytes", attachment.header_limit));
        }
        let field = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("answered with the field name {name:?}, which HTTP does not allow"))?;
        if is_forbidden(&field) {
            return Err(format!("answered with the field {field}, which the host writes itself"));
        }
        let value = HeaderValue::try_from(value)
            .map_err(|_| format!("answered with a value of {field} that HTTP does not allow"))?;
        headers.try_append(field, value).map_err(|error| error.to_string())?;
    }
    Ok(Answer { status, headers, body: answer.body.into() })
}
