//! A connection from its beginning to its end.

use std::mem;
use std::rc::Rc;
use std::task::{Context, Waker};

use bytes::Bytes;
use shunt_rules::Outcome;
use shunt_runtime::dial;
use tokio::time::Instant;

use super::connect::{Connected, NoMember, connect};
use super::data::{Stopped, Watched};
use super::session::{self, Learn};
use crate::client::ClientStream;
use crate::connection::Connection;
use crate::done::Done;
use crate::eject;
use crate::listener::{Listener, Serve, reset};
use crate::member::MemberView;
use crate::relay::{Early, End, Moved, Side, Taps, Wire, relay_tapped};
use crate::view::{PoolView, VirtualView};

/// TCP, as a listener serves it.
#[derive(Clone, Copy)]
pub(crate) struct Tcp;

impl Serve for Tcp {
    async fn serve<S: ClientStream>(self, listener: Rc<Listener>, connection: Rc<Connection>, stream: S) {
        let view = listener.view();
        let served = forward(view, connection, stream, Bytes::new(), Inner::AsConfigured);
        // It tells at once that nothing will come.
        if let Err(client) = served.await {
            reset(client.socket());
        }
    }
}

/// What goes to the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inner {
    /// The bytes of the client, over TLS where its pool says so.
    AsConfigured,
    /// The client's TLS.
    PassedThrough,
}

/// Connects to a member, and relays a connection to its end. `early` came before.
///
/// # Errors
/// There is no member; the client is told nothing of it here, unless the pool says that it gets a reset.
pub(crate) async fn forward<S: ClientStream>(
    view: Rc<VirtualView>,
    connection: Rc<Connection>,
    mut client: S,
    early: Bytes,
    inner: Inner,
) -> Result<(), S> {
    let (flow, moved, started) = (connection.flow, Moved::default(), Instant::now());
    let mut watched = None;
    if inner == Inner::AsConfigured {
        watched = Watched::new(&view, &connection);
    }
    if let Some(watched) = &mut watched
        // Boxed, for other connections would have its size.
        && let Err(stopped) = Box::pin(watched.choose(&mut client)).await
    {
        let mut done = Done::new(Rc::clone(&connection), &view, None, started, &moved);
        match stopped {
            Stopped::Refused => {
                view.counters.refused.add(1);
                if let Some(done) = &mut done {
                    done.outcome = Outcome::Refused;
                }
                reset(client.socket());
            }
            Stopped::Gone(error) => tracing::debug!(client = %flow.client, %error, "the client is gone"),
        }
        return Ok(());
    }
    let route = watched.as_ref().and_then(|it| it.route.as_ref()).unwrap_or(&connection.route);
    let connected = connect(&view, &connection, route, inner, client.socket()).await;
    let member = connected.as_ref().ok().map(|it| it.member.address);
    let mut early = Early { to_server: early, ..Early::default() };
    let mut taps = Taps::default();
    if let (Some(mut watched), Some(member)) = (watched, member) {
        early.to_server = mem::take(&mut watched.early);
        taps = watched.taps(&view, &connection, member);
    }
    if inner == Inner::PassedThrough
        && session::of(&view).is_some()
        && let Some(pool) = connection.route.pool.as_ref().or(view.pool.as_ref())
        && let Some(member) = member
    {
        taps.to_client = Some(Box::new(Learn::new(&view, pool, member)));
    }
    let mut done = Done::new(connection, &view, member, started, &moved);
    let Connected { member, stream: mut server, active: _active, pool } = match connected {
        Ok(connected) => connected,
        Err(NoMember { resets }) => {
            view.counters.errors.add(1);
            if let Some(done) = &mut done {
                done.outcome = Outcome::Answered;
            }
            if resets {
                reset(client.socket());
                return Ok(());
            }
            return Err(client);
        }
    };
    let has_spoken = member.proxy_protocol.is_some() || server.bare().is_none();
    let speaks = !early.to_server.is_empty() || taps.to_server.is_none() && has_come(&client);
    if !has_spoken && !speaks {
        dial::acknowledge(server.socket());
    }
    if inner == Inner::PassedThrough {
        view.counters.passed_through.add(1);
    }
    let (idle, counters) = (view.virtual_.settings.timeouts.idle, view.counters.clone());
    // What is held here lives as long as the connection.
    drop(view);
    let relayed = relay_tapped(&mut client, &mut server, early, taps, idle, &member.counters, &moved);
    let end = relayed.await;
    if let Some(pool) = pool {
        observe(&pool, &member, &end, &moved);
    }
    let outcome = match end {
        End::Complete => Outcome::Complete,
        End::Refused => {
            reset(client.socket());
            reset(server.socket());
            counters.refused.add(1);
            Outcome::Refused
        }
        // A stream that was cut is not to look as if it had ended.
        cut @ (End::Idle | End::Broken(..)) => {
            tracing::debug!(client = %flow.client, member = %member.address, ?cut, "connection was cut");
            reset(client.socket());
            reset(server.socket());
            match cut {
                End::Broken(Side::Server, _) => Outcome::MemberFailed,
                End::Idle => {
                    counters.relays_idle.add(1);
                    Outcome::ClientGone
                }
                _ => Outcome::ClientGone,
            }
        }
    };
    // What a rule does at the end is no reason for the peers to wait for theirs.
    drop((client, server));
    counters.relay_milliseconds.add(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    if let Some(done) = &mut done {
        done.outcome = outcome;
    }
    Ok(())
}

/// Whether bytes of the client can be passed on at once, as far as is known.
fn has_come(client: &impl ClientStream) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    client.bare().is_some_and(|client| client.poll_read_ready(&mut cx).is_ready())
}

/// Counts what a connection came to, where the pool ejects members: one that the member resets before it said a word has
/// failed. Where the client leaves before that, or neither says anything, nothing is known of the member.
fn observe(pool: &PoolView, member: &MemberView, end: &End, moved: &Moved) {
    let has_spoken = moved.to_client.get() > 0;
    match end {
        End::Broken(Side::Server, _) if !has_spoken => eject::observe(pool, member, false),
        End::Complete => eject::observe(pool, member, true),
        _ if has_spoken => eject::observe(pool, member, true),
        End::Broken(..) | End::Idle | End::Refused => {}
    }
}
