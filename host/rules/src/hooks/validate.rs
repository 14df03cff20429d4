//! Checks the parts of what a rule returned that several hooks have.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::Attachment;
use crate::abi;
use crate::capabilities::is_forbidden;
use crate::grants::fields::is_sensitive;
use crate::grants::{Grant, Key};
use crate::verdict::{Answer, Mode, PersistKey, Target};

/// Bytes of a persistence key, as `wit/types.wit` says.
pub(crate) const MAX_PERSIST_KEY: usize = 256;

/// Bytes of a veto's reason, as `wit/hooks.wit` says.
const MAX_REASON: usize = 256;

/// Why a verdict means nothing; becomes the fault's message.
pub(super) type Validated<T> = Result<T, String>;

#[inline]
pub(super) fn target(target: abi::Target, attachment: &Attachment) -> Validated<Target> {
    let slot = |name: Option<String>, snat: bool| {
        let Some(name) = name else { return Ok(None) };
        match attachment.slot_index(&name) {
            None if snat && attachment.rule().manifest().slots.get(&name).is_some_and(|slot| slot.snat) => {
                Ok(None)
            }
            None => Err(format!("named the slot {name:?}, which the pack does not declare")),
            Some(index) if attachment.slots()[index].snat == snat => Ok(Some(index)),
            Some(_) => Err(if snat {
                format!(
                    "named the slot {name:?} as SNAT pool, which stands for a pool; declare it with snat = true"
                )
            } else {
                format!("named the slot {name:?} as pool, which stands for a SNAT pool")
            }),
        }
    };
    let mode = target.mode.map(Mode::from);
    if let Some(mode) = mode.filter(|mode| !attachment.grants.modes.contains(mode)) {
        return Err(not_asked(
            format!("chose the mode {}", mode.name()),
            &Grant::new(Key::Modes, mode.name()),
        ));
    }
    Ok(Target {
        pool: slot(target.pool, false)?,
        member: target.member.map(Into::into),
        mode,
        snat_pool: slot(target.snat_pool, true)?,
        persist: target.persist.map(persist).transpose()?,
    })
}

/// A fault's message: the rule did what its pack does not ask for.
pub(super) fn not_asked(did: String, grant: &Grant) -> String {
    format!("{did}, for which pack.toml does not ask; {}", grant.remedy())
}

fn persist(persist: abi::PersistKey) -> Validated<PersistKey> {
    if persist.key.len() > MAX_PERSIST_KEY {
        return Err(format!(
            "gave a persistence key of {} bytes; at most {MAX_PERSIST_KEY} are allowed",
            persist.key.len()
        ));
    }
    let timeout = (persist.timeout_ms > 0).then(|| Duration::from_millis(persist.timeout_ms.into()));
    Ok(PersistKey { key: persist.key, timeout })
}

pub(super) fn reason(reason: String) -> Validated<String> {
    match reason.len() {
        0..=MAX_REASON => Ok(reason),
        bytes => Err(format!("gave a reason of {bytes} bytes; at most {MAX_REASON} are allowed")),
    }
}

pub(super) fn answer(answer: abi::Answer, attachment: &Attachment) -> Validated<Answer> {
    let granted = &attachment.grants.response;
    if !granted.answer {
        return Err(not_asked("responded itself".to_owned(), &Grant::new(Key::ResponseAnswer, "")));
    }
    let status = match answer.status {
        200..=599 => StatusCode::from_u16(answer.status).map_err(|error| error.to_string())?,
        other => return Err(format!("responded with status {other}; use 200 to 599")),
    };
    let mut headers = HeaderMap::with_capacity(answer.headers.len().min(64));
    let mut size = 0;
    for (name, value) in answer.headers {
        size += name.len() + value.len() + 4;
        if size > attachment.header_limit {
            return Err(format!("responded with a head of more than {} bytes", attachment.header_limit));
        }
        let field = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("responded with the field name {name:?}, which HTTP does not allow"))?;
        if is_forbidden(&field) {
            return Err(format!("responded with the field {field}, which only the host may write"));
        }
        // The response is the rule's own; credentials are the client's.
        if is_sensitive(field.as_str()) && !granted.write.contains(field.as_str()) {
            let grant = Grant::new(Key::ResponseWrite, field.as_str());
            return Err(not_asked(format!("responded with the field {field}"), &grant));
        }
        let value = HeaderValue::try_from(value)
            .map_err(|_| format!("responded with a value of {field} that HTTP does not allow"))?;
        headers.try_append(field, value).map_err(|error| error.to_string())?;
    }
    Ok(Answer { status, headers, body: answer.body.into() })
}
