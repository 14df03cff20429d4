//! Which virtual a client connects to, and from where.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use shunt_config::model::Protocol;
use shunt_runtime::{Snapshot, Virtual};

use super::{Query, Unasked};

/// A connection of the client.
#[derive(Clone, Copy)]
pub(super) struct Arriving<'a> {
    pub(super) virtual_: &'a Arc<Virtual>,
    pub(super) client: SocketAddr,
    pub(super) vip: SocketAddr,
    pub(super) vip_is_assumed: bool,
}

/// A port from which nobody else asks: of the dynamic ones (RFC 6335 section 6).
const PORT: u16 = 50_000;

/// Clients of whom nothing is said (RFC 5737 section 3, RFC 3849 section 4).
const CLIENT_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const CLIENT_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// # Errors
/// No virtual listens there, several may, or the one that does serves no requests.
pub(super) fn find<'a>(snapshot: &'a Snapshot, query: &Query) -> Result<Arriving<'a>, Unasked> {
    let port = query.authority.port_u16().unwrap_or(if query.https { 443 } else { 80 });
    let host = query.authority.host().trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let named = query.to.or(host.ok().map(|host| SocketAddr::new(host, port)));
    let (virtual_, vip) = match named {
        Some(vip) => (at(snapshot, vip)?, vip),
        None => on_port(snapshot, port)?,
    };
    serves(virtual_, query)?;
    let client = query.from.unwrap_or_else(|| {
        let address = match vip.ip() {
            own if own.is_loopback() => own,
            IpAddr::V4(_) => CLIENT_V4,
            IpAddr::V6(_) => CLIENT_V6,
        };
        SocketAddr::new(address, PORT)
    });
    if client.is_ipv4() != vip.is_ipv4() {
        return Err(Unasked::NotARequest(format!("{client} and {vip} are of different IP families")));
    }
    Ok(Arriving { virtual_, client, vip, vip_is_assumed: named.is_none() })
}

/// The virtual that takes connections to an address: the one that listens there, else one that listens on every address,
/// else the only one to which connections to any address are redirected.
fn at(snapshot: &Snapshot, vip: SocketAddr) -> Result<&Arc<Virtual>, Unasked> {
    let any = match vip.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let on = |address: SocketAddr| {
        let mut streams = snapshot.virtuals.iter().filter(|it| it.settings.protocol != Protocol::Udp);
        streams.find(|it| it.settings.listen.contains(&address))
    };
    let redirected = || {
        let takes_any =
            |it: &&Arc<Virtual>| it.settings.transparent && it.settings.protocol == Protocol::Http;
        let mut all = snapshot.virtuals.iter().filter(takes_any);
        all.next().filter(|_| all.next().is_none())
    };
    let found = on(vip).or_else(|| on(SocketAddr::new(any, vip.port()))).or_else(redirected);
    found.ok_or_else(|| none(snapshot, &format!("no proxy virtual listens on {vip}")))
}

/// The virtual that listens on a port, and on which address.
fn on_port(snapshot: &Snapshot, port: u16) -> Result<(&Arc<Virtual>, SocketAddr), Unasked> {
    let all = snapshot.virtuals.iter().filter(|it| it.settings.protocol != Protocol::Udp);
    let places = all.flat_map(|it| it.settings.listen.iter().map(move |address| (it, *address)));
    let mut places: Vec<_> = places.filter(|(_, address)| address.port() == port).collect();
    let Some((virtual_, address)) = places.first().copied() else {
        return Err(none(snapshot, &format!("no proxy virtual listens on port {port}")));
    };
    places.retain(|(it, _)| !Arc::ptr_eq(it, virtual_));
    if let Some((other, at)) = places.first() {
        let (one, other) = (&virtual_.settings.name, &other.settings.name);
        return Err(Unasked::NoVirtual {
            message: format!("{one} listens on {address}, and {other} on {at}"),
            help: "say by `--to ADDRESS:PORT` where the client connects to".to_owned(),
        });
    }
    let ip = match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        own => own,
    };
    Ok((virtual_, SocketAddr::new(ip, port)))
}

/// Whether a virtual serves such requests.
fn serves(virtual_: &Virtual, query: &Query) -> Result<(), Unasked> {
    let settings = &virtual_.settings;
    let refuse = |message: String, help: &str| {
        Err(Unasked::NoVirtual {
            message: format!("virtual {} {message}", settings.name),
            help: help.to_owned(),
        })
    };
    match (virtual_.tls.is_some(), query.https) {
        _ if settings.protocol != Protocol::Http => refuse(
            format!("relays {}, and reads no requests", settings.protocol.as_str()),
            "name a virtual of protocol http",
        ),
        _ if settings.pass_through => refuse(
            "passes TLS through, and reads no requests".to_owned(),
            "name a virtual that terminates TLS",
        ),
        (true, false) => refuse("speaks TLS".to_owned(), "write https:// in place of http://"),
        (false, true) => refuse("speaks no TLS".to_owned(), "write http:// in place of https://"),
        _ => Ok(()),
    }
}

fn none(snapshot: &Snapshot, message: &str) -> Unasked {
    let all = snapshot.virtuals.iter().filter(|it| it.settings.protocol == Protocol::Http);
    let all: Vec<String> = all
        .map(|it| {
            let on: Vec<String> = it.settings.listen.iter().map(ToString::to_string).collect();
            format!("{} on {}", it.settings.name, on.join(" and "))
        })
        .collect();
    let help = match all.is_empty() {
        true => "the configuration has no virtual of protocol http".to_owned(),
        false => format!("those that serve requests: {}", all.join(", ")),
    };
    Unasked::NoVirtual { message: message.to_owned(), help }
}
