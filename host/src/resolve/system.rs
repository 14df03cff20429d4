//! What this host is set up with: `/etc/resolv.conf` (resolv.conf(5)) and `/etc/hosts` (hosts(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use shunt_wire::dns::Name;

/// The port of DNS (RFC 1035 section 4.2).
const PORT: u16 = 53;

/// Servers that are asked of those that are written; the system itself asks three.
const MOST_SERVERS: usize = 3;

/// In their order; the local one where none is written, as the system has it.
pub(super) fn servers() -> Vec<SocketAddr> {
    servers_in(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}

/// The addresses of names, where the file has any.
pub(super) fn hosts() -> BTreeMap<Name, BTreeSet<IpAddr>> {
    hosts_in(&fs::read_to_string("/etc/hosts").unwrap_or_default())
}

fn servers_in(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        // A scope, as of `fe80::1%eth0`, is a name that only the system can read.
        Some(SocketAddr::new(words.next()?.parse().ok()?, PORT))
    };
    let servers: Vec<SocketAddr> = text.lines().filter_map(server).take(MOST_SERVERS).collect();
    if servers.is_empty() { vec![(Ipv4Addr::LOCALHOST, PORT).into()] } else { servers }
}

fn hosts_in(text: &str) -> BTreeMap<Name, BTreeSet<IpAddr>> {
    let mut hosts: BTreeMap<Name, BTreeSet<IpAddr>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        for name in words.filter_map(|word| Name::parse(word).ok()) {
            hosts.entry(name).or_default().insert(address);
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf() {
        let text = "# made by hand\nsearch example.test\nnameserver 10.0.0.53\n nameserver\t2001:db8::53 # second\nnameserver x\n";
        assert_eq!(servers_in(text), ["10.0.0.53:53", "[2001:db8::53]:53"].map(|it| it.parse().unwrap()));
        assert_eq!(servers_in("nameserver 1.1.1.1\n".repeat(9).as_str()).len(), 3);
        assert_eq!(servers_in(""), ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn etc_hosts() {
        let hosts = hosts_in(
            "127.0.0.1 localhost\n::1\tlocalhost ip6-loopback # both\n# 10.0.0.1 off\n10.0.0.2 App.internal app\nx y\n",
        );
        let of = |name: &str| {
            hosts
                .get(&Name::parse(name).unwrap())
                .map(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(of("localhost").unwrap(), ["127.0.0.1", "::1"]);
        assert_eq!(of("app.internal").unwrap(), ["10.0.0.2"]);
        assert_eq!((of("off"), of("y")), (None, None));
    }
}
