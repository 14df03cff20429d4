//! A virtual on every port of its address, for every protocol, whose members have no port of their own: they answer from
//! any port and by any protocol, on a host whose kernel forwards for others at the same time.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};

use nix::errno::Errno;
use shunt_lab::{Family, Host, Mode, Place, Shape, Shunt};
use shunt_tests::packet::speaker::{self, Speaker, Talk};
use shunt_tests::packet::{PacketSite, topology};
use shunt_tests::program;
use shunt_tests::raw::PATIENCE;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::has_labs;

/// For experiments (RFC 3692 section 2.1): it has no ports.
const EXPERIMENT: i32 = 253;
/// Where members listen, and nothing that Shunt is told names it.
const PORT: u16 = 2222;
/// Where nobody listens.
const CLOSED: u16 = 4444;

const CONFIG: &str = r#"
[[virtual]]
name = "all-V"
listen = "LISTEN"
protocol = "packet"
transport = "all"
interfaces = ["service", "servers"]
mode = "nat"
pool = "all-V"

[[pool]]
name = "all-V"
members = [{ address = "MEMBER" }]
"#;

/// The first member is behind the virtual; the second one is nothing to Shunt, and reached through the host's kernel.
fn site() -> PacketSite {
    let topology = topology("every-port", Shape::TwoArm, &[Mode::Nat]);
    let forwarding = ["sysctl -w net.ipv4.ip_forward=1", "sysctl -w net.ipv6.conf.all.forwarding=1"];
    topology.shunt.all(&forwarding).unwrap();
    let virtuals = Family::BOTH.map(|family| {
        let (servers, shunt) = (Place::Servers.network(family), topology.shunt_address(family));
        topology.router.run(&format!("ip route add {servers} via {shunt}")).unwrap();
        let config = CONFIG.replace("V\"", &format!("{}\"", &family.option()[1..]));
        let config = config.replace("LISTEN", &topology.virtual_address(family, 0).to_string());
        config.replace("MEMBER", &topology.member_address(family, 0, 0).to_string())
    });
    let config = format!("[process]\nworkers = 2\n{}", virtuals.concat());
    let shunt = Shunt::start(&topology.shunt, &program::path(), &config).unwrap();
    PacketSite { shunt, topology }
}

/// A socket for [`EXPERIMENT`] between two addresses: what comes from another one it does not get (raw(7)).
fn raw(host: &Host, from: IpAddr, to: IpAddr) -> Socket {
    let [from, to] = [from, to].map(|address| SocketAddr::new(address, 0));
    let open = || -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(from), Type::RAW, Some(Protocol::from(EXPERIMENT)))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.bind(&SockAddr::from(from))?;
        socket.connect(&SockAddr::from(to))?;
        Ok(socket)
    };
    host.within(open).unwrap().unwrap()
}

/// What stands behind the IP header of the next packet.
fn receive(mut socket: &Socket, family: Family) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 256];
    let length = socket.read(&mut buffer)?;
    // The header comes with packets of IPv4 alone.
    let header = if family == Family::V4 { 20 } else { 0 };
    Ok(buffer[header..length].to_vec())
}

#[test]
fn members_answer_from_every_port_and_by_every_protocol() {
    if !has_labs() {
        return;
    }
    let site = site();
    let (client, [member, _]) = (&site.topology.client, &site.topology.members);
    for family in Family::BOTH {
        let from = site.topology.client_address(family, 0);
        let own = site.topology.member_address(family, 0, 0).ip();
        let to = site.topology.virtual_address(family, PORT);
        let _speaker = Speaker::start(&member.host, own, PORT);

        let (name, seen) = Talk::open(client, from, to).unwrap().say("who?").unwrap();
        assert_eq!((name.as_str(), seen.ip()), ("m1", from), "{family}: TCP");
        let (name, seen) = speaker::ask(&client.datagrams(from, to).unwrap(), "who?").unwrap();
        assert_eq!((name.as_str(), seen.ip()), ("m1", from), "{family}: UDP");
        assert_eq!(client.ping(from, to.ip(), 3, 56).unwrap(), 3, "{family}: ping");

        let (asks, answers) = (raw(client, from, to.ip()), raw(&member.host, own, from));
        asks.send(b"question").unwrap();
        assert_eq!(receive(&answers, family).unwrap(), b"question", "{family}");
        answers.send(b"answer").unwrap();
        assert_eq!(receive(&asks, family).unwrap(), b"answer", "{family}");
    }
    let flows = site.told(&["flow", "list"]);
    let of_experiments = flows["flows"].as_array().unwrap().iter().filter(|it| it["protocol"] == "253");
    assert_eq!(of_experiments.count(), 2, "one of each family: {flows:#}");
}

#[test]
fn errors_about_every_port_and_every_protocol_reach_clients() {
    if !has_labs() {
        return;
    }
    let site = site();
    let client = &site.topology.client;
    for family in Family::BOTH {
        let from = site.topology.client_address(family, 0);
        let to = site.topology.virtual_address(family, CLOSED);
        let error = speaker::ask(&client.datagrams(from, to).unwrap(), "who?").unwrap_err();
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::ConnectionRefused), "{family}: {error}");

        let asks = raw(client, from, to.ip());
        asks.send(b"question").unwrap();
        let error = receive(&asks, family).unwrap_err();
        // What Linux makes of "protocol unreachable" and of "unrecognized next header".
        let expected = if family == Family::V4 { Errno::ENOPROTOOPT } else { Errno::EPROTO };
        assert_eq!(error.raw_os_error(), Some(expected as i32), "{family}: {error}");
    }
}

/// What a host sends that is no member, and is sent, passes beside Shunt.
#[test]
fn the_kernel_goes_on_forwarding_for_others() {
    if !has_labs() {
        return;
    }
    let site = site();
    let (client, [_, other]) = (&site.topology.client, &site.topology.members);
    for family in Family::BOTH {
        let from = site.topology.client_address(family, 0);
        let own = site.topology.member_address(family, 1, PORT);
        let _speaker = Speaker::start(&other.host, own.ip(), PORT);
        let (name, seen) = Talk::open(client, from, own).unwrap().say("who?").unwrap();
        assert_eq!((name.as_str(), seen.ip()), ("m2", from), "{family}: in");
        let _listens = Speaker::start(client, from, PORT);
        let (name, seen) =
            Talk::open(&other.host, own.ip(), SocketAddr::new(from, PORT)).unwrap().say("who?").unwrap();
        assert_eq!((name.as_str(), seen.ip()), ("client", own.ip()), "{family}: out");
    }
}
