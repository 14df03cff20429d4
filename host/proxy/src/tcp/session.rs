//! Sessions of TLS that is passed through: a member says in its ServerHello what the session is called, and the client
//! that comes back with it goes to that member.

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use shunt_config::persistence::{PersistBy, TlsSession};
use shunt_engine::persistence::Key;
use shunt_runtime::clock;
use shunt_wire::server_hello::{self, Session};
use tokio::time::Instant;

use super::connect::timeout_of_bindings;
use crate::relay::{Tap, Tapped};
use crate::view::{PoolView, VirtualView};

/// Whether clients of the virtual are known so.
pub(super) fn of(view: &VirtualView) -> Option<&TlsSession> {
    match view.virtual_.settings.persistence.as_ref().map(|it| &it.by) {
        Some(PersistBy::TlsSession(by)) => Some(by),
        _ => None,
    }
}

/// The member that began a session, as a ClientHello calls it. Ids that no member has said are counted the first
/// time that they are looked for.
pub(super) fn find(view: &VirtualView, pool: &PoolView, id: &[u8], is_first: bool) -> Option<SocketAddr> {
    if id.is_empty() {
        return None;
    }
    let found = pool.pool.bindings.find(key(view, pool, id).bytes(), clock::monotonic_ms());
    if found.is_none() && is_first {
        view.counters.tls_sessions_unknown.add(1);
    }
    found
}

fn key(view: &VirtualView, pool: &PoolView, id: &[u8]) -> Key {
    Key::of_session(view.binding_prefix, pool.pool.bindings.digest(id), timeout_of_bindings(view))
}

/// Binds the session that a member says to it.
pub(super) struct Learn {
    view: Rc<VirtualView>,
    pool: Rc<PoolView>,
    member: SocketAddr,
    seen: Vec<u8>,
}

impl Learn {
    pub(super) fn new(view: &Rc<VirtualView>, pool: &Rc<PoolView>, member: SocketAddr) -> Self {
        Learn { view: Rc::clone(view), pool: Rc::clone(pool), member, seen: Vec::new() }
    }
}

impl Tap for Learn {
    fn room(&self) -> usize {
        server_hello::MOST - self.seen.len()
    }

    /// What came goes on at once.
    fn came(&mut self, piece: &[u8]) -> Tapped {
        let bytes = Bytes::copy_from_slice(piece);
        self.seen.extend_from_slice(piece);
        match server_hello::session(&self.seen) {
            Session::Unsaid => Tapped::Pass(bytes),
            Session::Nameless => Tapped::Release(bytes),
            Session::Named(id) => {
                let (key, now) = (key(&self.view, &self.pool, id), clock::monotonic_ms());
                if self.pool.place(self.member).is_none() {
                    // Of a pool that stands in for this one.
                    return Tapped::Release(bytes);
                }
                self.pool.pool.bindings.bind(key.bytes(), self.member, key.timeout(), now, |_| false);
                Tapped::Release(bytes)
            }
        }
    }

    fn until(&self) -> Option<Instant> {
        None
    }

    fn late(&mut self) -> Tapped {
        Tapped::Pass(Bytes::new())
    }
}
