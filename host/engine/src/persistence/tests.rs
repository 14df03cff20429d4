//! Every way to be bound against a plain reference, with members that flap, come and go, and time that passes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use proptest::prelude::*;
use shunt_wire::Endpoint;

use super::{Key, PersistenceTable, Source, TagKeys, cookie, group_prefix, is_away, key_prefix};
use crate::balance::choose::{Ask, Bind, Why, choose};
use crate::balance::{Balance, Candidate, Ends, Members, Selector};

const TIMEOUT: u64 = 1_000;
const POOL: &str = "web";

/// Members by their ports, with whether they serve.
#[derive(Clone, Debug, Default)]
struct Pool(BTreeMap<u16, bool>);

fn member(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], port).into()
}

impl Pool {
    fn port(&self, place: usize) -> Option<u16> {
        self.0.keys().nth(place).copied()
    }

    fn serves(&self, port: u16) -> bool {
        self.0.get(&port) == Some(&true)
    }
}

impl Members for Pool {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn candidate(&self, place: usize) -> Candidate {
        Candidate { usable: self.serves_bound(place), weight: 1, ..Candidate::default() }
    }

    fn endpoint(&self, place: usize) -> Endpoint {
        self.port(place).map(|port| member(port).into()).unwrap_or_default()
    }

    fn serves_bound(&self, place: usize) -> bool {
        self.port(place).is_some_and(|port| self.serves(port))
    }

    fn place(&self, of: SocketAddr) -> Option<usize> {
        self.0.keys().position(|port| member(*port) == of)
    }
}

/// By what a client is known.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Address,
    Prefix,
    Port,
    Group,
    Rule,
    Session,
    Cookie,
}

const KINDS: [Kind; 7] =
    [Kind::Address, Kind::Prefix, Kind::Port, Kind::Group, Kind::Rule, Kind::Session, Kind::Cookie];

#[derive(Clone, Debug)]
enum Step {
    /// A client of a virtual asks.
    Ask {
        kind: usize,
        virtual_: bool,
        client: SocketAddr,
    },
    Flap(u16),
    /// A reload has these members.
    Reload(BTreeSet<u16>),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let client =
        (0u8..2, 0u8..3, 0u16..2).prop_map(|(net, last, port)| SocketAddr::from(([192, 0, net, last], port)));
    prop_oneof![
        8 => (0..KINDS.len(), any::<bool>(), client)
            .prop_map(|(kind, virtual_, client)| Step::Ask { kind, virtual_, client }),
        2 => (0u16..4).prop_map(Step::Flap),
        1 => proptest::collection::btree_set(0u16..4, 1..4).prop_map(Step::Reload),
        1 => (0..TIMEOUT * 3 / 2).prop_map(Step::Pass),
    ]
}

/// What runs: one table and one pool for all kinds.
struct Running {
    pool: Pool,
    now: u64,
    table: PersistenceTable<SocketAddr>,
    selector: Selector,
    keys: TagKeys,
    /// What each client has for a cookie.
    cookies: BTreeMap<String, String>,
}

/// Which member a client has, and when that was last of use: by what is to be the same for the same clients.
type Reference = BTreeMap<String, (u16, u64)>;

impl Running {
    /// What is the same for clients that are to have one member.
    fn name(kind: Kind, virtual_: bool, client: SocketAddr) -> String {
        let octets = client.ip().to_string();
        let net = octets.rsplit_once('.').map_or("", |(net, _)| net).to_owned();
        match kind {
            Kind::Group => format!("group {octets}"),
            Kind::Prefix => format!("{kind:?} {virtual_} {net}"),
            Kind::Port => format!("{kind:?} {virtual_} {client}"),
            _ => format!("{kind:?} {virtual_} {octets}"),
        }
    }

    fn key(&self, kind: Kind, virtual_: bool, client: SocketAddr) -> Option<Key> {
        // Each kind at a virtual of its own.
        let prefix = key_prefix(&format!("{kind:?} {virtual_}"));
        let timeout = Some(TIMEOUT);
        Some(match kind {
            Kind::Address => Source::ADDRESS.key(prefix, client, timeout),
            Kind::Prefix => Source { ipv4: 24, ..Source::ADDRESS }.key(prefix, client, timeout),
            Kind::Port => Source { port: true, ..Source::ADDRESS }.key(prefix, client, timeout),
            Kind::Group => Source::ADDRESS.key(group_prefix("g"), client, timeout),
            Kind::Rule => Key::of_rule(prefix, client.ip().to_string().as_bytes(), timeout),
            Kind::Session => {
                let digest = self.table.digest(client.ip().to_string().as_bytes());
                Key::of_session(prefix, digest, timeout)
            }
            Kind::Cookie => return None,
        })
    }

    /// The port of the member that the client gets, and whether its own was away.
    fn ask(&mut self, kind: Kind, virtual_: bool, client: SocketAddr) -> (Option<u16>, bool) {
        let name = Self::name(kind, virtual_, client);
        let key = self.key(kind, virtual_, client);
        let bound = match &key {
            Some(key) => self.table.find(key.bytes(), self.now),
            None => self.cookies.get(&name).and_then(|value| {
                // The client forgets it by itself.
                cookie::lapse(value.as_bytes()).filter(|lapse| *lapse > self.now)?;
                let tag = cookie::tags(value.as_bytes()).next()?;
                let mut members = self.pool.0.keys().map(|port| member(*port));
                members.find(|of| self.keys.tag(POOL, *of) == tag)
            }),
        };
        let binds = !matches!(kind, Kind::Session);
        let bind = key.as_ref().filter(|_| binds);
        let ask = Ask {
            named: None,
            bound: bound.and_then(|of| self.pool.place(of)),
            bind: bind.map(|key| Bind { bindings: &self.table, key, now: self.now }),
            ends: Ends::new(client.ip().into(), client.ip().into()),
            groups: None,
            is_mid_stream: false,
        };
        let away = is_away(&ask, &self.pool);
        let Ok(chosen) = choose(&ask, &self.pool, &mut self.selector) else { return (None, away) };
        let port = self.pool.port(chosen.place);
        let Some(at) = port else { return (None, away) };
        match (kind, &key) {
            // The answer sets the session anew where it is unknown to its member.
            (Kind::Session, Some(key)) if chosen.why == Why::Balanced => {
                self.table.bind(key.bytes(), member(at), key.timeout(), self.now, |_| false);
            }
            (Kind::Cookie, _) => {
                let tag = self.keys.tag(POOL, member(at));
                let lapse = Some(self.now + TIMEOUT);
                self.cookies.insert(name, cookie::value(std::iter::once(tag), lapse));
            }
            _ => {}
        }
        (port, away)
    }
}

proptest! {
    #[test]
    fn each_client_has_the_member_that_a_plain_reference_says(
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let all = (0..3).map(|port| (port, true)).collect();
        let mut running = Running {
            pool: Pool(all),
            now: 1,
            table: PersistenceTable::new(1_000, [1, 2]),
            selector: Selector::new(Balance::RoundRobin, 0),
            keys: TagKeys::secret(&[[7; 16]]).unwrap(),
            cookies: BTreeMap::new(),
        };
        let mut reference = Reference::new();
        for step in steps {
            match step {
                Step::Flap(port) => {
                    if let Some(serves) = running.pool.0.get_mut(&port) {
                        *serves = !*serves;
                    }
                }
                Step::Reload(ports) => {
                    let serves = |port: u16| running.pool.0.get(&port).copied().unwrap_or(true);
                    let next = ports.into_iter().map(|port| (port, serves(port))).collect();
                    running.pool = Pool(next);
                    let pool = running.pool.clone();
                    running.table.retain(|of| pool.0.contains_key(&of.port()));
                    // A cookie is with its client, whatever the members are.
                    reference.retain(|name, (port, _)| name.starts_with("Cookie") || pool.0.contains_key(port));
                }
                Step::Pass(time) => running.now += time,
                Step::Ask { kind, virtual_, client } => {
                    let kind = KINDS[kind];
                    let name = Running::name(kind, virtual_, client);
                    let now = running.now;
                    let bound = reference.get(&name).filter(|(_, used)| now < used + TIMEOUT).map(|it| it.0);
                    let bound = bound.filter(|port| running.pool.0.contains_key(port));
                    let (port, away) = running.ask(kind, virtual_, client);
                    let stays = bound.filter(|port| running.pool.serves(*port));
                    prop_assert_eq!(away, bound.is_some() && stays.is_none());
                    match (stays, port) {
                        (Some(stays), got) => prop_assert_eq!(got, Some(stays), "{}", name),
                        (None, Some(got)) => prop_assert!(running.pool.serves(got)),
                        (None, None) => prop_assert!(!running.pool.0.values().any(|serves| *serves)),
                    }
                    match (port, bound) {
                        (Some(port), _) => drop(reference.insert(name, (port, now))),
                        // It was looked up, which is a use; the client's cookie is not.
                        (None, Some(port)) if !matches!(kind, Kind::Cookie) => {
                            reference.insert(name, (port, now));
                        }
                        (None, _) => {}
                    }
                }
            }
        }
        prop_assert!(running.table.len() <= 1_000);
    }
}
