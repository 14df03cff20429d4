//! Where connections to a member come from.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};

use shunt_config::model::ConnectFrom;
use shunt_runtime::dial;
use shunt_sys::source;
use tokio::net::TcpStream;

/// The addresses that connections to one member come from.
pub(super) struct Source {
    /// Of the member's family.
    from: ConnectFrom,
    next: Cell<usize>,
}

/// What a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComesFrom {
    /// Nothing: the kernel chooses.
    Routed,
    /// An address of this host.
    Own(IpAddr),
    /// One that need be none of this host.
    Client(IpAddr),
}

/// Why no connection can come from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is an address of no interface.
    NotOwn,
    /// All ports toward the member are in use.
    NoPort,
    /// The member is of the other family.
    OtherFamily,
    /// The process may send from no client's address.
    NotPermitted,
}

impl Unusable {
    /// As its counter calls it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Unusable::NotOwn => "not-own",
            Unusable::NoPort => "no-port",
            Unusable::OtherFamily => "other-family",
            Unusable::NotPermitted => "not-permitted",
        }
    }

    /// What is wrong, and what to do.
    pub(super) fn told(self) -> &'static str {
        match self {
            Unusable::NotOwn => "no interface has this address: fix `source` of the pool",
            Unusable::NoPort => {
                "every port of this address toward the member is in use: add addresses to `source` of the pool, or widen \
                 net.ipv4.ip_local_port_range"
            }
            Unusable::OtherFamily => {
                "the client is of another address family than the member: give each family a pool of its own"
            }
            Unusable::NotPermitted => "Shunt may not send from a client's address: it lacks CAP_NET_RAW",
        }
    }
}

impl Source {
    pub(super) fn routed() -> Self {
        Source { from: ConnectFrom::Routed, next: Cell::new(0) }
    }

    /// As far as it is of the member's family.
    pub(super) fn of(from: &ConnectFrom, member: SocketAddr) -> Self {
        Source { from: of_family(from, member), next: Cell::new(0) }
    }

    pub(super) fn is(&self, from: &ConnectFrom, member: SocketAddr) -> bool {
        self.from == of_family(from, member)
    }

    /// The same, which goes on where this one is.
    pub(super) fn continued(&self) -> Self {
        Source { from: self.from.clone(), next: self.next.clone() }
    }

    /// Whether connections come from one client's address.
    pub(super) fn is_client(&self) -> bool {
        self.from == ConnectFrom::Client
    }

    /// A connection to the member. An address that cannot be used is told, and passed over where there are others.
    pub(super) async fn dial(
        &self,
        member: SocketAddr,
        client: Option<IpAddr>,
        tell: impl Fn(IpAddr, Unusable),
    ) -> io::Result<TcpStream> {
        match (&self.from, client) {
            (ConnectFrom::Routed, _) | (ConnectFrom::Client, None) => dial::connect(member).await,
            (ConnectFrom::Client, Some(client)) => dial_as(client, member, tell).await,
            (ConnectFrom::Addresses(addresses), _) => self.dial_in_turn(addresses, member, tell).await,
        }
    }

    /// What a socket is made of that is bound at once, without dialling. An address that cannot be used is told, and passed
    /// over where there are others.
    pub(super) fn bound<T>(
        &self,
        member: SocketAddr,
        client: IpAddr,
        make: impl Fn(ComesFrom) -> io::Result<T>,
        tell: impl Fn(IpAddr, Unusable),
    ) -> io::Result<T> {
        let addresses = match &self.from {
            ConnectFrom::Routed => return make(ComesFrom::Routed),
            ConnectFrom::Client => return make(ComesFrom::Client(as_client(client, member, tell)?)),
            ConnectFrom::Addresses(addresses) => addresses,
        };
        let mut failed = io::ErrorKind::AddrNotAvailable.into();
        for _ in addresses {
            let Some(from) = self.turn(addresses) else { break };
            match make(ComesFrom::Own(from)) {
                Err(error) => {
                    let Some(why) = unusable(&error) else { return Err(error) };
                    tell(from, why);
                    failed = error;
                }
                made => return made,
            }
        }
        Err(failed)
    }

    fn turn(&self, addresses: &[IpAddr]) -> Option<IpAddr> {
        let turn = self.next.get();
        self.next.set(turn.wrapping_add(1));
        addresses.get(turn.checked_rem(addresses.len())?).copied()
    }

    async fn dial_in_turn(
        &self,
        addresses: &[IpAddr],
        member: SocketAddr,
        tell: impl Fn(IpAddr, Unusable),
    ) -> io::Result<TcpStream> {
        let mut failed = io::ErrorKind::AddrNotAvailable.into();
        for _ in addresses {
            let Some(from) = self.turn(addresses) else { break };
            let (connected, unusable) = match source::bound(from) {
                Ok(socket) => (dial::connect_over(socket, member).await, Unusable::NoPort),
                Err(error) => (Err(error), Unusable::NotOwn),
            };
            match connected {
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    tell(from, unusable);
                    failed = error;
                }
                connected => return connected,
            }
        }
        Err(failed)
    }
}

/// What bind(2) and connect(2) say of an address where they are asked for a port as well (udp(7), `inet_autobind` of Linux).
fn unusable(error: &io::Error) -> Option<Unusable> {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => Some(Unusable::NotOwn),
        io::ErrorKind::AddrInUse | io::ErrorKind::WouldBlock => Some(Unusable::NoPort),
        _ => None,
    }
}

/// The client's address, where one of the member's family is.
fn as_client(client: IpAddr, member: SocketAddr, tell: impl Fn(IpAddr, Unusable)) -> io::Result<IpAddr> {
    let client = client.to_canonical();
    if client.is_ipv4() == member.is_ipv4() {
        return Ok(client);
    }
    tell(client, Unusable::OtherFamily);
    Err(io::ErrorKind::AddrNotAvailable.into())
}

async fn dial_as(
    client: IpAddr,
    member: SocketAddr,
    tell: impl Fn(IpAddr, Unusable),
) -> io::Result<TcpStream> {
    let client = as_client(client, member, &tell)?;
    let connected = match source::bound_as(client) {
        Ok(socket) => dial::connect_over(socket, member).await,
        Err(error) => Err(error),
    };
    connected.inspect_err(|error| match error.kind() {
        io::ErrorKind::AddrNotAvailable => tell(client, Unusable::NoPort),
        io::ErrorKind::PermissionDenied => tell(client, Unusable::NotPermitted),
        _ => {}
    })
}

fn of_family(from: &ConnectFrom, member: SocketAddr) -> ConnectFrom {
    match from {
        ConnectFrom::Addresses(all) => {
            let of_family = all.iter().copied().filter(|it| it.is_ipv4() == member.is_ipv4());
            ConnectFrom::Addresses(of_family.collect())
        }
        other => other.clone(),
    }
}
