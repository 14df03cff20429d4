//! Connect: from a pool to a connection to one of its members.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use shunt_config::model::{OnEmpty, WhenDown};
use shunt_config::persistence::{PersistBy, TlsSession};
use shunt_engine::balance::Ends;
use shunt_engine::balance::choose::{Ask, Bind};
use shunt_engine::member::Active;
use shunt_engine::persistence::{Key, is_away};
use shunt_rules::{Hook, PersistKey};
use shunt_runtime::clock;
use shunt_runtime::tls::members::NoTls;
use thiserror::Error;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Inner, session};
use crate::away::{Away, Next, REFUSED, RESELECTED, WAITED};
use crate::connection::Connection;
use crate::eject;
use crate::member::MemberView;
use crate::proxy_protocol;
use crate::queue::{InQueue, NoTurn};
use crate::route::Route;
use crate::selected::{AfterSelection, MOST_VETOES, Selected, passed_over};
use crate::server::ServerStream;
use crate::view::{Limited, PoolView, VirtualView};

/// Why there is no connection to a member.
#[derive(Debug, Error)]
enum Unconnected {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] NoTls),
}

/// A connection to a member, and its place there.
pub(super) struct Connected {
    pub(super) member: Rc<MemberView>,
    pub(super) stream: ServerStream,
    pub(super) active: Active,
    /// To be told what the connection comes to; `None`: it ejects no members.
    pub(super) pool: Option<Rc<PoolView>>,
}

/// There is no connection to a member.
pub(super) struct NoMember {
    /// The pool says that the client gets a reset.
    pub(super) resets: bool,
}

/// A connection to a member of the pool that the client's goes to, or of one that stands in for it.
///
/// # Errors
/// There is no pool, none of its members that were tried could be connected to, or the client is gone.
pub(super) async fn connect(
    view: &VirtualView,
    connection: &Connection,
    route: &Route,
    inner: Inner,
    client: &TcpStream,
) -> Result<Connected, NoMember> {
    let named = route.pool.as_ref().or(view.pool.as_ref());
    let Some(named) = named.filter(|pool| !connection.is_of_cache(view, pool)) else {
        // Boxed, for every connection would have its size.
        return Box::pin(straight(view, connection, inner)).await;
    };
    let (mut pool, mut route) = (Rc::clone(named), Cow::Borrowed(route));
    let (mut tried, mut vetoed) = (Vec::new(), Vec::new());
    let mut away = Away::new(view.when_down());
    let mut queue: Option<InQueue> = None;
    let asks = view.hooks.contains(Hook::OnSelected);
    // Where a rule has said where to choose, what is chosen there is taken.
    let mut is_settled = false;
    let none = |pool: &PoolView| NoMember { resets: pool.pool.settings.on_empty == OnEmpty::Reset };
    while tried.len() < pool.pool.settings.retry.attempts {
        if queue.is_none() && tried.is_empty() && vetoed.is_empty() && pool.is_waited_for() {
            queue = InQueue::enter(&pool).map_err(|NoTurn| none(&pool))?;
        }
        if let Some(queue) = &queue {
            // Boxed, for every connection would have its size.
            Box::pin(wait_in(queue, client)).await.map_err(|NoTurn| none(&pool))?;
        }
        let next = match vetoed.len() > MOST_VETOES {
            false => choose(view, &pool, connection, &route, &tried, &vetoed),
            true => Next::None,
        };
        let (member, why, reserved) = match next {
            Next::Member(member, why, reserved) => (member, why, reserved),
            Next::Away => {
                let Some(until) = away.until() else {
                    view.counters.persistence_down[REFUSED].add(1);
                    return Err(none(&pool));
                };
                Away::wait(until).await;
                // It may take a connection now.
                tried.clear();
                continue;
            }
            Next::None if !tried.is_empty() => break,
            Next::None => {
                if queue.is_none() && vetoed.is_empty() {
                    queue = InQueue::enter(&pool).map_err(|NoTurn| none(&pool))?;
                }
                if pool.pool.settings.on_empty == OnEmpty::Route {
                    return Box::pin(straight(view, connection, inner)).await;
                }
                if queue.is_none() {
                    pool = pool.on_empty().ok_or_else(|| none(&pool))?;
                    route = Cow::Owned(Route::to_pool(Rc::clone(&pool)));
                    vetoed.clear();
                }
                continue;
            }
        };
        if let Some(queue) = queue.take() {
            queue.served();
        }
        if asks && !is_settled {
            let (has_place, vetoes) = (reserved.is_some(), vetoed.len());
            let selected = Selected { pool: &pool, member: &member, why, has_place, vetoes, route: &route };
            match on_selected(view, connection, &selected) {
                AfterSelection::Taken => {}
                AfterSelection::Vetoed => {
                    vetoed.push(member.address);
                    continue;
                }
                AfterSelection::Elsewhere(to) => {
                    if let Some(of_rule) = &to.pool {
                        pool = Rc::clone(of_rule);
                    }
                    route = Cow::Owned(to);
                    is_settled = true;
                    continue;
                }
                AfterSelection::Refused => return Err(none(&pool)),
            }
        }
        let active = reserved.unwrap_or_else(|| member.state.begin());
        if !may_try(view, &pool, tried.is_empty()) {
            break;
        }
        let _connecting = pool.may_connect().map_err(|Limited| none(&pool))?;
        let within = view.virtual_.settings.timeouts.connect;
        match timeout(within, open(&member, connection, inner)).await {
            Ok(Ok(stream)) => {
                member.counters.connects.add(1);
                if away.has_waited() {
                    view.counters.persistence_down[WAITED].add(1);
                }
                let pool = pool.to_be_told();
                return Ok(Connected { member, stream, active, pool });
            }
            failed => {
                member.counters.connects_failed.add(1);
                eject::observe(&pool, &member, false);
                match &failed {
                    Ok(Err(Unconnected::Tls(why))) => member.tell_no_tls(&view.virtual_.settings.name, why),
                    failed => {
                        let failed = failed.as_ref().map(|it| it.as_ref().err());
                        tracing::debug!(member = %member.address, ?failed, "connect failed");
                    }
                }
                tried.push(member.address);
                is_settled = false;
            }
        }
    }
    Err(NoMember { resets: false })
}

/// Whether the pool's budget has one more retry, which is taken and counted then; what is tried first adds to it.
fn may_try(view: &VirtualView, pool: &PoolView, is_first: bool) -> bool {
    let (budget, retries) = (pool.pool.settings.retry.budget, &pool.pool.state.retries);
    if is_first {
        budget.into_iter().for_each(|percent| retries.add(percent));
        return true;
    }
    let may = budget.is_none() || retries.take();
    if may { &view.counters.retries } else { &view.counters.retries_withheld }.add(1);
    may
}

/// Waits in a queue until there may be room, unless the client resets its connection meanwhile. One that has ended its side may
/// wait for an answer.
async fn wait_in(queue: &InQueue, client: &TcpStream) -> Result<(), NoTurn> {
    tokio::select! {
        biased;
        _ = client.ready(Interest::ERROR) => Err(NoTurn),
        waited = queue.wait() => waited,
    }
}

/// A connection to where the client connected to.
async fn straight(view: &VirtualView, connection: &Connection, inner: Inner) -> Result<Connected, NoMember> {
    const NONE: NoMember = NoMember { resets: false };
    let destination = connection.destination(view).ok_or(NONE)?;
    match timeout(view.virtual_.settings.timeouts.connect, open(destination, connection, inner)).await {
        Ok(Ok(stream)) => {
            view.counters.straight.add(1);
            let (member, active) = (Rc::clone(destination), destination.state.begin());
            Ok(Connected { member, stream, active, pool: None })
        }
        failed => {
            let failed = failed.as_ref().map(|it| it.as_ref().err());
            tracing::debug!(destination = %destination.address, ?failed, "connect failed");
            Err(NONE)
        }
    }
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

fn on_selected(view: &VirtualView, connection: &Connection, selected: &Selected<'_>) -> AfterSelection {
    let flow = &connection.flow;
    selected.ask(view, connection, |rule, selection| {
        connection.with_runner(rule, |runner| {
            connection.with_vars(|vars| runner.on_selected_of_flow(flow, vars, selection))
        })
    })
}

/// The member that is next: by what a rule says of the client, else by its address where that is configured.
pub(crate) fn choose(
    view: &VirtualView,
    pool: &PoolView,
    connection: &Connection,
    route: &Route,
    tried: &[SocketAddr],
    vetoed: &[SocketAddr],
) -> Next {
    let flow = &connection.flow;
    let key = match (&route.persist, view.virtual_.settings.persistence.as_ref().map(|it| &it.by)) {
        (Some(key), _) => Some(key_of(view, key)),
        (
            None,
            Some(PersistBy::Source(source) | PersistBy::TlsSession(TlsSession { source: Some(source) })),
        ) => Some(source.key(view.binding_prefix, flow.client, timeout_of_bindings(view))),
        // Cookies and sessions are in requests.
        (None, Some(PersistBy::TlsSession(_) | PersistBy::Cookie(_) | PersistBy::Session(_)) | None) => None,
    };
    let (bindings, now) = (&pool.pool.bindings, clock::monotonic_ms());
    let by_session = route.persist.is_none() && session::of(view).is_some();
    let is_first = tried.is_empty() && vetoed.is_empty();
    let bound = by_session.then(|| session::find(view, pool, &connection.session, is_first)).flatten();
    let bound = bound.or_else(|| key.as_ref().and_then(|key| bindings.find(key.bytes(), now)));
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
    let passed_over = passed_over(tried, vetoed);
    let Ok((chosen, member, reserved)) = pool.choose(&passed_over, &ask) else { return Next::None };
    if is_away {
        view.counters.persistence_down[RESELECTED].add(1);
    }
    Next::Member(Rc::clone(member), chosen.why, reserved)
}

/// How long bindings of the virtual last, where it says so, in milliseconds.
pub(super) fn timeout_of_bindings(view: &VirtualView) -> Option<u64> {
    let timeout = view.virtual_.settings.persistence.as_ref()?.timeout?;
    u64::try_from(timeout.as_millis()).ok()
}

/// What a rule calls a client, in the table.
pub(super) fn key_of(view: &VirtualView, key: &PersistKey) -> Key {
    let own = key.timeout.and_then(|it| u64::try_from(it.as_millis()).ok());
    Key::of_rule(view.binding_prefix, &key.key, own.or_else(|| timeout_of_bindings(view)))
}
