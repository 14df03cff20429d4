//! Sessions that are resumed: by tickets (RFC 5077, RFC 8446 section 4.6.1), and in TLS 1.2 by session identifiers for
//! clients that know no tickets. All workers of a virtual share both, and balancers with the same key file the tickets.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64ct::{Base64, Encoding as _};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

use super::error::{Problem, TlsError};
use super::material::{Material, shown};

/// Sessions of TLS 1.2 that are kept, of the clients that came last; some 200 bytes each.
const SESSIONS: usize = 16_384;

/// Seconds that a ticket is taken for, which is what clients are told. TLS 1.3 allows a week.
const LIFETIME: u32 = 12 * 60 * 60;

/// Bytes of a key in a file.
const KEY: usize = 32;
const NAME: usize = 16;
const TIME: usize = 8;

/// How sessions of a virtual are resumed.
#[derive(Clone)]
pub(super) struct Resumption {
    /// What lets clients in: see [`super::clients::context`].
    context: [u8; 32],
    /// The file that the keys come from, as it was.
    keys: Option<Vec<u8>>,
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

impl Resumption {
    /// What was before, where that may go on: new certificates end no session, and another demand of clients'
    /// certificates ends all.
    pub(super) fn next(
        file: Option<&Path>,
        material: &Material,
        context: [u8; 32],
        before: Option<&Resumption>,
    ) -> Result<Self, Problem> {
        let keys = file.map(|path| material.get(path).to_vec());
        let same = before.filter(|before| before.context == context);
        if let Some(same) = same.filter(|same| same.keys == keys) {
            return Ok(same.clone());
        }
        let refused = |error| Problem::new(&["ticket-keys"], error);
        let tickets = match (file, &keys) {
            (Some(path), Some(text)) => {
                let keys = read(&shown(path), text).map_err(refused)?;
                Arc::new(SharedTickets::new(&keys, &context))
            }
            _ => Ticketer::new().map_err(|error| refused(TlsError::Setup(error)))?,
        };
        let sessions = match same {
            Some(same) => Arc::clone(&same.sessions),
            None => ServerSessionMemoryCache::new(SESSIONS),
        };
        Ok(Resumption { context, keys, tickets, sessions })
    }

    pub(super) fn put_in(&self, config: &mut ServerConfig) {
        config.ticketer = Arc::clone(&self.tickets);
        config.session_storage = Arc::clone(&self.sessions);
    }
}

/// The keys of a file: a line each, in base64; the first encrypts.
fn read(file: &str, text: &[u8]) -> Result<Vec<[u8; KEY]>, TlsError> {
    let mut keys: Vec<(usize, [u8; KEY])> = Vec::new();
    let text = String::from_utf8_lossy(text);
    let lines = (1..).zip(text.lines()).map(|(line, text)| (line, text.trim()));
    for (line, text) in lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#')) {
        let file = || file.to_owned();
        let bytes = Base64::decode_vec(text).map_err(|_| TlsError::TicketKeyText { file: file(), line })?;
        let found = bytes.len();
        let key = <[u8; KEY]>::try_from(bytes).map_err(|_| TlsError::TicketKeyLength {
            file: file(),
            line,
            found,
        })?;
        if let Some((first, _)) = keys.iter().find(|(_, known)| *known == key) {
            return Err(TlsError::TicketKeyTwice { file: file(), line, first: *first });
        }
        keys.push((line, key));
    }
    if keys.is_empty() {
        return Err(TlsError::NoTicketKey(file.to_owned()));
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// Tickets by keys that others have, too. A ticket is the name of its key, a nonce, and sealed: the time, the session.
struct SharedTickets {
    /// The first encrypts.
    keys: Vec<TicketKey>,
}

struct TicketKey {
    name: [u8; NAME],
    /// With a random nonce for each ticket, of which balancers know nothing from each other: a nonce that comes twice tells
    /// no more than that two tickets are equal (RFC 8452).
    seal: LessSafeKey,
}

impl SharedTickets {
    /// `context`: tickets that were made in another one are none of these, whatever the file.
    fn new(keys: &[[u8; KEY]], context: &[u8; 32]) -> Self {
        SharedTickets { keys: keys.iter().filter_map(|key| TicketKey::new(key, context)).collect() }
    }

    fn encrypt_at(&self, now: u64, plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        default_provider().secure_random.fill(&mut nonce).ok()?;
        let mut ticket =
            Vec::with_capacity(NAME + NONCE_LEN + TIME + plain.len() + key.seal.algorithm().tag_len());
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        let begin = ticket.len();
        ticket.extend_from_slice(&now.to_be_bytes());
        ticket.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = ticket.get_mut(begin..)?;
        let tag = key.seal.seal_in_place_separate_tag(nonce, Aad::from(key.name), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt_at(&self, now: u64, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let key = self.keys.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.seal.open_in_place(nonce, Aad::from(key.name), &mut sealed).ok()?;
        let (made, plain) = plain.split_first_chunk::<TIME>()?;
        // Clocks of balancers may differ a little.
        let age = now.saturating_sub(u64::from_be_bytes(*made));
        (age <= u64::from(LIFETIME)).then(|| plain.to_vec())
    }
}

impl TicketKey {
    fn new(key: &[u8; KEY], context: &[u8; 32]) -> Option<Self> {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                NAME + KEY
            }
        }
        let mut derived = [0; NAME + KEY];
        let secret = Salt::new(HKDF_SHA256, b"shunt session tickets 1").extract(key);
        secret.expand(&[context], Length).ok()?.fill(&mut derived).ok()?;
        let (name, key) = derived.split_first_chunk::<NAME>()?;
        let seal = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key).ok()?);
        Some(TicketKey { name: *name, seal })
    }
}

impl ProducesTickets for SharedTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(unix_time(), plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(unix_time(), ticket)
    }
}

impl fmt::Debug for SharedTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTickets").field("keys", &self.keys.len()).finish()
    }
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [u8; 32] = [0; 32];
    const SESSION: &[u8] = b"session";

    fn tickets(keys: &[u8], context: [u8; 32]) -> SharedTickets {
        let keys: Vec<_> = keys.iter().map(|key| [*key; KEY]).collect();
        SharedTickets::new(&keys, &context)
    }

    #[test]
    fn balancers_with_a_key_in_common_take_each_others_tickets() {
        let (before, between, after) = (tickets(&[1], NONE), tickets(&[2, 1], NONE), tickets(&[3, 2], NONE));
        let old = before.encrypt_at(0, SESSION).unwrap();
        assert_eq!(between.decrypt_at(60, &old).as_deref(), Some(SESSION));
        assert_eq!(after.decrypt_at(60, &old), None, "its key is gone");
        let new = between.encrypt_at(0, SESSION).unwrap();
        assert_eq!(after.decrypt_at(60, &new).as_deref(), Some(SESSION));
        assert_eq!(before.decrypt_at(60, &new), None);
    }

    #[test]
    fn a_ticket_of_another_demand_of_certificates_is_none() {
        let (open, closed) = (tickets(&[1], NONE), tickets(&[1], [1; 32]));
        let ticket = open.encrypt_at(0, SESSION).unwrap();
        assert_eq!(closed.decrypt_at(0, &ticket), None);
    }

    #[test]
    fn tickets_end() {
        let tickets = tickets(&[1], NONE);
        let ticket = tickets.encrypt_at(1_000_000, SESSION).unwrap();
        let life = u64::from(LIFETIME);
        assert!(tickets.decrypt_at(1_000_000 + life, &ticket).is_some());
        assert!(tickets.decrypt_at(1_000_001 + life, &ticket).is_none());
        assert!(tickets.decrypt_at(999_990, &ticket).is_some(), "another clock");
    }

    #[test]
    fn a_ticket_that_was_changed_is_none() {
        let tickets = tickets(&[1], NONE);
        let ticket = tickets.encrypt_at(0, SESSION).unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt_at(0, &changed), None, "byte {at}");
            assert_eq!(tickets.decrypt_at(0, &ticket[..at]), None, "{at} bytes");
        }
        assert_ne!(ticket, tickets.encrypt_at(0, SESSION).unwrap());
    }

    #[test]
    fn key_files_are_read_and_refused() {
        let [one, two] = [[1; KEY], [2; KEY]].map(|key| Base64::encode_string(&key));
        let text = format!("# current\n{one}\r\n\n  {two}\n");
        assert_eq!(read("f", text.as_bytes()).unwrap(), [[1; KEY], [2; KEY]]);
        for (text, told) in [
            ("", "f: there is no ticket key in it"),
            ("# nothing\n", "f: there is no ticket key in it"),
            (&format!("{one}\nnot base64\n"), "f: line 2: the ticket key is not base64"),
            (
                &format!("{}\n", Base64::encode_string(&[1; 48])),
                "f: line 1: a ticket key has 32 bytes, and this one has 48",
            ),
            (&format!("{one}\n{two}\n{one}\n"), "f: line 3: this ticket key is there already, on line 1"),
        ] {
            let error = read("f", text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
