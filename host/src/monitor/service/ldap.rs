//! LDAP: an anonymous bind and an unbind (RFC 4511 sections 4.2 and 4.3).

use super::super::dialogue::{Dialogue, Failure};

const ANSWER: &str = "the answer to the bind";

/// Message 1: version 3, no name, an empty simple password.
const BIND: &[u8] = &[0x30, 0x0c, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0];
/// Message 2.
const UNBIND: &[u8] = &[0x30, 5, 2, 1, 2, 0x42, 0];

/// success, strongerAuthRequired, inappropriateAuthentication, unwillingToPerform: a server that takes no anonymous
/// binds serves those who give a name.
const SERVES: [u8; 4] = [0, 8, 48, 53];

pub(super) async fn ask(mut dialogue: Dialogue) -> Result<String, Failure> {
    dialogue.say(BIND).await?;
    let foreign = || Failure::Foreign { what: ANSWER, protocol: "of LDAP" };
    let head = dialogue.exactly(2, ANSWER).await?;
    let length = match head.as_slice() {
        [0x30, length @ 0..=0x7f] => usize::from(*length),
        [0x30, octets @ 0x81..=0x84] => {
            let octets = dialogue.exactly(usize::from(octets & 0x7f), ANSWER).await?;
            octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet))
        }
        _ => return Err(foreign()),
    };
    let message = dialogue.exactly(length, ANSWER).await?;
    // The identifier of the message, a BindResponse, its result code.
    let [2, 1, 1, 0x61, rest @ ..] = message.as_slice() else { return Err(foreign()) };
    let skipped = match rest.first() {
        Some(0..=0x7f) => 1,
        Some(octets @ 0x81..=0x84) => 1 + usize::from(octets & 0x7f),
        _ => return Err(foreign()),
    };
    let Some([0x0a, 1, code, ..]) = rest.get(skipped..) else { return Err(foreign()) };
    let code = *code;
    dialogue.farewell(UNBIND).await;
    if SERVES.contains(&code) {
        return Ok(format!("bind result {code}"));
    }
    Err(Failure::Refused(format!("bind result {code}")))
}
