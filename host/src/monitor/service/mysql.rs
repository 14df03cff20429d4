//! MySQL and MariaDB: a login without a password, and COM_QUIT. A connection that ends before the login counts for
//! `max_connect_errors`, which then blocks the host.

use super::super::dialogue::{Dialogue, Failure, shown};

const GREETING: &str = "the greeting";
const ANSWER: &str = "the answer to the login";

// Of the protocol's "Capabilities Flags".
const LONG_PASSWORD: u32 = 1;
const PROTOCOL_41: u32 = 1 << 9;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;

pub(super) async fn ask(mut dialogue: Dialogue, user: &str) -> Result<String, Failure> {
    let (number, greeting) = packet(&mut dialogue, GREETING).await?;
    let version = match greeting.split_first() {
        // "HandshakeV10": the version of the server follows, up to a zero.
        Some((10, rest)) => shown(rest.split(|byte| *byte == 0).next().unwrap_or_default()),
        Some((0xff, rest)) => return Err(refused(rest)),
        _ => return Err(Failure::Foreign { what: GREETING, protocol: "of MySQL" }),
    };
    dialogue.say(&framed(number.wrapping_add(1), &login(user))).await?;
    let (mut number, mut answer) = packet(&mut dialogue, ANSWER).await?;
    // "AuthSwitchRequest": another way to show no password.
    if answer.first() == Some(&0xfe) {
        dialogue.say(&framed(number.wrapping_add(1), &[])).await?;
        (number, answer) = packet(&mut dialogue, ANSWER).await?;
    }
    let _ = number;
    match answer.split_first() {
        Some((0, _)) => {}
        Some((0xff, rest)) => return Err(refused(rest)),
        _ => {
            let expected = "OK to a login without a password";
            return Err(Failure::Unexpected { what: ANSWER, got: shown(&answer), expected });
        }
    }
    // COM_QUIT
    dialogue.farewell(&framed(0, &[1])).await;
    Ok(version)
}

/// A packet: its number and payload.
async fn packet(dialogue: &mut Dialogue, what: &'static str) -> Result<(u8, Vec<u8>), Failure> {
    let head = dialogue.exactly(4, what).await?;
    let [a, b, c, number] = <[u8; 4]>::try_from(head).unwrap_or_default();
    let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
    Ok((number, dialogue.exactly(length, what).await?))
}

fn framed(number: u8, payload: &[u8]) -> Vec<u8> {
    // At most the login, of fewer than 256 bytes.
    let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
    [&[length, 0, 0, number], payload].concat()
}

/// "HandshakeResponse41", with an empty password.
fn login(user: &str) -> Vec<u8> {
    let flags = LONG_PASSWORD | PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH;
    let mut login = flags.to_le_bytes().to_vec();
    login.extend(1u32.wrapping_shl(24).to_le_bytes());
    // utf8_general_ci
    login.push(33);
    login.extend([0; 23]);
    login.extend(user.as_bytes());
    login.extend([0, 0]);
    login.extend(b"mysql_native_password\0");
    login
}

/// "ERR_Packet" without its first byte: a code, a state with its mark, a message.
fn refused(rest: &[u8]) -> Failure {
    let text = rest.get(2..).unwrap_or_default();
    let text = if text.first() == Some(&b'#') { text.get(6..).unwrap_or_default() } else { text };
    Failure::Refused(shown(text))
}
