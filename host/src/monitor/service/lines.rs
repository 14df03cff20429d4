//! Protocols of lines. None is spoken to before its greeting, and each is told that the probe leaves.

use super::super::dialogue::{Dialogue, Failure, shown};
use super::unexpected;

const GREETING: &str = "the greeting";

/// RFC 5321 sections 3.1 and 4.1.1.10.
pub(super) async fn smtp(dialogue: Dialogue) -> Result<String, Failure> {
    coded(dialogue, "220").await
}

/// RFC 959 section 5.4.
pub(super) async fn ftp(dialogue: Dialogue) -> Result<String, Failure> {
    coded(dialogue, "220").await
}

/// A reply with a code, of one line or several (RFC 5321 section 4.2.1, RFC 959 section 4.2); then QUIT.
async fn coded(mut dialogue: Dialogue, expected: &'static str) -> Result<String, Failure> {
    let first = dialogue.line(GREETING).await?;
    let mut last = first.clone();
    // Of several lines only the last has a space behind the code; those of FTP between may have no code at all.
    while first.as_bytes().get(3) == Some(&b'-')
        && !(last.get(..3) == first.get(..3) && last.as_bytes().get(3) != Some(&b'-'))
    {
        last = dialogue.line(GREETING).await?;
    }
    if !first.starts_with(expected) {
        let failure = unexpected(GREETING, &first, expected);
        dialogue.farewell(b"QUIT\r\n").await;
        return Err(failure);
    }
    dialogue.farewell(b"QUIT\r\n").await;
    Ok(shown(first.as_bytes()))
}

/// RFC 1939 section 4.
pub(super) async fn pop3(mut dialogue: Dialogue) -> Result<String, Failure> {
    let greeting = dialogue.line(GREETING).await?;
    if !greeting.starts_with("+OK") {
        return Err(unexpected(GREETING, &greeting, "+OK"));
    }
    dialogue.farewell(b"QUIT\r\n").await;
    Ok(shown(greeting.as_bytes()))
}

/// RFC 3501 section 7.1: `OK`, or `PREAUTH`; `BYE` refuses.
pub(super) async fn imap(mut dialogue: Dialogue) -> Result<String, Failure> {
    let greeting = dialogue.line(GREETING).await?;
    if !greeting.starts_with("* OK") && !greeting.starts_with("* PREAUTH") {
        return Err(unexpected(GREETING, &greeting, "* OK"));
    }
    dialogue.farewell(b"a1 LOGOUT\r\n").await;
    Ok(shown(greeting.as_bytes()))
}

/// A server that wants a password says so in its place, and serves all the same; one that loads its data does not.
pub(super) async fn redis(mut dialogue: Dialogue) -> Result<String, Failure> {
    const ANSWER: &str = "the answer to PING";
    // RESP: an array of one bulk string.
    dialogue.say(b"*1\r\n$4\r\nPING\r\n").await?;
    let answer = dialogue.line(ANSWER).await?;
    if answer != "+PONG" && !answer.starts_with("-NOAUTH") {
        return Err(unexpected(ANSWER, &answer, "+PONG"));
    }
    dialogue.farewell(b"*1\r\n$4\r\nQUIT\r\n").await;
    Ok(shown(answer.as_bytes()))
}
