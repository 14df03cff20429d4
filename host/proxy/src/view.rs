//! The snapshot as one worker sees it: the same names, with what only this worker touches beside them
//! (turns, kept connections, warm rule instances). Kept from snapshot to snapshot by identity.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use shunt_config::model::{Limits, Persistence, ProxyVersion, WhenDown};
use shunt_engine::at_once::Taken;
use shunt_engine::balance::choose::{self, Ask, Chosen, NotChosen};
use shunt_engine::balance::groups::{InUse, Priority, Ranked};
use shunt_engine::balance::{Candidate, Ends, Members, Selector, Time};
use shunt_engine::member::Active;
use shunt_engine::persistence::{MemberTag, TagKeys};
use shunt_rules::{Attachment, Hook, HookSet};
use shunt_wire::Endpoint;

use crate::member::MemberView;
use shunt_runtime::clock;
use shunt_runtime::counters::{Shard, VirtualCounters};
use shunt_runtime::rules::attached::AttachedRule;
use shunt_runtime::{Pool, Snapshot, Virtual};

pub(crate) struct PoolView {
    pub(crate) pool: Arc<Pool>,
    pub(crate) name: Arc<str>,
    selector: RefCell<Selector>,
    /// The time that its balance compares members by.
    time: Option<Time>,
    asks_the_time: bool,
    pub(crate) members: Vec<Rc<MemberView>>,
    places: HashMap<SocketAddr, usize>,
    /// Where requests go that find no member here.
    on_empty: RefCell<Option<Rc<PoolView>>>,
    /// What cookies call the members, by the keys of virtuals; made when it is asked for.
    tags: RefCell<Vec<(Weak<TagKeys>, Rc<Tags>)>>,
}

/// What a cookie calls each of the members, with the member's place; sorted.
type Tags = [(MemberTag, usize)];

pub(crate) struct VirtualView {
    pub(crate) virtual_: Arc<Virtual>,
    pub(crate) counters: Arc<Shard<VirtualCounters>>,
    pub(crate) pool: Option<Rc<PoolView>>,
    pub(crate) rules: Vec<Rc<RuleView>>,
    /// Every hook that any of its rules exports.
    pub(crate) hooks: HookSet,
    /// Rules or persistence look at the fields of members' answers.
    pub(crate) reads_answers: bool,
    /// Keeps the bindings of two virtuals that share a pool apart, unless they are of one group.
    pub(crate) binding_prefix: [u8; 8],
}

/// There are as many connections as may be.
pub(crate) struct Limited;

/// A rule as one worker has it. Its slots stand for pools.
pub(crate) type RuleView = AttachedRule<Rc<PoolView>>;

impl VirtualView {
    /// The pools that requests can go to, some of them more than once.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Rc<PoolView>> {
        let by_rules = self.rules.iter().flat_map(|rule| rule.slots().chain(rule.fallback()));
        self.pool.iter().chain(by_rules)
    }

    /// What becomes of clients whose member does not serve them.
    pub(crate) fn when_down(&self) -> WhenDown {
        self.virtual_.settings.persistence.as_ref().map_or(WhenDown::Reselect, |it| it.when_down)
    }

    /// A place for one more connection or session, of which a worker's listener has so many open; `None` in it: there is no
    /// limit for all workers.
    ///
    /// # Errors
    /// There are as many as may be.
    pub(crate) fn admit(&self, open: usize) -> Result<Option<Taken>, Limited> {
        match self.virtual_.settings.limits.connections {
            Some(most) => self.virtual_.load.connections.take(most).map(Some).ok_or(Limited),
            None if open < Limits::PER_WORKER => Ok(None),
            None => Err(Limited),
        }
    }

    /// Whether members may be told of a client's TLS by the PROXY protocol.
    pub(crate) fn tells_of_tls(&self) -> bool {
        let tells = |pool: &Rc<PoolView>| pool.pool.settings.proxy_protocol == Some(ProxyVersion::V2);
        self.pools()
            .any(|pool| std::iter::successors(Some(Rc::clone(pool)), |it| it.on_empty()).any(|it| tells(&it)))
    }
}

/// Everything that one worker sees.
#[derive(Default)]
pub(crate) struct Views {
    worker: usize,
    pools: HashMap<String, Rc<PoolView>>,
    virtuals: HashMap<String, Rc<VirtualView>>,
}

impl Views {
    pub(crate) fn new(worker: usize) -> Self {
        Views { worker, ..Views::default() }
    }

    pub(crate) fn virtual_named(&self, name: &str) -> Option<&Rc<VirtualView>> {
        self.virtuals.get(name)
    }

    /// Takes over a snapshot. Requests in flight keep the views that they began with.
    pub(crate) fn apply(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.pools);
        for pool in &snapshot.pools {
            let name = &pool.settings.name;
            let view = PoolView::next(before.remove(name), pool, self.worker);
            self.pools.insert(name.clone(), view);
        }
        for view in self.pools.values() {
            let next = view.pool.settings.on_empty.pool().and_then(|name| self.pools.get(name));
            view.on_empty.replace(next.cloned());
        }
        for gone in before.values() {
            gone.members.iter().for_each(|member| member.close_idle());
        }

        let before = std::mem::take(&mut self.virtuals);
        for virtual_ in &snapshot.virtuals {
            let name = &virtual_.settings.name;
            let view = self.virtual_view(virtual_, before.get(name).map(|view| &**view));
            self.virtuals.insert(name.clone(), Rc::new(view));
        }
    }

    /// Closes connections to members that no one used for a while.
    pub(crate) fn sweep(&self) {
        for pool in self.pools.values() {
            pool.members.iter().for_each(|member| member.sweep());
        }
    }

    fn virtual_view(&self, virtual_: &Arc<Virtual>, before: Option<&VirtualView>) -> VirtualView {
        let rules: Vec<_> = virtual_.rules.iter().map(|it| self.rule_view(it, before)).collect();
        let hooks = rules.iter().fold(HookSet::EMPTY, |all, rule| all.union(rule.attachment.hooks()));
        let name = &virtual_.settings.name;
        let persistence = virtual_.settings.persistence.as_ref();
        let by_answers = persistence.is_some_and(|it| it.by.reads_answers());
        VirtualView {
            reads_answers: hooks.contains(Hook::OnResponse) || by_answers,
            counters: virtual_.counters.shard(self.worker),
            pool: virtual_.settings.pool.as_ref().and_then(|name| self.pools.get(name)).cloned(),
            binding_prefix: Persistence::prefix(persistence, name),
            virtual_: Arc::clone(virtual_),
            rules,
            hooks,
        }
    }

    fn rule_view(&self, attachment: &Arc<Attachment>, before: Option<&VirtualView>) -> Rc<RuleView> {
        let pool = |name: &str| self.pools.get(name).cloned();
        let mut rules = before.into_iter().flat_map(|view| &view.rules);
        let same = rules.find(|rule| Arc::ptr_eq(&rule.attachment, attachment));
        let is = |name: &str, old: Option<&Rc<PoolView>>| match (self.pools.get(name), old) {
            (Some(new), Some(old)) => Rc::ptr_eq(new, old),
            (None, None) => true,
            _ => false,
        };
        if let Some(rule) = same
            && attachment
                .slots()
                .iter()
                .zip(0..)
                .all(|(binding, number)| is(&binding.pool, rule.slot(number)))
            && attachment.on_fault().pool().is_none_or(|name| is(name, rule.fallback()))
        {
            return Rc::clone(rule);
        }
        Rc::new(RuleView::new(attachment, same.map(|rule| &**rule), pool, pool))
    }
}

impl PoolView {
    /// The view of a pool, built on the one before it.
    fn next(before: Option<Rc<PoolView>>, pool: &Arc<Pool>, worker: usize) -> Rc<PoolView> {
        if let Some(view) = &before
            && Arc::ptr_eq(&view.pool, pool)
        {
            return Rc::clone(view);
        }
        let (balance, protocol) = (pool.settings.balance, pool.settings.protocol);
        let proxy_protocol = pool.settings.proxy_protocol;
        let place = |address| before.as_ref().and_then(|view| view.place(address));
        let old = |address| before.as_ref().and_then(|view| view.members.get(place(address)?));
        let members = pool
            .members
            .iter()
            .map(|member| {
                let (address, weight) = (member.settings.address, member.settings.weight);
                let tls = pool.tls.as_ref().and_then(|tls| tls.member(address));
                let begins_alike = |old: &&Rc<MemberView>| {
                    old.protocol == protocol
                        && old.comes_from(&pool.settings.source)
                        && old.proxy_protocol == proxy_protocol
                        && old.tls.as_ref().map(Arc::as_ptr) == tls.map(Arc::as_ptr)
                };
                match old(address).filter(begins_alike) {
                    Some(old) if old.weight == weight => Rc::clone(old),
                    Some(old) => Rc::new(old.with_weight(weight)),
                    None => {
                        // What begins in another way serves no more.
                        old(address).inspect(|old| old.close_idle());
                        let (state, counters) = (Arc::clone(&member.state), member.counters.shard(worker));
                        let tls = tls.cloned();
                        let view =
                            MemberView::new(address, weight, protocol, proxy_protocol, tls, state, counters);
                        Rc::new(view.with_source(&pool.settings.source))
                    }
                }
            })
            .collect::<Vec<_>>();
        let places: HashMap<_, _> = members.iter().map(|member| member.address).zip(0..).collect();
        let before_members = before.iter().flat_map(|view| &view.members);
        for gone in before_members.filter(|member| !places.contains_key(&member.address)) {
            gone.close_idle();
        }
        members.iter().for_each(|member| member.kept.keep_for(pool.settings.keep_alive));
        let time = balance.time();
        members.iter().for_each(|member| member.times_answers.set(time == Some(Time::Answer)));
        let workers = pool.members.first().map_or(1, |member| member.counters.shards().count());
        let slow_start = pool.settings.slow_start.map(|it| it.share(worker, workers));
        let selector = match &before {
            Some(view) => {
                let before = |at: usize| place(members.get(at)?.address);
                view.selector.borrow().next(balance, worker, members.len(), before)
            }
            None => Selector::new(balance, worker),
        }
        .starting(slow_start);
        Rc::new(PoolView {
            tags: RefCell::default(),
            places,
            name: pool.settings.name.as_str().into(),
            pool: Arc::clone(pool),
            time,
            asks_the_time: selector.asks_the_time(),
            selector: RefCell::new(selector),
            on_empty: RefCell::default(),
            members,
        })
    }

    /// The member that a request goes to which has `tried` some; where connections are limited, with the request's
    /// place there.
    pub(crate) fn choose(
        &self,
        tried: &[SocketAddr],
        ask: &Ask<'_>,
    ) -> Result<(Chosen, &Rc<MemberView>, Option<Active>), NotChosen> {
        let untried = Untried { now: ask.ends.now, ..self.untried(tried) };
        loop {
            let chosen = choose::choose(ask, &untried, &mut self.selector.borrow_mut())?;
            let member = self.members.get(chosen.place).ok_or(NotChosen::NoMember)?;
            if !member.state.is_limited() {
                return Ok((chosen, member, None));
            }
            // Where another worker was quicker, the member is at its limit by now.
            if let Some(active) = member.state.try_begin() {
                return Ok((chosen, member, Some(active)));
            }
        }
    }

    /// A place among the connections to members that are being made, where they have a limit.
    ///
    /// # Errors
    /// There are as many as may be.
    pub(crate) fn may_connect(&self) -> Result<Option<Taken>, Limited> {
        let Some(most) = self.pool.settings.max_connecting else { return Ok(None) };
        self.pool.state.connecting.take(most).map(Some).ok_or(Limited)
    }

    /// Whether there are as many.
    pub(crate) fn is_connecting(&self) -> bool {
        self.pool.settings.max_connecting.is_some_and(|most| self.pool.state.connecting.taken() >= most)
    }

    /// The pool for requests that find no member here.
    pub(crate) fn on_empty(&self) -> Option<Rc<PoolView>> {
        self.on_empty.borrow().clone()
    }

    /// Whether a request that has `tried` some can go to another member than this one.
    pub(crate) fn has_another(&self, tried: &[SocketAddr], than: SocketAddr) -> bool {
        let in_use = self.in_use(tried);
        if in_use.is_none() && self.pool.groups.are_ranked() {
            return false;
        }
        let mut others = self.members.iter().filter(|it| it.address != than && !tried.contains(&it.address));
        others.any(|it| it.state.ineligible_among(it.weight, in_use).is_none())
    }

    /// Which priority groups would be in use for it; `None`: it has one group alone, or no member is usable.
    pub(crate) fn in_use(&self, tried: &[SocketAddr]) -> Option<InUse> {
        Ranked { only_explains: true, ..self.ranked()? }.settle(&self.untried(tried))
    }

    /// Whether a hash leads to the member, and no turn or load.
    pub(crate) fn hashes(&self, ends: &Ends) -> bool {
        self.selector.borrow().hashes(ends)
    }

    /// Its priority groups, where it has more than one.
    pub(crate) fn ranked(&self) -> Option<Ranked<'_>> {
        let groups = &self.pool.groups;
        groups.are_ranked().then(|| Ranked {
            groups,
            policy: self.pool.settings.groups,
            now: clock::monotonic_ms(),
            only_explains: false,
        })
    }

    /// Its members as a request finds them that has `tried` some.
    pub(crate) fn untried<'a>(&'a self, tried: &'a [SocketAddr]) -> Untried<'a> {
        Untried { pool: self, tried, now: 0 }
    }

    /// The time of a choice in milliseconds, where the pool's asks for it; else 0.
    pub(crate) fn now(&self) -> u64 {
        if self.asks_the_time { clock::monotonic_ms() } else { 0 }
    }

    /// The place of the member that a cookie calls so.
    pub(crate) fn tagged(&self, keys: &Arc<TagKeys>, tag: &MemberTag) -> Option<usize> {
        let tags = self.tags(keys);
        let place = tags.binary_search_by_key(tag, |(known, _)| *known).ok()?;
        tags.get(place).map(|(_, place)| *place)
    }

    fn tags(&self, keys: &Arc<TagKeys>) -> Rc<Tags> {
        let mut all = self.tags.borrow_mut();
        if let Some((_, tags)) = all.iter().find(|(known, _)| Weak::as_ptr(known) == Arc::as_ptr(keys)) {
            return Rc::clone(tags);
        }
        // No virtual has them any more.
        all.retain(|(known, _)| known.strong_count() > 0);
        let tags = |(place, member): (usize, &Rc<MemberView>)| {
            keys.tags(&self.name, member.address).map(move |tag| (tag, place)).collect::<Vec<_>>()
        };
        let mut tags: Vec<_> = self.members.iter().enumerate().flat_map(tags).collect();
        tags.sort_unstable();
        let tags = Rc::from(tags);
        all.push((Arc::downgrade(keys), Rc::clone(&tags)));
        tags
    }

    pub(crate) fn place(&self, address: SocketAddr) -> Option<usize> {
        self.places.get(&address).copied()
    }
}

/// The members of a pool, of which some were tried and did not serve.
pub(crate) struct Untried<'a> {
    pool: &'a PoolView,
    tried: &'a [SocketAddr],
    /// As [`PoolView::now`].
    now: u64,
}

impl Untried<'_> {
    fn is_tried(&self, member: &MemberView) -> bool {
        self.tried.contains(&member.address)
    }
}

impl Members for Untried<'_> {
    fn count(&self) -> usize {
        self.pool.members.len()
    }

    fn candidate(&self, place: usize) -> Candidate {
        self.pool.members.get(place).map_or_else(Candidate::default, |member| Candidate {
            usable: member.state.usable_for_new() && !self.is_tried(member),
            weight: member.state.weight(member.weight),
            active: member.state.active(),
            time: match self.pool.time {
                None => 0,
                Some(Time::Answer) => member.state.response_time().at(self.now),
                Some(Time::Probe) => member.state.probe_time(),
            },
            came: self.pool.pool.settings.slow_start.map_or(0, |_| member.state.came()),
        })
    }

    fn endpoint(&self, place: usize) -> Endpoint {
        self.pool.members.get(place).map(|member| member.address.into()).unwrap_or_default()
    }

    fn serves_bound(&self, place: usize) -> bool {
        let member = self.pool.members.get(place);
        member.is_some_and(|member| member.state.usable_for_persistent() && !self.is_tried(member))
    }

    fn place(&self, member: SocketAddr) -> Option<usize> {
        self.pool.place(member)
    }

    fn priority(&self, place: usize) -> Priority {
        self.pool.members.get(place).map_or(0, |member| member.state.priority())
    }

    /// Also one that this request has tried: groups are for all.
    fn is_available(&self, place: usize) -> bool {
        let member = self.pool.members.get(place);
        member.is_some_and(|member| member.state.usable_for_new() && member.state.weight(member.weight) > 0)
    }
}
