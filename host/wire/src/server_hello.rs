//! What a TLS server answers first, as far as its session is known by it (RFC 5246 section 7.4.1.3).
//!
//! A server of TLS 1.2 that keeps sessions calls the new one by an id, with which the client comes back: a balancer that
//! passes TLS through sends it to the same server then. In TLS 1.3 the field repeats what the client sent, and says
//! nothing (RFC 8446 section 4.1.3).

use crate::bytes::u16_at;

/// Bytes that are looked at for it: those before the extensions, and these. Servers send a few hundred.
pub const MOST: usize = 4 << 10;

/// The longest id (RFC 5246 section 7.4.1.2).
pub const MOST_SESSION_ID: usize = 32;

const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
const VERSION: usize = 2;
const RANDOM: usize = 32;
/// Cipher suite and compression method.
const CHOSEN: usize = 3;
const SUPPORTED_VERSIONS: u16 = 43;

/// What the first bytes of a server say of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session<'a> {
    /// More has to come.
    Unsaid,
    /// It has no id that a client comes back with.
    Nameless,
    /// It is called so: between 1 and [`MOST_SESSION_ID`] bytes.
    Named(&'a [u8]),
}

/// Reads what a server has sent so far, from its first byte on. What is no ServerHello in one record has no session that
/// is known: servers send it so, and a reader that puts records together would hold bytes for nothing.
#[must_use]
pub fn session(received: &[u8]) -> Session<'_> {
    match read(received) {
        Some(session) => session,
        None if received.len() < MOST => Session::Unsaid,
        None => Session::Nameless,
    }
}

/// `None`: it is not whole.
fn read(received: &[u8]) -> Option<Session<'_>> {
    // An alert, or no TLS.
    if *received.first()? != HANDSHAKE || *received.get(1)? != 3 {
        return Some(Session::Nameless);
    }
    let record = usize::from(u16_at(received, RECORD_HEADER - 2)?);
    let message = received.get(RECORD_HEADER..)?;
    if *message.first()? != SERVER_HELLO {
        return Some(Session::Nameless);
    }
    let length = message.get(1..MESSAGE_HEADER)?.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    if MESSAGE_HEADER + length > record {
        return Some(Session::Nameless);
    }
    let body = message.get(MESSAGE_HEADER..MESSAGE_HEADER + length)?;
    Some(of_body(body).map_or(Session::Nameless, Session::Named))
}

/// The id that the whole message says; `None`: none, or something is wrong.
fn of_body(body: &[u8]) -> Option<&[u8]> {
    let rest = body.get(VERSION + RANDOM..)?;
    let (length, rest) = rest.split_first()?;
    let (id, rest) = rest.split_at_checked(usize::from(*length))?;
    let extensions = rest.get(CHOSEN..)?;
    let is_named = !id.is_empty() && id.len() <= MOST_SESSION_ID;
    (is_named && !says_version(extensions)?).then_some(id)
}

/// Whether the server says the version in an extension, as those of TLS 1.3 do (RFC 8446 section 4.2.1). `None`: the
/// extensions are not such.
fn says_version(extensions: &[u8]) -> Option<bool> {
    // A server may have none at all (RFC 5246 section 7.4.1.3).
    let Some(length) = u16_at(extensions, 0) else { return extensions.is_empty().then_some(false) };
    let mut left = extensions.get(2..)?;
    if left.len() != usize::from(length) {
        return None;
    }
    while !left.is_empty() {
        let (kind, length) = (u16_at(left, 0)?, usize::from(u16_at(left, 2)?));
        left = left.get(4 + length..)?;
        if kind == SUPPORTED_VERSIONS {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::vec;
    use std::vec::Vec;

    fn hello(id: &[u8], extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(id.len() as u8);
        body.extend(id);
        body.extend([0xc0, 0x2f, 0]);
        body.extend(extensions);
        let message = [&[2, 0, 0, body.len() as u8][..], &body].concat();
        [&[22, 3, 3, 0, message.len() as u8][..], &message].concat()
    }

    #[test]
    fn a_session_has_a_name_once_the_hello_is_whole() {
        let id = [9; 32];
        // renegotiation_info
        for extensions in [&[][..], &[0, 5, 0xff, 1, 0, 1, 0]] {
            let mut received = hello(&id, extensions);
            for end in 0..received.len() {
                assert_eq!(session(&received[..end]), Session::Unsaid, "{end}");
            }
            // The certificate follows.
            received.extend([22, 3, 3, 0, 9]);
            assert_eq!(session(&received), Session::Named(&id));
        }
        assert_eq!(session(&hello(&[1], &[])), Session::Named(&[1]));
    }

    #[test]
    fn what_says_nothing_of_a_session() {
        let of_1_3 = [0, 6, 0, 43, 0, 2, 3, 4];
        let cut = [0, 6, 0, 43, 0, 9, 3, 4];
        let table: [Vec<u8>; 9] = [
            hello(&[], &[]),
            hello(&[9; 33], &[]),
            hello(&[9; 32], &of_1_3),
            hello(&[9; 32], &cut),
            hello(&[9; 32], &[0]),
            // An alert, another message, no TLS.
            vec![21, 3, 3, 0, 2, 2, 40],
            vec![22, 3, 3, 0, 4, 14, 0, 0, 0],
            b"HTTP/1.1 400 Bad Request\r\n".to_vec(),
            vec![22, 2, 0, 0, 4],
        ];
        for received in &table {
            assert_eq!(session(received), Session::Nameless, "{received:?}");
        }
        // It goes on in another record.
        let mut cut = hello(&[9; 32], &[]);
        cut[4] -= 1;
        assert_eq!(session(&cut), Session::Nameless);
        let mut endless = vec![22, 3, 3, 0xff, 0xff, 2, 0, 0xff, 0xf0];
        endless.resize(MOST, 0);
        assert_eq!(session(&endless), Session::Nameless);
    }
}
