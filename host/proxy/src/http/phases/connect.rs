//! Connect: from a pool to a connection that a request can be sent on.

use std::cell::Cell;
use std::rc::Rc;

use http::header;
use shunt_config::model::OnEmpty;
use shunt_config::monitors::Monitor;
use shunt_engine::member::{Active, Admin};
use shunt_rules::{ConnectCause, ConnectFailure, Hook, MemberFailure};
use shunt_wire::authority::split_port;
use tokio::time::Instant;

use crate::away::{Away, Next, REFUSED, WAITED};
use crate::deadline::Waiting;
use crate::eject;
use crate::http::body::RequestBody;
use crate::http::fields::asks_for_websocket;
use crate::http::member::{ConnectError, Lease, Upgrade, Want};
use crate::http::phases::rules::AfterFailure;
use crate::http::phases::{Stop, Transaction};
use crate::http::problem::Problem;
use crate::member::MemberView;
use crate::queue::{InQueue, NoTurn};
use crate::route::Route;
use crate::selected::{AfterSelection, MOST_VETOES};
use crate::trace::End;
use crate::view::{Limited, PoolView};

/// Why there is no connection.
#[derive(Clone, Copy)]
pub(super) struct Unconnected {
    cause: ConnectCause,
    /// Why there is no TLS on it.
    tls: Option<MemberFailure>,
}

impl From<ConnectCause> for Unconnected {
    fn from(cause: ConnectCause) -> Self {
        Unconnected { cause, tls: None }
    }
}

impl Transaction {
    /// Chooses members until one can be connected to.
    ///
    /// Without a pool the client's own destination is one, where the virtual is `transparent`.
    pub(super) async fn connect(&mut self) -> Result<(Option<Rc<PoolView>>, Lease), Stop> {
        let mut away = Away::new(self.view.when_down());
        let mut queue: Option<InQueue> = None;
        let asks = self.view.hooks.contains(Hook::OnSelected);
        // Where a rule has said where to choose, what is chosen there is taken.
        let mut is_settled = false;
        loop {
            let pool = self.pool().filter(|pool| !self.stream.connection.is_of_cache(&self.view, pool));
            let Some(pool) = pool else {
                match Box::pin(self.straight()).await? {
                    Some(lease) => return Ok((None, lease)),
                    // Rules know another pool.
                    None => continue,
                }
            };
            queue = queue.filter(|queue| queue.is_of(&pool));
            if queue.is_none() && self.is_first() && pool.is_waited_for() {
                queue = self.enter(&pool)?;
            }
            if let Some(queue) = &queue {
                // Boxed as what connecting takes.
                Box::pin(self.wait_in(queue)).await.map_err(|NoTurn| no_member(&pool))?;
            }
            let next = match self.vetoed.len() > MOST_VETOES {
                false => self.choose(&pool),
                true => Next::None,
            };
            if let Next::Away = next
                && let Some(until) = away.until()
            {
                self.stops_apart(|| {
                    End::Wait(format!("the member of pool {} that the client is bound to is down or disabled: the request waits for it", pool.name))
                })?;
                self.wait_for_bound(until).await;
                continue;
            }
            let Next::Member(member, why, reserved) = next else {
                let waits = matches!(next, Next::None) && self.is_first();
                if waits && queue.is_none() {
                    queue = self.enter(&pool)?;
                }
                if waits && queue.is_some() {
                    continue;
                }
                let failure = self.failure(None, ConnectCause::NoMember.into());
                match self.on_connect_failed(&failure)? {
                    AfterFailure::Elsewhere => {
                        self.vetoed.clear();
                        continue;
                    }
                    AfterFailure::AsConfigured | AfterFailure::SamePool => {}
                }
                if self.tried.is_empty()
                    && let Some(next) = pool.on_empty()
                {
                    self.route = Route::to_pool(next);
                    self.vetoed.clear();
                    continue;
                }
                if self.tried.is_empty() && pool.pool.settings.on_empty == OnEmpty::Route {
                    match Box::pin(self.straight()).await? {
                        Some(lease) => return Ok((None, lease)),
                        None => continue,
                    }
                }
                // Nothing is left of this pool; was there ever anything?
                if let Next::Away = next {
                    self.view.counters.persistence_down[REFUSED].add(1);
                    return Err(Problem::MemberAway { pool: pool.name.clone() }.into());
                }
                let problem = match self.tried.is_empty() {
                    true if pool.pool.settings.on_empty == OnEmpty::Reset => return Err(Stop::Reset),
                    true => no_member(&pool),
                    false => Problem::NotConnected,
                };
                return Err(problem.into());
            };
            if let Some(queue) = queue.take() {
                queue.served();
            }
            if asks && !is_settled {
                match self.on_selected(&pool, &member, why, reserved.is_some())? {
                    AfterSelection::Taken | AfterSelection::Refused => {}
                    AfterSelection::Vetoed => continue,
                    AfterSelection::Elsewhere(_) => {
                        is_settled = true;
                        continue;
                    }
                }
            }
            if let Some(percent) = pool.pool.settings.retry.budget
                && self.tried.is_empty()
            {
                pool.pool.state.retries.add(percent);
            }
            self.stops_apart(|| End::Send { pool: Some(Rc::clone(&pool)), member: Rc::clone(&member) })?;
            match self.lease(&pool, &member, reserved).await {
                Ok(lease) => {
                    if away.has_waited() {
                        self.view.counters.persistence_down[WAITED].add(1);
                    }
                    return Ok((Some(pool), lease));
                }
                Err(None) => return Err(no_member(&pool).into()),
                Err(Some(why)) => {
                    eject::observe(&pool, &member, false);
                    is_settled = false;
                    self.connect_failed(&member, why)?;
                }
            }
        }
    }

    /// Whether it has been to no member, and no rule has kept it from one: others come before it to the queue.
    fn is_first(&self) -> bool {
        self.tried.is_empty() && self.vetoed.is_empty()
    }

    /// A connection to where the client connected to; `None`: there is none, and rules send the request elsewhere.
    async fn straight(&mut self) -> Result<Option<Lease>, Stop> {
        let connection = Rc::clone(&self.stream.connection);
        let Some(destination) = connection.destination(&self.view) else {
            return Err(Problem::NoPool.into());
        };
        self.stops_apart(|| End::Send { pool: None, member: Rc::clone(destination) })?;
        let kept = Lease::reuse(destination, &self.want(destination, None));
        let leased = match kept {
            Some(lease) => Ok(lease),
            None => self.connect_new(destination, None).await,
        };
        match leased {
            Ok(lease) => {
                self.view.counters.straight.add(1);
                Ok(Some(lease))
            }
            Err(why) => {
                let failure = self.failure(Some(destination), why);
                match self.on_connect_failed(&failure)? {
                    AfterFailure::Elsewhere => Ok(None),
                    AfterFailure::AsConfigured | AfterFailure::SamePool => Err(Problem::NotConnected.into()),
                }
            }
        }
    }

    /// Waits for a while for the member that the client is bound to, until this moment at the latest.
    async fn wait_for_bound(&mut self, until: Instant) {
        let first_byte = self.view.virtual_.settings.timeouts.first_byte;
        // The member's time begins when the request can be sent.
        self.stream.deadline.wait_for(Waiting::FirstByte, until + first_byte);
        // Boxed, for every request would have its size around.
        Box::pin(Away::wait(until)).await;
        // It may take a connection now.
        self.tried.clear();
        self.wait_for_member();
    }

    /// A place in the queue of a pool, if it has a queue.
    fn enter(&self, pool: &Rc<PoolView>) -> Result<Option<InQueue>, Stop> {
        if let OnEmpty::Queue { most, timeout } = pool.pool.settings.on_empty {
            let ahead = pool.pool.state.queue.waiting();
            if self.trace.as_ref().is_some_and(|trace| trace.apart) && ahead >= most {
                return Err(no_member(pool).into());
            }
            self.stops_apart(|| {
                let name = &pool.name;
                End::Wait(format!(
                    "the request waits in the queue of pool {name} behind {ahead}, for {timeout:?} at most"
                ))
            })?;
        }
        InQueue::enter(pool).map_err(|NoTurn| no_member(pool).into())
    }

    /// Waits in a queue until there may be room for the request.
    async fn wait_in(&self, queue: &InQueue) -> Result<(), NoTurn> {
        // The member's time begins when the request can be sent.
        let first_byte = self.view.virtual_.settings.timeouts.first_byte;
        self.stream.deadline.wait_for(Waiting::FirstByte, queue.until + first_byte);
        let waited = queue.wait().await;
        self.wait_for_member();
        waited
    }

    /// What a failed connect comes to: rules are asked, and another member is to be chosen, unless enough were.
    pub(super) fn connect_failed(&mut self, member: &Rc<MemberView>, why: Unconnected) -> Result<(), Stop> {
        let pool = self.pool();
        self.tried.push(member.address);
        let failure = self.failure(Some(member), why);
        match (self.on_connect_failed(&failure)?, pool) {
            (AfterFailure::SamePool | AfterFailure::Elsewhere, _) => Ok(()),
            (AfterFailure::AsConfigured, None) => Err(Problem::NotConnected.into()),
            // A pool of dead members must not hold a client for the connect time-out of each.
            (AfterFailure::AsConfigured, Some(pool))
                if self.tried.len() >= pool.pool.settings.retry.attempts =>
            {
                Err(Problem::NotConnected.into())
            }
            (AfterFailure::AsConfigured, Some(pool))
                if self.has_another(&pool, member) && !self.may_retry(&pool) =>
            {
                Err(Problem::NotConnected.into())
            }
            (AfterFailure::AsConfigured, Some(_)) => Ok(()),
        }
    }

    /// A connection to the member; nothing for an error: the pool has as many that are being made as it may.
    async fn lease(
        &mut self,
        pool: &PoolView,
        member: &Rc<MemberView>,
        reserved: Option<Active>,
    ) -> Result<Lease, Option<Unconnected>> {
        let (kept, reserved) = {
            let want = self.want(member, reserved);
            (Lease::reuse(member, &want), want.reserved.take())
        };
        if let Some(lease) = kept {
            return Ok(lease);
        }
        let _connecting = pool.may_connect().map_err(|Limited| None::<Unconnected>)?;
        // Boxed, and with it all that connecting takes: it is rare, and every request would have its size around.
        Box::pin(self.connect_new(member, reserved)).await.map_err(Some)
    }

    pub(super) async fn connect_new(
        &mut self,
        member: &Rc<MemberView>,
        reserved: Option<Active>,
    ) -> Result<Lease, Unconnected> {
        let (within, first_byte) = {
            let timeouts = &self.view.virtual_.settings.timeouts;
            (timeouts.connect, timeouts.first_byte)
        };
        // The member's time begins when the request can be sent.
        let deadline = Rc::clone(&self.stream.deadline);
        deadline.wait_for(Waiting::FirstByte, Instant::now() + within + first_byte);
        let connected = Lease::connect(member, within, &self.want(member, reserved)).await;
        self.wait_for_member();
        match connected {
            Ok(lease) => {
                if lease.is_new() {
                    member.counters.connects.add(1);
                }
                Ok(lease)
            }
            Err(error) => {
                match error {
                    ConnectError::NoRoom => member.counters.http2_no_room.add(1),
                    ConnectError::NoWebSocket => member.counters.http2_no_websocket.add(1),
                    _ => member.counters.connects_failed.add(1),
                }
                let virtual_ = &self.view.virtual_.settings.name;
                match &error {
                    ConnectError::Tls(why) => member.tell_no_tls(virtual_, why),
                    ConnectError::NoHttp2 => member.tell_no_http_2(virtual_),
                    ConnectError::NoWebSocket => member.tell_no_websocket(virtual_),
                    error => tracing::debug!(member = %member.address, ?error, "connect failed"),
                }
                Err(match error {
                    ConnectError::Refused => ConnectCause::Refused.into(),
                    ConnectError::TimedOut | ConnectError::NoRoom => ConnectCause::TimedOut.into(),
                    ConnectError::Unreachable => ConnectCause::Unreachable.into(),
                    ConnectError::Tls(why) => {
                        Unconnected { cause: ConnectCause::Other, tls: Some(why.failure()) }
                    }
                    ConnectError::NoHttp2 | ConnectError::NoWebSocket | ConnectError::Other => {
                        ConnectCause::Other.into()
                    }
                })
            }
        }
    }

    fn want(&self, member: &MemberView, reserved: Option<Active>) -> Want<'_> {
        Want {
            reserved: Cell::new(reserved),
            began: self.started,
            repeatable: self.is_repeatable(),
            upgrade: self.upgrade_to(),
            host: self.host(member),
            of: &self.stream.connection,
        }
    }

    /// What a member has to be able to switch to. What comes with a body is no WebSocket.
    fn upgrade_to(&self) -> Upgrade {
        let bare = matches!(self.body, RequestBody::Empty) && self.replay.is_none();
        match self.upgrade {
            false => Upgrade::None,
            true if bare && asks_for_websocket(&self.exchange.request) => Upgrade::WebSocket,
            true => Upgrade::Other,
        }
    }

    /// The host of the request without its port, where the member is called as it.
    fn host(&self, member: &MemberView) -> Option<&str> {
        member.tls.as_ref().filter(|tls| tls.is_called_by_request())?;
        let host = self.exchange.request.headers.get(header::HOST)?;
        std::str::from_utf8(split_port(host.as_bytes()).0).ok()
    }

    fn failure(&self, member: Option<&Rc<MemberView>>, why: Unconnected) -> ConnectFailure {
        let Unconnected { cause, tls } = why;
        let attempts = u32::try_from(self.tried.len()).unwrap_or(u32::MAX);
        ConnectFailure { member: member.map(|it| it.address), cause, tls, attempts }
    }
}

/// What a request comes to that finds no member.
fn no_member(pool: &PoolView) -> Problem {
    let is_full = |member: &Rc<MemberView>| {
        member.state.is_up() && member.state.admin() == Admin::Enabled && !member.state.has_room()
    };
    let (name, full) = (pool.name.clone(), pool.is_connecting() || pool.members.iter().any(is_full));
    Problem::NoMember { pool: name, full, back_in: back_in(pool).filter(|_| !full) }
}

/// In how many seconds the monitors can find a member of the pool up at the earliest (RFC 9110 section 10.2.3). A member
/// that the operator took out does not come back by itself.
fn back_in(pool: &PoolView) -> Option<u64> {
    let settings = &pool.pool.settings;
    let mut times: Vec<_> = settings.monitors.iter().map(Monitor::time_to_up).collect();
    times.sort_unstable();
    let time = *times.get(settings.monitors_needed - 1)?;
    let comes_back =
        |member: &Rc<MemberView>| member.state.admin() == Admin::Enabled && !member.state.is_up();
    pool.members
        .iter()
        .any(comes_back)
        .then(|| time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX))
}
