//! Connect: from a pool to a connection to one of its members.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use shunt_config::model::WhenDown;
use shunt_config::persistence::PersistBy;
use shunt_engine::balance::Ends;
use shunt_engine::balance::choose::{Ask, Bind};
use shunt_engine::member::Active;
use shunt_engine::persistence::{Key, is_away};
use shunt_rules::{Flow, PersistKey};
use shunt_runtime::clock;
use shunt_runtime::tls::members::NoTls;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::Inner;
use crate::away::{Away, Next, REFUSED, RESELECTED, WAITED};
use crate::connection::Connection;
use crate::member::MemberView;
use crate::proxy_protocol;
use crate::route::Route;
use crate::server::ServerStream;
use crate::view::{PoolView, VirtualView};

/// Members tried for one connection, as for one request.
const MOST_ATTEMPTS: usize = 3;

/// Why there is no connection to a member.
#[derive(Debug, Error)]
enum Unconnected {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] NoTls),
}

/// A connection to a member of the pool that the client's goes to; `None`: there is no pool, or none of its members that
/// were tried could be connected to.
pub(super) async fn connect(
    view: &VirtualView,
    connection: &Connection,
    route: &Route,
    inner: Inner,
) -> Option<(Rc<MemberView>, ServerStream, Active)> {
    let pool = route.pool.as_ref().or(view.pool.as_ref())?;
    let mut tried = Vec::new();
    let mut away = Away::new(view.when_down());
    while tried.len() < MOST_ATTEMPTS {
        let (member, reserved) = match choose(view, pool, &connection.flow, route, &tried) {
            Next::Member(member, reserved) => (member, reserved),
            Next::Away => {
                let Some(until) = away.until() else {
                    view.counters.persistence_down[REFUSED].add(1);
                    return None;
                };
                Away::wait(until).await;
                // It may take a connection now.
                tried.clear();
                continue;
            }
            Next::None => return None,
        };
        let active = reserved.unwrap_or_else(|| member.state.begin());
        let within = view.virtual_.settings.timeouts.connect;
        match timeout(within, open(&member, connection, inner)).await {
            Ok(Ok(stream)) => {
                member.counters.connects.add(1);
                if away.has_waited() {
                    view.counters.persistence_down[WAITED].add(1);
                }
                return Some((member, stream, active));
            }
            failed => {
                member.counters.connects_failed.add(1);
                match &failed {
                    Ok(Err(Unconnected::Tls(why))) => member.tell_no_tls(&view.virtual_.settings.name, why),
                    failed => {
                        let failed = failed.as_ref().map(|it| it.as_ref().err());
                        tracing::debug!(member = %member.address, ?failed, "connect failed");
                    }
                }
                tried.push(member.address);
            }
        }
    }
    None
}

async fn open(
    member: &MemberView,
    connection: &Connection,
    inner: Inner,
) -> Result<ServerStream, Unconnected> {
    let mut stream = member.dial(Some(connection.flow.client.ip())).await?;
    if let Some(version) = member.proxy_protocol {
        let header = match inner {
            Inner::AsConfigured => proxy_protocol::header_of(version, connection),
            // What TLS is like is between the client and the member.
            Inner::PassedThrough => proxy_protocol::header(version, &connection.flow, false, None),
        };
        stream.write_all(&header).await?;
    }
    match &member.tls {
        Some(tls) if inner == Inner::AsConfigured => {
            // Boxed, for connections without TLS would have its room.
            let session = Box::pin(tls.connect_unread(stream, tls.name(None)?)).await?;
            Ok(ServerStream::Tls(Box::new(session)))
        }
        _ => Ok(ServerStream::Plain(stream)),
    }
}

/// The member that is next: by what a rule says of the client, else by its address where that is configured.
pub(crate) fn choose(
    view: &VirtualView,
    pool: &PoolView,
    flow: &Flow,
    route: &Route,
    tried: &[SocketAddr],
) -> Next {
    let key = match (&route.persist, view.virtual_.settings.persistence.as_ref().map(|it| &it.by)) {
        (Some(key), _) => Some(key_of(view, key)),
        (None, Some(PersistBy::Source(source))) => {
            Some(source.key(view.binding_prefix, flow.client, timeout_of_bindings(view)))
        }
        // Cookies and sessions are in requests.
        (None, Some(PersistBy::Cookie(_) | PersistBy::Session(_)) | None) => None,
    };
    let (bindings, now) = (&pool.pool.bindings, clock::monotonic_ms());
    let bound = key.as_ref().and_then(|key| bindings.find(key.bytes(), now));
    let ask = Ask {
        named: route.member.and_then(|address| pool.place(address)),
        bound: bound.and_then(|address| pool.place(address)),
        bind: key.as_ref().map(|key| Bind { bindings, key, now }),
        ends: Ends { now: pool.now(), ..Ends::new(flow.client.ip().into(), flow.vip.ip().into()) },
        groups: pool.ranked(),
        is_mid_stream: false,
    };
    let is_away = is_away(&ask, &pool.untried(tried));
    if is_away && view.when_down() != WhenDown::Reselect {
        return Next::Away;
    }
    let Ok((_, member, reserved)) = pool.choose(tried, &ask) else { return Next::None };
    if is_away {
        view.counters.persistence_down[RESELECTED].add(1);
    }
    Next::Member(Rc::clone(member), reserved)
}

/// How long bindings of the virtual last, where it says so, in milliseconds.
fn timeout_of_bindings(view: &VirtualView) -> Option<u64> {
    let timeout = view.virtual_.settings.persistence.as_ref()?.timeout?;
    u64::try_from(timeout.as_millis()).ok()
}

/// What a rule calls a client, in the table.
pub(super) fn key_of(view: &VirtualView, key: &PersistKey) -> Key {
    let own = key.timeout.and_then(|it| u64::try_from(it.as_millis()).ok());
    Key::of_rule(view.binding_prefix, &key.key, own.or_else(|| timeout_of_bindings(view)))
}
