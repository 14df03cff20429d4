//! Looking names up: the questions that a name needs, the servers that are asked, and what came of it.
//!
//! | module | what |
//! |---|---|
//! | `ask` | one question to one server, over UDP and TCP |
//! | `system` | servers and hosts that this host is set up with |
//!
//! What the answers mean is [`shunt_engine::names`]; which members a pool has by them is in [`crate::control`].

mod ask;
mod system;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use shunt_engine::names::answer::{Answer, MOST_ALIASES, Unanswered};
use shunt_engine::names::{Endpoint, Found, Part};
use shunt_wire::dns::{Data, Kind, Name, Srv};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use ask::NoAnswer;
use shunt_config::model::{self, MemberName};

/// Questions at once: each has a socket.
const MOST_QUESTIONS: usize = 32;

/// Hosts of a service that are looked up; of more, the first by priority and name.
const MOST_HOSTS: usize = 128;

/// Questions to servers, of which each may take the whole time-out, until an answer counts as missing.
const MOST_WAITS: u32 = 6;

/// How long an entry of `/etc/hosts` is valid, in seconds.
const HOSTS_TTL: u32 = 10;

/// Who is asked.
#[derive(Debug)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    /// Addresses that no server is asked for.
    hosts: BTreeMap<Name, BTreeSet<IpAddr>>,
    timeout: Duration,
    questions: Semaphore,
}

/// What came of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookUp {
    pub found: Found,
    /// What was missing, if anything.
    pub error: Option<String>,
}

/// Why a question has no answer.
#[derive(Debug, Error)]
enum Failure {
    #[error("{server} {why}")]
    Server { server: SocketAddr, why: NoAnswer },
    #[error("the servers took too long")]
    Late,
    #[error("its aliases lead back, or are too many")]
    Loop,
    #[error("there is no server to ask")]
    NoServer,
}

/// Records and how long they are valid, in seconds.
type Records = (Vec<Data>, u32);

impl Resolver {
    /// Reads what the system has where the configuration names no servers.
    #[must_use]
    pub fn new(settings: &model::Resolver) -> Arc<Resolver> {
        let (servers, hosts) = match settings.servers.as_slice() {
            [] => (system::servers(), system::hosts()),
            servers => (servers.to_vec(), BTreeMap::new()),
        };
        let questions = Semaphore::new(MOST_QUESTIONS);
        Arc::new(Resolver { servers, hosts, timeout: settings.timeout, questions })
    }

    /// Asks all that a name needs.
    pub async fn look_up(self: Arc<Self>, name: &MemberName) -> LookUp {
        match name {
            MemberName::Host { host, port } => {
                let at = |_: &Name, ip| {
                    vec![Endpoint { address: SocketAddr::new(ip, *port), priority: 0, weight: None }]
                };
                self.hosts(BTreeSet::from([*host]), u32::MAX, at).await
            }
            MemberName::Service(service) => match self.follow(*service, Kind::Srv).await {
                Ok((data, ttl)) => {
                    let records = of_service(&data);
                    let hosts: BTreeSet<Name> = records.iter().map(|it| it.target).collect();
                    let at = |host: &Name, ip| {
                        let of_host = records.iter().filter(|it| it.target == *host);
                        let endpoint = |it: &Srv| {
                            let address = SocketAddr::new(ip, it.port);
                            Endpoint { address, priority: it.priority, weight: Some(it.weight) }
                        };
                        of_host.map(endpoint).collect()
                    };
                    self.hosts(hosts, ttl, at).await
                }
                Err(why) => LookUp { found: Found::Unanswered, error: Some(format!("{service}: {why}")) },
            },
        }
    }

    /// The addresses of some hosts, each made what `at` makes of it.
    async fn hosts(
        self: Arc<Self>,
        hosts: BTreeSet<Name>,
        mut ttl: u32,
        at: impl Fn(&Name, IpAddr) -> Vec<Endpoint>,
    ) -> LookUp {
        let mut asked = JoinSet::new();
        for (host, kind) in hosts.iter().flat_map(|host| [(*host, Kind::A), (*host, Kind::Aaaa)]) {
            let resolver = Arc::clone(&self);
            asked.spawn(async move { (host, kind, resolver.follow(host, kind).await) });
        }
        let (mut parts, mut errors) = (Vec::new(), BTreeMap::new());
        while let Some(done) = asked.join_next().await {
            // A task that panicked is a question without an answer, of which the hook for panics tells.
            let Ok((host, kind, answer)) = done else { continue };
            let endpoints = match answer {
                Ok((data, its)) => {
                    let addresses: Vec<IpAddr> = data.iter().filter_map(address).collect();
                    if !addresses.is_empty() {
                        ttl = ttl.min(its);
                    }
                    Some(addresses.into_iter().flat_map(|ip| at(&host, ip)).collect())
                }
                Err(why) => {
                    errors.insert((host, kind), why);
                    None
                }
            };
            parts.push(Part { host, kind, endpoints });
        }
        let error = match errors.first_key_value() {
            Some(((host, kind), why)) => Some(format!("{host} {}: {why}", kind.as_str())),
            None if parts.iter().all(|it| it.endpoints.as_ref().is_none_or(Vec::is_empty)) => {
                Some("DNS has no addresses for it".to_owned())
            }
            None => None,
        };
        LookUp { found: Found::Parts { parts, ttl }, error }
    }

    /// The records of a name, through its aliases.
    async fn follow(&self, name: Name, kind: Kind) -> Result<Records, Failure> {
        if let Some(addresses) = self.hosts.get(&name) {
            let data = |ip: &IpAddr| match (ip, kind) {
                (IpAddr::V4(v4), Kind::A) => Some(Data::A(*v4)),
                (IpAddr::V6(v6), Kind::Aaaa) => Some(Data::Aaaa(*v6)),
                _ => None,
            };
            return Ok((addresses.iter().filter_map(data).collect(), HOSTS_TTL));
        }
        let follow = async {
            let (mut owner, mut lowest) = (name, u32::MAX);
            for _ in 0..=MOST_ALIASES {
                match self.ask(&owner, kind).await? {
                    Answer::Found { data, ttl } => return Ok((data, lowest.min(ttl))),
                    Answer::Nothing => return Ok((Vec::new(), lowest)),
                    Answer::Alias { target, ttl } => (owner, lowest) = (*target, lowest.min(ttl)),
                }
            }
            Err(Failure::Loop)
        };
        tokio::time::timeout(self.timeout * MOST_WAITS, follow).await.unwrap_or(Err(Failure::Late))
    }

    /// Asks one server after the other, until one has an answer.
    async fn ask(&self, name: &Name, kind: Kind) -> Result<Answer, Failure> {
        // It is never closed.
        let _permit = self.questions.acquire().await;
        let mut last = Failure::NoServer;
        for &server in &self.servers {
            match ask::ask(server, name, kind, self.timeout).await {
                Ok(answer) => return Ok(answer),
                // Of what a zone says another server knows no more.
                Err(NoAnswer::Unanswered(Unanswered::Loop)) => return Err(Failure::Loop),
                Err(why) => last = Failure::Server { server, why },
            }
        }
        Err(last)
    }
}

fn address(data: &Data) -> Option<IpAddr> {
    match data {
        Data::A(v4) => Some((*v4).into()),
        Data::Aaaa(v6) => Some((*v6).into()),
        Data::Cname(_) | Data::Srv(_) | Data::Other => None,
    }
}

/// The records that name a host, of no more than [`MOST_HOSTS`] hosts.
fn of_service(data: &[Data]) -> Vec<Srv> {
    // RFC 2782: the root as the only target says that the service is decidedly not there.
    let mut records: Vec<Srv> = data
        .iter()
        .filter_map(|it| if let Data::Srv(srv) = it { Some(*srv) } else { None })
        .filter(|it| !it.target.is_root())
        .collect();
    records.sort_by_key(|it| (it.priority, it.target, it.port, it.weight));
    let mut hosts = BTreeSet::new();
    records.retain(|it| hosts.contains(&it.target) || (hosts.len() < MOST_HOSTS && hosts.insert(it.target)));
    records
}
