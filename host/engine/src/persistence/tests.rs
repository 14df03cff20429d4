//! Every balance with every way to be bound against a plain reference, with members that flap, come and go, weights that
//! change, and time that passes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::{Key, PersistenceTable, Source, TagKeys, cookie, group_prefix, is_away, key_prefix};
use crate::balance::choose::{Ask, Bind, Why, choose};
use crate::balance::model::{Member, Numbered, Step as Change, World, change};
use crate::balance::{Balance, Ends, Members, Selector};
use crate::hash;

const TIMEOUT: u64 = 1_000;
const POOL: &str = "web";

/// By what a client is known.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Address,
    Prefix,
    Port,
    Group,
    Rule,
    Session,
    TlsSession,
    Cookie,
}

const KINDS: [Kind; 8] = [
    Kind::Address,
    Kind::Prefix,
    Kind::Port,
    Kind::Group,
    Kind::Rule,
    Kind::Session,
    Kind::TlsSession,
    Kind::Cookie,
];

#[derive(Clone, Debug)]
enum Step {
    /// A client of a virtual asks.
    Ask {
        kind: usize,
        virtual_: bool,
        client: SocketAddr,
    },
    /// Of the members, or of what is in flight there.
    Change(Change),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let client =
        (0u8..2, 0u8..3, 0u16..2).prop_map(|(net, last, port)| SocketAddr::from(([192, 0, net, last], port)));
    prop_oneof![
        8 => (0..KINDS.len(), any::<bool>(), client)
            .prop_map(|(kind, virtual_, client)| Step::Ask { kind, virtual_, client }),
        3 => change().prop_map(Step::Change),
        1 => (0..TIMEOUT * 3 / 2).prop_map(Step::Pass),
    ]
}

/// What runs: one table and one pool for all kinds.
struct Running {
    world: World,
    now: u64,
    table: PersistenceTable<SocketAddr>,
    keys: TagKeys,
    /// What each client has for a cookie.
    cookies: BTreeMap<String, String>,
    reference: Reference,
}

/// Which member a client has, by its number, and when that was last of use: by what is to be the same for the same clients.
#[derive(Default)]
struct Reference(BTreeMap<String, (u8, u64)>);

impl Reference {
    /// The member that a name is bound to, which is a use of it.
    fn find(&mut self, name: &str, now: u64) -> Option<u8> {
        let (member, used) = self.0.get_mut(name).filter(|(_, used)| now < *used + TIMEOUT)?;
        // A look at a cookie leaves it as it is.
        if !name.starts_with("Cookie") {
            *used = now;
        }
        Some(*member)
    }
}

/// What a client is known by.
struct Known {
    /// What is the same for clients that are to have one member.
    name: String,
    /// Of those with a binding in the table.
    key: Option<Key>,
    /// Which counts where nothing is bound by the first.
    second: Option<(String, Key)>,
}

impl Known {
    fn new(kind: Kind, virtual_: bool, client: SocketAddr, table: &PersistenceTable<SocketAddr>) -> Self {
        // Each kind at a virtual of its own.
        let of = format!("{kind:?} {virtual_}");
        let (prefix, timeout) = (key_prefix(&of), Some(TIMEOUT));
        let ip = client.ip().to_string();
        let session = |called: &str| Key::of_session(prefix, table.digest(called.as_bytes()), timeout);
        let mut second = None;
        let (name, key) = match kind {
            Kind::Address => (ip, Some(Source::ADDRESS.key(prefix, client, timeout))),
            Kind::Prefix => {
                let net = ip.rsplit_once('.').map_or("", |(net, _)| net).to_owned();
                (net, Some(Source { ipv4: 24, ..Source::ADDRESS }.key(prefix, client, timeout)))
            }
            Kind::Port => {
                let key = Source { port: true, ..Source::ADDRESS }.key(prefix, client, timeout);
                (client.to_string(), Some(key))
            }
            Kind::Group => {
                let key = Source::ADDRESS.key(group_prefix("g"), client, timeout);
                return Self { name: format!("group {ip}"), key: Some(key), second };
            }
            Kind::Rule => {
                let key = Key::of_rule(prefix, ip.as_bytes(), timeout);
                (ip, Some(key))
            }
            Kind::Session => {
                let key = session(&ip);
                (ip, Some(key))
            }
            Kind::TlsSession => {
                let by_source = Source::ADDRESS.key(prefix, client, timeout);
                second = Some((format!("{of} {ip}"), by_source));
                let called = client.to_string();
                let key = session(&called);
                (called, Some(key))
            }
            Kind::Cookie => (ip, None),
        };
        Self { name: format!("{of} {name}"), key, second }
    }
}

impl Running {
    fn new(balance: Balance) -> Self {
        Self {
            world: World::new(balance),
            now: 1,
            table: PersistenceTable::new(1_000, [1, 2]),
            keys: TagKeys::secret(&[[7; 16]]).unwrap(),
            cookies: BTreeMap::new(),
            reference: Reference::default(),
        }
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Pass(time) => self.now += time,
            Step::Change(change) => {
                self.world.run(change)?;
                let members: Vec<Member> = self.world.members.clone();
                self.table.retain(|of| members.iter().any(|it| it.address() == *of));
                // A cookie is with its client, whatever the members are.
                let is_there = |number: u8| members.iter().any(|it| it.number == number);
                self.reference.0.retain(|name, (number, _)| name.starts_with("Cookie") || is_there(*number));
            }
            Step::Ask { kind, virtual_, client } => self.ask(KINDS[*kind], *virtual_, *client)?,
        }
        Ok(())
    }

    /// Compares the member that a client gets with the one that the reference has.
    fn ask(&mut self, kind: Kind, virtual_: bool, client: SocketAddr) -> Result<(), TestCaseError> {
        let (known, now) = (Known::new(kind, virtual_, client, &self.table), self.now);
        let members = self.world.members.clone();
        let member = |number: u8| members.iter().find(|it| it.number == number);
        let serves = |number: &u8| member(*number).is_some_and(Member::serves_bound);
        let bound = self.reference.find(&known.name, now);
        let by_second = known.second.as_ref().filter(|_| bound.is_none());
        let bound = bound.or_else(|| self.reference.find(&by_second?.0, now));
        let bound = bound.filter(|number| member(*number).is_some());
        // Where the member of the session is down, that of the address is as good as any.
        let instead = known.second.as_ref().and_then(|(name, _)| self.reference.0.get(name));
        let instead = instead.filter(|(_, used)| now < used + TIMEOUT).map(|it| it.0).filter(serves);

        let (got, away, in_turn) = self.choose(kind, &known, client)?;
        prop_assert_eq!(away, bound.is_some_and(|it| !serves(&it)), "{}", known.name);
        match (bound.filter(serves), got) {
            (Some(stays), got) => prop_assert_eq!(got, Some(stays), "{}", known.name),
            (None, got @ Some(_)) => prop_assert!(instead.is_none() || got == instead, "{}", known.name),
            // That the balance had none to choose was checked with its choice.
            (None, None) => {}
        }
        if let Some(number) = got {
            self.reference.0.insert(known.name, (number, now));
            if let Some((name, _)) = known.second.filter(|_| in_turn) {
                self.reference.0.insert(name, (number, now));
            }
        }
        prop_assert!(self.table.len() <= 1_000);
        Ok(())
    }

    /// The number of the member that the client gets, whether its own was away, and whether the balance was asked.
    fn choose(
        &mut self,
        kind: Kind,
        known: &Known,
        client: SocketAddr,
    ) -> Result<(Option<u8>, bool, bool), TestCaseError> {
        let Self { world, table, keys, cookies, now, .. } = self;
        let (table, now) = (&*table, *now);
        let bound = match &known.key {
            Some(key) => table.find(key.bytes(), now),
            None => cookies.get(&known.name).and_then(|value| {
                // The client forgets it by itself.
                cookie::lapse(value.as_bytes()).filter(|lapse| *lapse > now)?;
                let tag = cookie::tags(value.as_bytes()).next()?;
                world.members.iter().map(Member::address).find(|of| keys.tag(POOL, *of) == tag)
            }),
        };
        let second = known.second.as_ref().map(|(_, key)| key);
        let bound = bound.or_else(|| table.find(second?.bytes(), now));
        let bind = match kind {
            Kind::TlsSession => second,
            // Answers bind them.
            Kind::Session | Kind::Cookie => None,
            _ => known.key.as_ref(),
        };
        let key = (!client.ip().to_string().ends_with('2')).then(|| hash::stable(known.name.as_bytes()));
        let ends = Ends { key, ..Ends::new(client.ip().into(), client.ip().into()) };
        let (mut away, mut why) = (false, None);
        let got = world.ask(ends, |selector: &mut Selector, members: &Numbered<'_>| {
            let ask = Ask {
                named: None,
                bound: bound.and_then(|of| members.place(of)),
                bind: bind.map(|key| Bind { bindings: table, key, now }),
                ends,
                groups: None,
                is_mid_stream: false,
            };
            away = is_away(&ask, members);
            let chosen = choose(&ask, members, selector).ok()?;
            why = Some(chosen.why);
            // One that the table had for it meanwhile is not the balance's choice.
            let by_table = known.second.is_some() && away;
            Some((chosen.place, chosen.why == Why::Balanced && !by_table))
        })?;
        let at =
            got.and_then(|number| world.members.iter().find(|it| it.number == number)).map(Member::address);
        if let Some(at) = at {
            match (kind, &known.key) {
                // The answer sets the session anew where it is unknown to its member.
                (Kind::Session, Some(key)) if why == Some(Why::Balanced) => {
                    table.bind(key.bytes(), at, key.timeout(), now, |_| false);
                }
                // A ServerHello always says the session.
                (Kind::TlsSession, Some(key)) => {
                    table.bind(key.bytes(), at, key.timeout(), now, |_| false);
                }
                (Kind::Cookie, _) => {
                    let lapse = Some(now + TIMEOUT);
                    cookies.insert(
                        known.name.clone(),
                        cookie::value(std::iter::once(keys.tag(POOL, at)), lapse),
                    );
                }
                _ => {}
            }
        }
        Ok((got, away, why == Some(Why::Balanced)))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn each_client_has_the_member_that_a_plain_reference_says(
        steps in proptest::collection::vec(step(), 1..100),
    ) {
        for (_, balance) in Balance::ALL {
            let mut running = Running::new(*balance);
            steps.iter().try_for_each(|step| running.run(step))?;
        }
    }
}
