//! TLS between client and member: the connection goes to a member as it came.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use shunt_config::persistence::PersistBy;
use shunt_engine::balance::Ends;
use shunt_engine::balance::choose::{Ask, Bind};
use shunt_engine::persistence::Key;
use shunt_rules::{Flow, Outcome};
use shunt_runtime::{clock, dial};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::alert::Alert;
use super::hello::Hello;
use crate::connection::Connection;
use crate::done::Done;
use crate::listener::reset;
use crate::member::MemberView;
use crate::proxy_protocol;
use crate::relay::{Early, End, Moved, Side, relay};
use crate::route::Route;
use crate::view::{PoolView, VirtualView};

/// Members tried for one connection, as for one request.
const MOST_ATTEMPTS: usize = 3;

/// Connects to a member and relays the connection to its end.
pub(crate) async fn serve(
    view: Rc<VirtualView>,
    connection: Connection,
    mut client: TcpStream,
    hello: Hello,
) {
    let (flow, moved, started) = (connection.flow, Moved::default(), Instant::now());
    let connected = connect(&view, &flow, &connection.route).await;
    let member = connected.as_ref().map(|(member, _)| member.address);
    let mut done = Done::new(connection, &view, member, started, &moved);
    let Some((member, mut server)) = connected else {
        view.counters.errors.add(1);
        if let Some(done) = &mut done {
            done.outcome = Outcome::Answered;
        }
        return Alert::InternalError.send(client, view.virtual_.settings.timeouts.head).await;
    };
    view.counters.passed_through.add(1);
    let idle = view.virtual_.settings.timeouts.idle;
    // What is held here lives as long as the connection.
    drop(view);
    let _active = member.state.begin();
    let early = Early { to_server: hello.received.into(), ..Early::default() };
    let outcome = match relay(&mut client, &mut server, early, idle, &member.counters, &moved).await {
        End::Complete => Outcome::Complete,
        // A stream that was cut is not to look as if it had ended.
        cut @ (End::Idle | End::Broken(..)) => {
            tracing::debug!(client = %flow.client, member = %member.address, ?cut, "connection was cut");
            reset(&client);
            reset(&server);
            match cut {
                End::Broken(Side::Server, _) => Outcome::MemberFailed,
                _ => Outcome::ClientGone,
            }
        }
    };
    if let Some(done) = &mut done {
        done.outcome = outcome;
    }
}

/// A connection to a member of the pool that the flow goes to; `None`: there is no pool, or none of its members that
/// were tried could be connected to.
async fn connect(view: &VirtualView, flow: &Flow, route: &Route) -> Option<(Rc<MemberView>, TcpStream)> {
    let pool = route.pool.as_ref().or(view.pool.as_ref())?;
    let mut tried = Vec::new();
    while tried.len() < MOST_ATTEMPTS {
        let member = choose(view, pool, flow, route, &tried)?;
        let connecting = async {
            let mut stream = dial::connect(member.address).await?;
            if let Some(version) = member.proxy_protocol {
                // What TLS is like is between the client and the member.
                stream.write_all(&proxy_protocol::header(version, flow, false, None)).await?;
            }
            io::Result::Ok(stream)
        };
        match timeout(view.virtual_.settings.timeouts.connect, connecting).await {
            Ok(Ok(stream)) => {
                member.counters.connects.add(1);
                return Some((member, stream));
            }
            failed => {
                member.counters.connects_failed.add(1);
                tracing::debug!(member = %member.address, ?failed, "connect failed");
                tried.push(member.address);
            }
        }
    }
    None
}

/// The member that is next: by what a rule says of the client, else by its address where that is configured.
fn choose(
    view: &VirtualView,
    pool: &PoolView,
    flow: &Flow,
    route: &Route,
    tried: &[SocketAddr],
) -> Option<Rc<MemberView>> {
    let settings = view.virtual_.settings.persistence.as_ref();
    let configured = settings.and_then(|it| it.timeout).and_then(|it| u64::try_from(it.as_millis()).ok());
    let key = match (&route.persist, settings.map(|it| &it.by)) {
        (Some(key), _) => {
            let timeout = key.timeout.and_then(|it| u64::try_from(it.as_millis()).ok()).or(configured);
            Some(Key::of_rule(view.binding_prefix, &key.key, timeout))
        }
        (None, Some(PersistBy::Source(source))) => {
            Some(source.key(view.binding_prefix, flow.client, configured))
        }
        // Cookies are in requests.
        (None, Some(PersistBy::Cookie(_)) | None) => None,
    };
    let (bindings, now) = (&pool.pool.bindings, clock::monotonic_ms());
    let bound = key.as_ref().and_then(|key| bindings.find(key.bytes(), now));
    let ask = Ask {
        named: route.member.and_then(|address| pool.place(address)),
        bound: bound.and_then(|address| pool.place(address)),
        bind: key.as_ref().map(|key| Bind { bindings, key, now }),
        ends: Ends { client: flow.client.ip().into(), destination: flow.vip.ip().into(), url: 0 },
        groups: pool.ranked(),
        is_mid_stream: false,
    };
    pool.choose(tried, &ask).ok().map(|(_, member)| Rc::clone(member))
}
