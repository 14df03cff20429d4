//! `on-data`: what rules see of the bytes of a connection, before they go on.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::slice;
use std::task::Poll;

use bytes::Bytes;
use shunt_rules::{Data, DataVerdict, Direction, Fault, Hook, Part, Rest};
use shunt_runtime::clock;
use shunt_runtime::rules::chain::{Chain, Decision};
use tokio::time::{Instant, sleep_until};

use super::connect::key_of;
use crate::connection::Connection;
use crate::relay::{Tap, Tapped, Taps, Wire, poll_see};
use crate::route::Route;
use crate::view::{PoolView, RuleView, VirtualView};

/// How often a rule is called about parts of what came, before other connections have their turn.
const MOST_CALLS: usize = 16;

/// What the rules of a connection see.
pub(super) struct Watched {
    to_server: Option<Box<Watch>>,
    to_client: Option<Box<Watch>>,
    /// Where the client's first bytes say that the connection goes; `None`: they say nothing.
    pub(super) route: Option<Route>,
    /// What goes to the member first.
    pub(super) early: Bytes,
}

/// Why a connection goes to no member.
pub(super) enum Stopped {
    Refused,
    /// The client is gone.
    Gone(io::Error),
}

impl Watched {
    /// `None`: no rule sees any of them.
    pub(super) fn new(view: &Rc<VirtualView>, connection: &Rc<Connection>) -> Option<Self> {
        if !view.hooks.contains(Hook::OnData) {
            return None;
        }
        let watch = |direction| {
            let reads = view.rules.iter().any(|rule| rule.attachment.reads_data(direction));
            reads.then(|| Box::new(Watch::new(direction, Rc::clone(view), Rc::clone(connection))))
        };
        let (to_server, to_client) = (watch(Direction::ToServer), watch(Direction::ToClient));
        Some(Watched { to_server, to_client, route: None, early: Bytes::new() })
    }

    /// Where the first bytes of the client choose the member: reads them, until the rules have decided.
    pub(super) async fn choose(&mut self, client: &mut impl Wire) -> Result<(), Stopped> {
        let Some(watch) = &mut self.to_server else { return Ok(()) };
        if !watch.view.rules.iter().any(|rule| rule.attachment.chooses_by_data()) {
            return Ok(());
        }
        watch.route = Some(watch.connection.route.clone());
        let until = *watch.until.insert(Instant::now() + watch.view.virtual_.settings.timeouts.data);
        let mut late = pin!(sleep_until(until));
        loop {
            let tapped = poll_fn(|cx| {
                if let Poll::Ready(seen) = poll_see(client, watch.room(), cx, |piece| watch.first(piece)) {
                    return Poll::Ready(seen.map_err(Stopped::Gone));
                }
                late.as_mut().poll(cx).map(|()| Ok(watch.late()))
            });
            match tapped.await? {
                Tapped::Refuse => return Err(Stopped::Refused),
                // Asked for more, and said nothing yet.
                Tapped::Pass(bytes) if bytes.is_empty() && watch.route.is_some() => continue,
                Tapped::Pass(bytes) => self.early = bytes,
                Tapped::Release(bytes) => {
                    self.early = bytes;
                    self.route = watch.chosen.take().or_else(|| watch.route.take());
                    self.to_server = None;
                    return Ok(());
                }
            }
            self.route = watch.chosen.take();
            return Ok(());
        }
    }

    /// The connection has its member.
    pub(super) fn taps(self, view: &VirtualView, connection: &Connection, member: SocketAddr) -> Taps {
        let route = self.route.as_ref().unwrap_or(&connection.route);
        let pool = route.pool.as_ref().or(view.pool.as_ref());
        let tap = |watch: Option<Box<Watch>>| {
            let mut watch = watch?;
            watch.member = pool.map(|pool| (Rc::clone(pool), member));
            Some(watch as Box<dyn Tap>)
        };
        Taps { to_server: tap(self.to_server), to_client: tap(self.to_client) }
    }
}

/// One direction, and the rules that see it.
struct Watch {
    direction: Direction,
    view: Rc<VirtualView>,
    connection: Rc<Connection>,
    /// The rules before it have left the direction to the others.
    at: usize,
    /// Received, and not passed on.
    held: Vec<u8>,
    /// How many were received before.
    offset: u64,
    /// With how many the rule is called.
    awaited: usize,
    until: Option<Instant>,
    /// What was known of the side when the rules were called last.
    rest: Rest,
    /// They are to be called again, with what is left of what they were shown.
    more: bool,
    /// Set for as long as it can be said where the connection goes.
    route: Option<Route>,
    /// The same, when that was said.
    chosen: Option<Route>,
    /// Set as soon as there is one.
    member: Option<(Rc<PoolView>, SocketAddr)>,
}

impl Watch {
    fn new(direction: Direction, view: Rc<VirtualView>, connection: Rc<Connection>) -> Self {
        Watch {
            direction,
            view,
            connection,
            at: 0,
            held: Vec::new(),
            offset: 0,
            awaited: 1,
            until: None,
            rest: Rest::Open,
            more: false,
            route: None,
            chosen: None,
            member: None,
        }
    }

    fn most(&self) -> usize {
        self.view.virtual_.settings.limits.data
    }

    /// Bytes of a client that has no member yet: the end is shown as well where nothing came before it.
    fn first(&mut self, piece: &[u8]) -> Tapped {
        if piece.is_empty() { self.ask(Rest::Ended) } else { self.came(piece) }
    }

    /// Calls the rules with what is held, until one of them waits for more or decides.
    fn ask(&mut self, rest: Rest) -> Tapped {
        let before = self.held.len();
        let (mut gone, mut calls) = (Vec::new(), 0);
        (self.rest, self.more) = (rest, false);
        let tapped = loop {
            let view = Rc::clone(&self.view);
            let mut left = view.rules.iter().enumerate().skip(self.at);
            let rule = left.find(|(_, rule)| rule.attachment.reads_data(self.direction));
            let Some((at, rule)) = rule else { break self.release(gone) };
            self.at = at;
            let rest = if rest == Rest::Open && self.held.len() >= self.most() { Rest::Full } else { rest };
            if rest == Rest::Full {
                view.counters.data_full.add(1);
            }
            let decision = Chain::new(Hook::OnData, slice::from_ref(rule)).ask(|rule| self.show(rule, rest));
            match decision {
                Some(Decision::Refuse) | Some(Decision::Verdict(DataVerdict::Reject)) => {
                    break Tapped::Refuse;
                }
                Some(Decision::Pool(pool)) if self.route.is_some() => {
                    self.route = Some(Route::to_pool(Rc::clone(pool)));
                    break self.release(gone);
                }
                // The connection has its member: no pool helps it any more.
                None | Some(Decision::Pool(_)) | Some(Decision::Verdict(DataVerdict::Next)) => {
                    (self.at, self.awaited) = (at + 1, 1);
                }
                Some(Decision::Verdict(DataVerdict::To(target))) => {
                    // One of a pool that stands in for this one is bound to nobody.
                    if let (Some(key), Some((pool, member))) = (&target.persist, &self.member)
                        && pool.place(*member).is_some()
                    {
                        let (key, now) = (key_of(&view, key), clock::monotonic_ms());
                        pool.pool.bindings.bind(key.bytes(), *member, key.timeout(), now, |_| false);
                    }
                    break self.release(gone);
                }
                Some(Decision::Verdict(DataVerdict::Replace(bytes))) => {
                    self.held.clear();
                    gone.extend_from_slice(&bytes);
                    break self.release(gone);
                }
                Some(Decision::Verdict(DataVerdict::Need(more))) => {
                    self.awaited = self.held.len() + more;
                    let within = view.virtual_.settings.timeouts.data;
                    self.until.get_or_insert_with(|| Instant::now() + within);
                    break Tapped::Pass(gone.into());
                }
                Some(Decision::Verdict(DataVerdict::Pass(Part { length, replacement }))) => {
                    gone.extend_from_slice(replacement.as_deref().unwrap_or(&self.held[..length]));
                    self.held.drain(..length);
                    self.offset += length as u64;
                    (self.awaited, self.until) = (1, None);
                    // It goes where it would have gone.
                    if let Some(route) = self.route.take() {
                        self.chosen = Some(route);
                    }
                    calls += 1;
                    if self.held.is_empty() {
                        break Tapped::Pass(gone.into());
                    }
                    if calls == MOST_CALLS || gone.len() >= self.most() {
                        self.more = true;
                        break Tapped::Pass(gone.into());
                    }
                }
            }
        };
        self.count(before);
        tapped
    }

    /// Calls a rule with what is held; `None`: it said `next`.
    fn show(&mut self, rule: &Rc<RuleView>, rest: Rest) -> Result<Option<DataVerdict>, Fault> {
        let (most, connected) = (self.most(), self.route.is_none());
        let (connection, view, direction) = (&self.connection, &self.view, self.direction);
        let data = Data { direction, bytes: &self.held, offset: self.offset, rest, most, connected };
        let flow = &connection.flow;
        let route = &mut self.route;
        connection.with_runner(rule, |runner| {
            let verdict = connection.with_vars(|vars| runner.on_data(flow, &data, vars))?;
            if let (DataVerdict::To(target), Some(route)) = (&verdict, route) {
                let redirected = route.redirect(rule, target.clone(), view.pool.as_ref());
                redirected.map_err(|why| runner.refuse_verdict(Hook::OnData, why))?;
            }
            Ok(Some(verdict).filter(|verdict| *verdict != DataVerdict::Next))
        })
    }

    /// What is held goes on behind what has gone already, and no rule sees more.
    fn release(&mut self, mut gone: Vec<u8>) -> Tapped {
        self.until = None;
        if gone.is_empty() {
            return Tapped::Release(mem::take(&mut self.held).into());
        }
        gone.append(&mut self.held);
        Tapped::Release(gone.into())
    }

    /// Counts what is held, where that was so much before.
    fn count(&self, before: usize) {
        let (held, counter) = (self.held.len(), &self.view.counters.data_held);
        if held > before {
            counter.add((held - before) as u64);
        } else if before > held {
            counter.subtract((before - held) as u64);
        }
    }
}

impl Tap for Watch {
    fn room(&self) -> usize {
        self.most().saturating_sub(self.held.len()).max(1)
    }

    fn came(&mut self, piece: &[u8]) -> Tapped {
        let before = self.held.len();
        self.held.extend_from_slice(piece);
        self.count(before);
        match piece {
            [] if self.held.is_empty() => Tapped::Release(Bytes::new()),
            [] => self.ask(Rest::Ended),
            _ if self.held.len() < self.awaited => Tapped::Pass(Bytes::new()),
            _ => self.ask(Rest::Open),
        }
    }

    fn again(&mut self) -> Option<Tapped> {
        self.more.then(|| self.ask(self.rest))
    }

    fn until(&self) -> Option<Instant> {
        self.until
    }

    fn late(&mut self) -> Tapped {
        self.view.counters.data_late.add(1);
        self.until = None;
        self.ask(Rest::Late)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let held = mem::take(&mut self.held).len();
        if held > 0 {
            self.view.counters.data_held.subtract(held as u64);
        }
    }
}
