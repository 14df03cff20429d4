//! Members by name: `app.internal:8080`, `_http._tcp.app.internal`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use shunt_engine::balance::groups::Priority;
use shunt_engine::names::{PlacedMember, Service};
use shunt_wire::dns::Name;

use super::model::{Member, Pool};
use super::report::{Cause, Refusal};
use super::suggest::quoted;
use super::text::{address, member_address};

/// A name that stands for members.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberName {
    /// A member at each of its addresses.
    Host { host: Name, port: u16 },
    /// A member for each server of its SRV records (RFC 2782).
    Service(Name),
}

impl MemberName {
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self, MemberName::Service(_))
    }

    /// What its members are called in TLS: for a service the domain that offers it, not what DNS answered (RFC 6125
    /// section 6.2.1).
    #[must_use]
    pub fn server_name(&self) -> String {
        match self {
            MemberName::Host { host, .. } => host.to_string(),
            MemberName::Service(name) => {
                let text = name.to_string();
                text.splitn(3, '.').nth(2).map(str::to_owned).unwrap_or(text)
            }
        }
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberName::Host { host, port } => write!(f, "{host}:{port}"),
            MemberName::Service(name) => write!(f, "{name}"),
        }
    }
}

/// The members that a name stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedMembers {
    pub name: MemberName,
    /// Its place among the pool's members, as they are written.
    pub(super) place: usize,
    like: Member,
}

impl NamedMembers {
    pub(super) fn new(name: MemberName, place: usize, like: Member) -> Self {
        NamedMembers { name, place, like }
    }

    /// What each of them is like but for its address.
    pub(super) fn like(&self) -> &Member {
        &self.like
    }

    fn member(&self, placed: &PlacedMember) -> Member {
        let (weight, priority) = match placed.service {
            // The lower the number of a record, the sooner its server; the higher that of a member.
            Some(Service { priority, weight }) => (weight, Priority::MAX - priority),
            None => (self.like.weight, self.like.priority),
        };
        Member { address: placed.address, weight, priority, ..self.like.clone() }
    }
}

impl Pool {
    /// The same pool with the members that its names stand for. An address that it has already is no second member.
    #[must_use]
    pub fn with_names<'a>(&self, known: impl Fn(&MemberName) -> &'a [PlacedMember]) -> Pool {
        let mut members: Vec<Member> = self.members.iter().filter(|it| it.name.is_none()).cloned().collect();
        for named in &self.names {
            for placed in known(&named.name) {
                if members.iter().all(|it| it.address != placed.address) {
                    members.push(named.member(placed));
                }
            }
        }
        Pool { members, ..self.clone() }
    }
}

/// Where members are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MemberAt {
    Address(SocketAddr),
    Name(Box<MemberName>),
}

impl fmt::Display for MemberAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberAt::Address(address) => write!(f, "{address}"),
            MemberAt::Name(name) => write!(f, "{name}"),
        }
    }
}

pub(super) fn member_at(text: &str) -> Result<MemberAt, Refusal> {
    let refused = |help: &str| {
        Refusal::new(Cause::BadValue, format!("{} is no address or name of members", quoted(text))).help(help)
    };
    if text.starts_with('_') {
        let help = "write service, protocol and domain of SRV records without a port, such as `_http._tcp.app.internal`";
        let mut labels = text.split('.');
        let [Some(_), Some(protocol), Some(_)] = [(); 3].map(|()| labels.next()) else {
            return Err(refused(help));
        };
        if !protocol.starts_with('_') {
            return Err(refused(help));
        }
        return Ok(MemberAt::Name(Box::new(MemberName::Service(name(text).ok_or_else(|| refused(help))?))));
    }
    let parts = text.rsplit_once(':').filter(|(host, _)| looks_like_a_name(host));
    match parts {
        Some((host, port)) => {
            let port = port.parse().ok().filter(|port| *port != 0);
            let port = port.ok_or_else(|| refused("write a port from 1 to 65535 behind the name"))?;
            let help = "write a DNS name and a port, such as `app.internal:8080`; other letters as `xn--…`";
            let host = name(host).ok_or_else(|| refused(help))?;
            Ok(MemberAt::Name(Box::new(MemberName::Host { host, port })))
        }
        None if looks_like_a_name(text) && !text.contains([':', '/']) => {
            Err(refused(&format!("add a port: `{text}:8080`")))
        }
        None => member_address(text).map(MemberAt::Address),
    }
}

/// Addresses have a number behind their last dot, and colons.
fn looks_like_a_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    !host.contains([':', '/', '[']) && last.bytes().any(|byte| !byte.is_ascii_digit()) && last != "*"
}

/// Letters, digits, `_`, and `-` within labels, as in names of TLS.
fn name(text: &str) -> Option<Name> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-');
    Name::parse(text).ok().filter(|_| text.split('.').all(is_label))
}

/// An address, and a port where it is not 53.
pub(super) fn dns_server(text: &str) -> Result<SocketAddr, Refusal> {
    let server = match text.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, 53),
        Err(_) => address(text)?,
    };
    if server.port() == 0 || server.ip().is_unspecified() || server.ip().is_multicast() {
        return Err(Refusal::new(
            Cause::BadValue,
            format!("{} is not the address of a server", quoted(text)),
        )
        .help("write the address that the server answers at, such as `10.0.0.53`"));
    }
    Ok(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart() {
        for text in [
            "10.0.0.1:80",
            "[2001:db8::1]:80",
            "app.internal:8080",
            "localhost:80",
            "_http._tcp.app.internal",
            "a_b:1",
        ] {
            assert_eq!(member_at(text).unwrap().to_string(), text);
        }
        assert_eq!(member_at("App.Internal.:80").unwrap().to_string(), "app.internal:80");
        for (text, help) in [
            ("app.internal", "add a port: `app.internal:8080`"),
            ("app.internal:0", "write a port from 1 to 65535 behind the name"),
            ("app.internal:http", "write a port from 1 to 65535 behind the name"),
            (
                "größe.internal:80",
                "write a DNS name and a port, such as `app.internal:8080`; other letters as `xn--…`",
            ),
            ("a..b:80", "write a DNS name and a port, such as `app.internal:8080`; other letters as `xn--…`"),
            (
                "_http.app",
                "write service, protocol and domain of SRV records without a port, such as `_http._tcp.app.internal`",
            ),
            (
                "_http._tcp.app:80",
                "write service, protocol and domain of SRV records without a port, such as `_http._tcp.app.internal`",
            ),
            ("10.0.0.256:80", "`10.0.0.256` is not an IPv4 address"),
            ("10.0.0.1", "add a port: `10.0.0.1:8080`"),
            ("*:80", "did you mean `0.0.0.0:80`, or `[::]:80` for IPv6?"),
            ("http://app.internal:80", "write address and port alone, such as `10.0.0.1:80`"),
        ] {
            assert_eq!(member_at(text).unwrap_err().help.as_deref(), Some(help), "{text}");
        }
    }

    #[test]
    fn servers_of_dns_have_port_53() {
        for (text, server) in [
            ("10.0.0.53", "10.0.0.53:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
        ] {
            assert_eq!(dns_server(text).unwrap().to_string(), server);
        }
        assert!(
            dns_server("0.0.0.0").is_err() && dns_server("10.0.0.1:0").is_err() && dns_server("ns1").is_err()
        );
    }

    #[test]
    fn a_name_becomes_members() {
        let name = |text: &str| match member_at(text).unwrap() {
            MemberAt::Name(name) => *name,
            MemberAt::Address(_) => panic!("a name"),
        };
        let like = |name: &MemberName| Member {
            address: "0.0.0.0:0".parse().unwrap(),
            weight: 7,
            priority: 0,
            max_connections: None,
            server_name: None,
            name: Some(name.clone()),
        };
        let (host, service) = (name("app.internal:80"), name("_http._tcp.app.internal"));
        assert_eq!(
            (host.server_name(), service.server_name()),
            ("app.internal".to_owned(), "app.internal".to_owned())
        );
        let fixed = Member { address: "10.0.0.1:80".parse().unwrap(), name: None, ..like(&host) };
        let config = crate::load(std::path::Path::new("tests/config/accept/minimal.toml")).unwrap();
        let pool = Pool {
            members: vec![fixed],
            names: vec![
                NamedMembers::new(host.clone(), 0, like(&host)),
                NamedMembers::new(service.clone(), 2, like(&service)),
            ],
            ..config.pools[0].clone()
        };
        let service_of = |weight| Some(Service { priority: 10, weight });
        let placed =
            |last: u8, service| PlacedMember { address: SocketAddr::from(([10, 0, 0, last], 80)), service };
        let (hosts, services) =
            ([placed(1, None), placed(2, None)], [placed(2, service_of(3)), placed(3, service_of(9))]);
        let known = |it: &MemberName| if *it == host { &hosts[..] } else { &services[..] };
        let members: Vec<_> = pool
            .with_names(known)
            .members
            .iter()
            .map(|it| (it.address.to_string(), it.weight, it.priority))
            .collect();
        let expected = [("10.0.0.1:80", 7, 0), ("10.0.0.2:80", 7, 0), ("10.0.0.3:80", 9, 65_525)];
        assert_eq!(
            members,
            expected.map(|(address, weight, priority)| (address.to_owned(), weight, priority))
        );
        // Once more, with what is known by then.
        let later = pool.with_names(known).with_names(|_| &[]);
        assert_eq!(later, pool);
    }
}
