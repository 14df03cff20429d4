//! PostgreSQL: a whole start of a session, as of psql that has no password, which the server does not log as an error.

use super::super::dialogue::{Dialogue, Failure, shown};

const ANSWER: &str = "the answer to the startup message";
/// Protocol 3.0.
const VERSION: u32 = 3 << 16;

pub(super) async fn ask(mut dialogue: Dialogue, user: &str) -> Result<String, Failure> {
    dialogue.say(&startup(user)).await?;
    loop {
        let (kind, body) = message(&mut dialogue).await?;
        match (kind, body.get(..4)) {
            // AuthenticationOk: the session begins.
            (b'R', Some([0, 0, 0, 0])) => {}
            // It asks for a password: so far comes whoever waits for one to be typed, and leaves.
            (b'R', Some(_)) => {
                drop(dialogue);
                return Ok("asks for a password".to_owned());
            }
            (b'Z', _) => {
                // Terminate
                dialogue.farewell(&[b'X', 0, 0, 0, 4]).await;
                return Ok("ready for query".to_owned());
            }
            (b'E', _) => return Err(Failure::Refused(error(&body))),
            // ParameterStatus, BackendKeyData, NoticeResponse, NegotiateProtocolVersion
            (b'S' | b'K' | b'N' | b'v', _) => {}
            _ => return Err(Failure::Foreign { what: ANSWER, protocol: "of PostgreSQL" }),
        }
    }
}

fn startup(user: &str) -> Vec<u8> {
    let mut body = VERSION.to_be_bytes().to_vec();
    for word in ["user", user, "database", "postgres", "application_name", "shunt", ""] {
        body.extend(word.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), body.as_slice()].concat()
}

async fn message(dialogue: &mut Dialogue) -> Result<(u8, Vec<u8>), Failure> {
    let head = dialogue.exactly(5, ANSWER).await?;
    let [kind, a, b, c, d] = <[u8; 5]>::try_from(head).unwrap_or_default();
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let length = length.checked_sub(4).ok_or(Failure::Foreign { what: ANSWER, protocol: "of PostgreSQL" })?;
    Ok((kind, dialogue.exactly(length, ANSWER).await?))
}

/// The message of an ErrorResponse: its field `M`.
fn error(body: &[u8]) -> String {
    let mut fields = body.split(|byte| *byte == 0);
    shown(fields.find_map(|field| field.strip_prefix(b"M")).unwrap_or_default())
}
