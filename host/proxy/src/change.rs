//! Proxies in a change: listeners are opened and registered with every worker before any takes the snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shunt_config::model::ConnectFrom;
use shunt_sys::listen::ListenError;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::listener::SILENCE;
use crate::worker::{Command, Listening, Worker};
use shunt_config::model::Protocol;
use shunt_runtime::Snapshot;
use shunt_runtime::plane::{Next, Plane, Preparation, Prepared, Step};

/// Connections that the kernel holds for a listener until they are accepted.
const BACKLOG: u32 = 8192;

/// What holds an address may be a listener that is closing, of a change just before this one or of the Shunt before this
/// one: it takes no longer.
const CLOSING: Duration = Duration::from_millis(300);

/// A socket for datagrams that is closing waits for answers of members.
const DRAINING: Duration = SILENCE.saturating_add(CLOSING);

/// The plane of proxies.
pub struct ProxyPlane {
    workers: Vec<Worker>,
    /// When a change last took out a virtual of UDP.
    left: Option<Instant>,
}

/// A change that every worker is ready for.
struct Ready<'a> {
    workers: &'a [Worker],
    /// `None`: it was put in force.
    snapshot: Option<Arc<Snapshot>>,
}

impl ProxyPlane {
    pub fn new(workers: Vec<Worker>) -> Self {
        ProxyPlane { workers, left: None }
    }

    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    async fn ready<'a>(&'a mut self, next: Next<'a>) -> Preparation<'a> {
        if concerns(next) {
            may_be_transparent(next.snapshot)?;
            let bound = self.bound(next).await;
            let mut sockets =
                bound.map_err(|problems| problems.iter().map(NotBound::to_string).collect::<Vec<_>>())?;
            let stays = |place| places(next.snapshot).any(|(it, _)| it == place);
            if places(next.before).any(|(place, _)| place.takes == Takes::Datagrams && !stays(place)) {
                self.left = Some(Instant::now());
            }
            // From here on workers hold something, which is taken back when this is dropped.
            let ready = Ready { workers: &self.workers, snapshot: Some(Arc::clone(next.snapshot)) };
            let mut waits = Vec::new();
            let mut problems = Vec::new();
            for worker in &self.workers {
                let sockets =
                    sockets.iter_mut().filter_map(|(place, group)| Some((place.address, group.pop()?)));
                let (done, registered) = oneshot::channel();
                worker.send(Command::Prepare { sockets: sockets.collect(), done });
                waits.push(registered);
            }
            for registered in waits {
                match registered.await {
                    Ok(more) => problems.extend(more),
                    Err(_) => problems.push("a worker has ended; restart Shunt".to_owned()),
                }
            }
            return if problems.is_empty() { Ok(Some(Box::new(ready))) } else { Err(problems) };
        }
        Ok(None)
    }

    /// Opens the listeners that are new, once those that are closing leave them their addresses.
    async fn bound(&self, next: Next<'_>) -> Result<Opened, Vec<NotBound>> {
        let draining = self.left.is_some_and(|left| left.elapsed() < DRAINING);
        let until = Instant::now() + if draining { DRAINING } else { CLOSING };
        loop {
            match bind(next, self.workers.len()) {
                Err(problems) if problems.iter().any(NotBound::is_in_use) && Instant::now() < until => {
                    sleep(CLOSING).await;
                }
                bound => return bound,
            }
        }
    }
}

impl Plane for ProxyPlane {
    fn prepare<'a>(&'a mut self, next: Next<'a>) -> Step<'a, Preparation<'a>> {
        Box::pin(self.ready(next))
    }

    fn drain(&mut self) -> Step<'_, Vec<oneshot::Receiver<()>>> {
        let drain = |worker: &Worker| {
            let (done, drained) = oneshot::channel();
            worker.send(Command::Drain { done });
            drained
        };
        let waits = self.workers.iter().map(drain).collect();
        Box::pin(async { waits })
    }
}

impl Drop for ProxyPlane {
    fn drop(&mut self) {
        for worker in self.workers.drain(..) {
            worker.join();
        }
    }
}

impl Prepared for Ready<'_> {
    fn commit<'a>(mut self: Box<Self>) -> Step<'a, ()>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let Some(snapshot) = self.snapshot.take() else { return };
            let mut waits = Vec::new();
            for worker in self.workers {
                let (done, applied) = oneshot::channel();
                worker.send(Command::Apply { snapshot: Arc::clone(&snapshot), done });
                waits.push(applied);
            }
            for applied in waits {
                let _ = applied.await;
            }
        })
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        if self.snapshot.is_some() {
            self.workers.iter().for_each(|worker| {
                worker.send(Command::Discard);
            });
        }
    }
}

/// A virtual whose address cannot be listened on.
struct NotBound {
    virtual_: String,
    error: ListenError,
}

impl NotBound {
    fn is_in_use(&self) -> bool {
        self.error.source.kind() == io::ErrorKind::AddrInUse
    }
}

impl fmt::Display for NotBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "virtual {}: {}", self.virtual_, self.error)
    }
}

/// Does a change concern proxies?
fn concerns(next: Next<'_>) -> bool {
    let same = |before: &Snapshot, after: &Snapshot| {
        before.virtuals.len() == after.virtuals.len()
            && before.virtuals.iter().zip(&after.virtuals).all(|(old, new)| Arc::ptr_eq(old, new))
            && before.pools.len() == after.pools.len()
            && before.pools.iter().zip(&after.pools).all(|(old, new)| Arc::ptr_eq(old, new))
    };
    !same(next.before, next.snapshot)
}

/// What is listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    address: SocketAddr,
    takes: Takes,
}

/// What a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Takes {
    Connections,
    /// To any address, where they are redirected to it.
    AnyConnections,
    Datagrams,
}

/// New listeners, a socket for each worker.
type Opened = BTreeMap<Place, Vec<Listening>>;

fn places(snapshot: &Snapshot) -> impl Iterator<Item = (Place, &str)> {
    snapshot.virtuals.iter().map(|it| &it.settings).flat_map(|it| {
        let takes = match (it.protocol, it.transparent) {
            (Protocol::Udp, _) => Takes::Datagrams,
            (_, true) => Takes::AnyConnections,
            (_, false) => Takes::Connections,
        };
        it.listen.iter().map(move |address| (Place { address: *address, takes }, it.name.as_str()))
    })
}

/// Addresses that are none of this host's need a privilege, which would else be missed when the first client comes.
fn may_be_transparent(snapshot: &Snapshot) -> Result<(), Vec<String>> {
    let pools = snapshot.pools.iter().map(|it| &it.settings);
    let pools = pools.filter(|it| it.source == ConnectFrom::Client);
    let pools = pools.map(|it| format!("pool {}: connections cannot come from clients' addresses", it.name));
    let virtuals = snapshot.virtuals.iter().map(|it| &it.settings).filter(|it| it.transparent);
    let virtuals =
        virtuals.map(|it| format!("virtual {}: it cannot take connections to other addresses", it.name));
    let needs: Vec<String> = pools.chain(virtuals).collect();
    if needs.is_empty() {
        return Ok(());
    }
    let told = |error: &io::Error, what: String| {
        format!(
            "{what}: {error}; run Shunt as root, or with CAP_NET_RAW (systemd: AmbientCapabilities=CAP_NET_RAW), or remove \
             `source = \"client\"` and `transparent`"
        )
    };
    shunt_sys::source::may_be_transparent()
        .map_err(|error| needs.into_iter().map(|what| told(&error, what)).collect())
}

/// Opens the listeners that are new: one socket per worker.
fn bind(next: Next<'_>, count: usize) -> Result<Opened, Vec<NotBound>> {
    let held: Vec<Place> = places(next.before).map(|(place, _)| place).collect();
    let mut sockets = BTreeMap::new();
    let mut problems = Vec::new();
    for (place, name) in places(next.snapshot) {
        if held.contains(&place) {
            continue;
        }
        // An address that one of our own covers is not in use by someone else.
        let is_udp = |of: Place| of.takes == Takes::Datagrams;
        let ours = held.iter().any(|it| is_udp(*it) == is_udp(place) && share(it.address, place.address));
        match open(place, count, ours) {
            Ok(group) => drop(sockets.insert(place, group)),
            Err(error) => problems.push(NotBound { virtual_: name.to_owned(), error }),
        }
    }
    if problems.is_empty() { Ok(sockets) } else { Err(problems) }
}

/// Whether sockets on these addresses stand in each other's way, unless both say that they share (socket(7): `SO_REUSEPORT`).
fn share(one: SocketAddr, other: SocketAddr) -> bool {
    let every = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && (every || one.ip() == other.ip())
}

/// Opens the sockets of one place; `ours`: beside others of this process.
fn open(Place { address, takes }: Place, count: usize, ours: bool) -> Result<Vec<Listening>, ListenError> {
    use shunt_sys::listen::{tcp_group, tcp_join, udp_group, udp_join};
    if takes == Takes::Datagrams {
        return match ours {
            true => (0..count).map(|_| udp_join(address).map(Listening::Udp)).collect(),
            false => Ok(udp_group(address, count)?.into_iter().map(Listening::Udp).collect()),
        };
    }
    let sockets = match ours {
        true => (0..count).map(|_| tcp_join(address, BACKLOG)).collect::<Result<Vec<_>, _>>()?,
        false => tcp_group(address, count, BACKLOG)?,
    };
    if takes == Takes::AnyConnections {
        for socket in &sockets {
            shunt_sys::source::set_transparent(socket, address.ip()).map_err(|source| ListenError {
                address,
                source,
                holder: None,
            })?;
        }
    }
    Ok(sockets.into_iter().map(Listening::Tcp).collect())
}
