//! Virtuals that take connections to any address, which a router sends to Shunt and a firewall redirects.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use shunt_lab::{Family, Host, Segment, Shape, Shunt, Topology};
use shunt_tests::daemon::until;
use shunt_tests::origin::ok;
use shunt_tests::packet::speaker::{Speaker, Talk};
use shunt_tests::raw::Conversation;
use shunt_tests::{program, site};

/// What clients ask for: HTTP with caches, and something else.
const WEB: u16 = 80;
const OTHER: u16 = 7;
const CACHES: &str = "balance = \"url-hash\"\non-empty = \"route\"\n\
     monitor = { tcp = true, interval = \"100ms\", rise = 1, fall = 1 }";
/// Where virtuals listen.
const LISTEN: [u16; 2] = [8080, 8007];
const ORIGINS: u8 = 8;

/// Behind the router, beside the network of the service.
fn origin(family: Family, number: u8) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([10, 51, 0, number]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 0x51, 0, 0, 0, 0, u16::from(number)]),
    }
}

/// A server of HTTP that says its name, whom it sees and where that connected to.
struct Web {
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Web {
    fn start(host: &Host) -> Web {
        let bound = host.within(|| TcpListener::bind(SocketAddr::from(([0_u16; 8], WEB)))).unwrap();
        let (listener, name) = (bound.unwrap(), host.name().to_owned());
        listener.set_nonblocking(true).unwrap();
        let stopping = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&stopping);
        let accepting = std::thread::spawn(move || {
            while !ends.load(SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => drop(std::thread::spawn({
                        let name = name.clone();
                        move || Web::serve(stream, &name)
                    })),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Web { stopping, accepting: Some(accepting) }
    }

    fn serve(stream: TcpStream, name: &str) {
        stream.set_nonblocking(false).unwrap();
        let ends = [stream.peer_addr(), stream.local_addr()].map(|it| it.unwrap().ip().to_canonical());
        let mut conversation = Conversation::new(stream);
        while conversation.try_request().is_ok() {
            let answer = ok(&format!("{name} {} {}", ends[0], ends[1]));
            if conversation.try_send(answer).is_err() {
                return;
            }
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        self.accepting.take().map(JoinHandle::join);
    }
}

struct Site {
    shunt: Shunt,
    // They end before their hosts go.
    caches: Vec<Web>,
    _origin: (Web, Speaker),
    topology: Topology,
    _internet: (Host, Segment),
}

/// A router sends what clients and caches send to Shunt, whose host redirects two ports.
fn started() -> Site {
    let topology = Topology::build("anywhere", Shape::OneArm).unwrap();
    let (lab, router) = (&topology.lab, &topology.router);
    let internet = lab.segment("internet", 9).unwrap();
    let host = lab.host("origin").unwrap();
    let of = |family: Family, number| {
        format!("{}/{}", origin(family, number), if family == Family::V4 { 24 } else { 64 })
    };
    let addresses: Vec<_> =
        Family::BOTH.iter().flat_map(|family| (1..=ORIGINS).map(|number| of(*family, number))).collect();
    lab.plug(&host, &internet, 1, &addresses).unwrap();
    lab.plug(router, &internet, 254, &Family::BOTH.map(|family| of(family, 254))).unwrap();
    for family in Family::BOTH {
        let option = family.option();
        host.run(&format!("ip {option} route add default via {}", origin(family, 254))).unwrap();
        let shunt = topology.shunt_address(family);
        router.run(&format!("ip {option} route add default via {shunt} table 100")).unwrap();
        router.run(&format!("ip {option} rule add iif clients lookup 100")).unwrap();
        for (at, member) in topology.members.iter().enumerate() {
            let address = topology.member_address(family, at, 0).ip();
            member.host.run(&format!("ip route replace default via {}", topology.gateway(family))).unwrap();
            router.run(&format!("ip {option} rule add from {address} lookup 100")).unwrap();
        }
        topology.shunt.run(&format!("ip {option} rule add fwmark 1 lookup 100")).unwrap();
        topology.shunt.run(&format!("ip {option} route add local default dev lo table 100")).unwrap();
    }
    let [web, other] = LISTEN;
    let table = format!(
        "table inet shunt {{
            chain take {{
                type filter hook prerouting priority mangle
                meta l4proto tcp socket transparent 1 meta mark set 1 accept
                tcp dport {WEB} tproxy to :{web} meta mark set 1
                tcp dport {OTHER} tproxy to :{other} meta mark set 1
            }}
        }}"
    );
    topology.shunt.feed("nft -f -", &table).unwrap();
    let caches = topology.members.iter().map(|member| Web::start(&member.host)).collect();
    let servers = (Web::start(&host), Speaker::start(&host, IpAddr::from([0_u16; 8]), OTHER));
    let shunt = Shunt::start(&topology.shunt, &program::path(), &config(&topology)).unwrap();
    Site { shunt, caches, _origin: servers, topology, _internet: (host, internet) }
}

fn config(topology: &Topology) -> String {
    let mut config = String::new();
    for family in Family::BOTH {
        let any = match family {
            Family::V4 => IpAddr::from([0_u8; 4]),
            Family::V6 => IpAddr::from([0_u16; 8]),
        };
        let name = |what: &str| format!("{what}{}", family.option());
        let listen = LISTEN.map(|port| SocketAddr::new(any, port));
        let members = [0, 1].map(|at| topology.member_address(family, at, WEB));
        config += &site::virtual_(&name("web"), listen[0], &name("caches"), "transparent = true");
        let other = site::virtual_(&name("other"), listen[1], "", "transparent = true");
        config += &other.replace("protocol = \"http\"", "protocol = \"tcp\"").replace("pool = \"\"\n", "");
        config += &site::pool(&name("caches"), CACHES, &members);
    }
    config
}

impl Site {
    /// Who answers a request of this host for a path of an origin, whom they see, and where that connected to.
    fn asks(&self, host: &Host, from: IpAddr, to: SocketAddr, path: &str) -> Option<[String; 3]> {
        let mut stream = host.connect(from, to).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: any.example\r\n\r\n").ok()?;
        let answer = Conversation::new(stream).try_answer().ok()?;
        let words: Vec<_> = answer.text().split(' ').map(str::to_owned).collect();
        words.try_into().ok()
    }

    fn counted(&self, virtual_: &str, what: &str) -> u64 {
        let status = self.shunt.client(&["status", "-o", "json"]).unwrap();
        let status: Value = serde_json::from_str(&status).unwrap();
        let virtuals = status["virtuals"].as_array().unwrap();
        let found = virtuals.iter().find(|it| it["name"] == virtual_).unwrap();
        found[what].as_u64().unwrap_or_else(|| panic!("no {what} in {found}"))
    }
}

#[test]
fn clients_reach_caches_by_url_and_other_servers_by_their_address() {
    if !shunt_lab::needs::namespaces("connections to any address") {
        return;
    }
    let site = started();
    let (topology, client) = (&site.topology, &site.topology.client);
    for family in Family::BOTH {
        let (option, shunt) = (family.option(), topology.shunt_address(family));
        let [from, other] = [0, 1].map(|at| topology.client_address(family, at));
        // What no cache is for goes where it was to go.
        for number in 1..=ORIGINS {
            let to = SocketAddr::new(origin(family, number), OTHER);
            let (name, seen) = Talk::open(client, from, to).unwrap().say("who?").unwrap();
            assert_eq!((name.as_str(), seen.ip().to_canonical()), ("origin", shunt), "{family}");
        }
        assert_eq!(site.counted(&format!("other{option}"), "straight"), u64::from(ORIGINS));

        // A URL is in one cache, whoever asks for it, and wherever the name was resolved to.
        let mut caches = BTreeSet::new();
        for path in (0..16).map(|it| format!("/{it}")) {
            let [first, second] = [(from, 1), (other, 2)].map(|(from, number)| {
                let to = SocketAddr::new(origin(family, number), WEB);
                site.asks(client, from, to, &path).unwrap()
            });
            assert_eq!(first, second, "{family}: {path}");
            caches.insert(first[0].clone());
        }
        assert_eq!(caches.into_iter().collect::<Vec<_>>(), ["m1", "m2"], "{family}");

        // A cache that is redirected, too, gets the page from the origin.
        let to = origin(family, 3);
        let cache = topology.member_address(family, 0, 0).ip();
        let seen = site.asks(&topology.members[0].host, cache, SocketAddr::new(to, WEB), "/0").unwrap();
        assert_eq!(seen, ["origin".to_owned(), shunt.to_string(), to.to_string()], "{family}");

        // Shunt itself is nobody's destination.
        let talk = Talk::open(client, from, SocketAddr::new(shunt, LISTEN[1]));
        assert!(talk.and_then(|mut talk| talk.say("who?")).is_err(), "{family}");
    }
}

#[test]
fn without_caches_clients_reach_what_they_connected_to() {
    if !shunt_lab::needs::namespaces("connections to any address") {
        return;
    }
    let mut site = started();
    site.caches.clear();
    for family in Family::BOTH {
        let (from, to) = (site.topology.client_address(family, 0), origin(family, 5));
        let asked = || site.asks(&site.topology.client, from, SocketAddr::new(to, WEB), "/0");
        until("monitors find the caches down", || asked().is_some_and(|it| it[0] == "origin"));
        let expected = ["origin".to_owned(), site.topology.shunt_address(family).to_string(), to.to_string()];
        assert_eq!(asked().unwrap(), expected, "{family}");
    }
}

#[test]
fn what_comes_back_is_refused() {
    if !shunt_lab::needs::namespaces("connections to any address") {
        return;
    }
    let site = started();
    let family = Family::V6;
    let (shunt, router) = (site.topology.shunt_address(family), &site.topology.router);
    // The router sends to Shunt what Shunt sends.
    router.run(&format!("ip -6 rule add from {shunt} lookup 100")).unwrap();
    let (from, to) = (site.topology.client_address(family, 0), SocketAddr::new(origin(family, 1), OTHER));
    let talk = Talk::open(&site.topology.client, from, to);
    assert!(talk.and_then(|mut talk| talk.say("who?")).is_err());
    assert_eq!(site.counted("other-6", "loops"), 1);
    assert!(site.shunt.log().contains("came back to it"), "{}", site.shunt.log());
}
