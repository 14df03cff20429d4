//! The failure that SNAT is known for, and its end: an address and port that is used again toward a server that still
//! holds it in TIME_WAIT.
//!
//! Such a SYN is taken for a new connection only where its timestamp or its sequence number is beyond the old ones, which
//! behind SNAT is random, because the clocks of different clients are unrelated (RFC 6191 section 2). Otherwise the
//! server answers with the ACK of the old connection, and hopes for a RST that ends its TIME_WAIT. Where it heeds no RST
//! (`tcp_rfc1337=1`), or none gets there, the client waits in vain.

use std::collections::{BTreeSet, HashMap};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shunt_lab::{Family, Member, Mode, Plan, Shape};
use shunt_tests::packet::PacketSite;

use crate::has_labs;

/// What an ordinary connection takes here is a millisecond or two; the client's second SYN goes after one second.
const SOON: Duration = Duration::from_millis(2_500);

/// Has members keep connections that the client has reset: the first ignores the reset, the second does not get it.
fn ignore_resets(site: &PacketSite) {
    site.topology.members[0].host.run("sysctl -w net.ipv4.tcp_rfc1337=1").unwrap();
    let table = "table inet lab { chain no_resets {
        type filter hook prerouting priority raw;
        tcp dport { 80, 8080 } tcp flags & rst == rst drop
    }\n}";
    site.topology.members[1].host.feed("nft -f -", table).unwrap();
}

/// A connection that the server ends first: it is the one that goes to TIME_WAIT. Gives who answered, and the SNAT
/// port that it saw.
fn once(site: &PacketSite, client: usize) -> std::io::Result<(String, u16)> {
    let from = SocketAddr::new(site.topology.client_address(Family::V4, client), 0);
    let to = site.topology.virtual_address(Family::V4, Member::HTTP[0]);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&from.into())?;
    socket.connect_timeout(&to.into(), SOON)?;
    socket.set_read_timeout(Some(SOON))?;
    let mut stream = std::net::TcpStream::from(socket);
    stream.write_all(b"GET /0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let field = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let seen: SocketAddr = field("X-Client: ").unwrap_or_default().parse().map_err(std::io::Error::other)?;
    Ok((field("X-Member: ").unwrap_or_default(), seen.port()))
}

/// Does so many at this pace, from the client's addresses in turn: each has a clock of its own for timestamps.
fn many<R>(
    site: &PacketSite,
    count: usize,
    pace: Duration,
    mut each: impl FnMut(std::io::Result<(String, u16)>) -> Option<R>,
) -> Option<R>
where
    R: Send,
{
    let begin = Instant::now();
    for at in 0..count {
        let due = begin + pace * u32::try_from(at).unwrap();
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if let Some(result) = each(once(site, at % 4)) {
            return Some(result);
        }
    }
    None
}

#[test]
fn without_the_promise_connections_fail() {
    const TRIES: usize = 60;
    const ENOUGH: usize = 3;
    if !has_labs() {
        return;
    }
    let snat = "ports = \"20000-20000\"\ntime-wait = \"0s\"".to_owned();
    let plan = Plan { snat, ..Plan::new(Mode::Snat) };
    let site = PacketSite::start("snat-broken", Shape::TwoArm, &plan);
    ignore_resets(&site);
    let mut failed = 0;
    let client = site.topology.client.clone();
    let seen = client.within(|| {
        many(&site, TRIES, Duration::ZERO, |outcome| {
            failed += usize::from(outcome.is_err());
            (failed == ENOUGH).then_some(())
        })
    });
    assert_eq!(seen.unwrap(), Some(()), "{failed} of {TRIES} failed: the lab does not show what it is for");
}

/// Each port is offered once while the member holds it in TIME_WAIT. When all are used, new connections are refused,
/// although no connection is open any more.
#[test]
fn no_port_is_offered_while_the_member_holds_it() {
    const PORTS: u16 = 16;
    if !has_labs() {
        return;
    }
    let snat = format!("ports = \"20000-{}\"", 20_000 + PORTS - 1);
    let plan = Plan { snat, members: 1, ..Plan::new(Mode::Snat) };
    let site = PacketSite::start("snat-quarantine", Shape::TwoArm, &plan);
    ignore_resets(&site);
    let client = site.topology.client.clone();
    let (ports, refused) = client
        .within(|| {
            let ports: BTreeSet<u16> =
                (0..PORTS).map(|at| once(&site, usize::from(at) % 4).unwrap().1).collect();
            (ports, [0, 1, 2, 3].map(|client| once(&site, client).unwrap_err().kind()))
        })
        .unwrap();
    assert_eq!(ports, (20_000..20_000 + PORTS).collect());
    assert_eq!(refused, [ErrorKind::ConnectionRefused; 4]);
    let leased = site.topology.snat_address(Family::V4);
    let held = site.topology.members[0].host.run(&format!("ss -Htn4 state time-wait dst {leased}")).unwrap();
    assert_eq!(held.lines().count(), usize::from(PORTS), "what the member holds in TIME_WAIT:\n{held}");
}

/// Linux holds TIME_WAIT for 60 s of a timer wheel that rounds up: to 62 s at 250 Hz, to 65 s at 100 Hz. With 60 s
/// instead of the default this test fails once in a hundred reuses or so.
mod slow {
    use super::*;

    /// 10,000 times a port is used again, soon after Shunt allows it, and not one connection fails.
    #[test]
    #[ignore = "waits for the end of TIME_WAIT, more than a minute: cargo xtask test slow"]
    fn with_the_promise_none_fails() {
        ten_thousand_reuses();
    }
}

fn ten_thousand_reuses() {
    const REUSES: usize = 10_000;
    /// Of both members together: toward each half of them, and a few more so that taking turns needs not be exact.
    const PORTS: usize = REUSES / 2 + 100;
    const PACE: Duration = Duration::from_millis(2);
    if !has_labs() {
        return;
    }
    let snat = format!("ports = \"20000-{}\"", 20_000 + PORTS - 1);
    let plan = Plan { snat, ..Plan::new(Mode::Snat) };
    let site = PacketSite::start("snat-promise", Shape::TwoArm, &plan);
    ignore_resets(&site);
    let client = site.topology.client.clone();
    let mut used: HashMap<(String, u16), Instant> = HashMap::new();
    let mut shortest = Duration::MAX;
    let mut reuses = 0;
    let mut note = |outcome: std::io::Result<(String, u16)>| -> Option<()> {
        let tuple = outcome.unwrap_or_else(|error| panic!("after {reuses} reuses: {error}"));
        if let Some(before) = used.insert(tuple, Instant::now()) {
            reuses += 1;
            shortest = shortest.min(before.elapsed());
        }
        (reuses == REUSES).then_some(())
    };
    let done = client.within(|| {
        many(&site, REUSES, PACE, &mut note);
        // Nearly all ports are in quarantine now; they leave it at the pace at which they came.
        std::thread::sleep(Duration::from_secs(70).saturating_sub(PACE * 10_000));
        many(&site, 2 * REUSES, PACE, &mut note)
    });
    assert_eq!(done.unwrap(), Some(()));
    println!("{REUSES} reuses, the first after {} ms", shortest.as_millis());
}
