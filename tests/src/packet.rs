//! A lab with Shunt in it: clients behind a router, two members, and virtuals for both families.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

pub mod speaker;
pub mod standstill;
mod traffic;
pub mod xdp;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use shunt_lab::{Answer, Family, Member, Mode, Offloads, Plan, Request, Shape, Shunt, Topology};

use crate::program;
use crate::raw::PATIENCE;
pub use traffic::{LARGE, MTU, NARROW};

/// Shunt between clients and members. What a test fails in keeps its captures.
pub struct PacketSite {
    // Ended before its network goes.
    pub shunt: Shunt,
    pub topology: Topology,
}

impl PacketSite {
    /// Builds it. The members are configured for the mode of the plan.
    #[track_caller]
    #[must_use]
    pub fn start(story: &str, shape: Shape, plan: &Plan) -> PacketSite {
        PacketSite::serving(story, shape, &[plan.mode], plan)
    }

    /// The same in two labs, one after the other: as the kernel sets links, with checksums and segments that are left
    /// to devices, and without offloads.
    #[track_caller]
    pub fn in_both_settings(story: &str, shape: Shape, plan: &Plan, test: impl Fn(&PacketSite)) {
        for offloads in Offloads::BOTH {
            let story = if offloads == Offloads::On { story.to_owned() } else { format!("{story}-tx-off") };
            let mut topology = Topology::with(&story, shape, offloads).expect("a lab");
            topology.serve(&[plan.mode]).expect("members");
            let site = PacketSite::on(topology, plan);
            test(&site);
            let packets = &site.told(&["status"])["packets"];
            assert_offloads(offloads, packets);
        }
    }

    /// The same with members that are configured for several modes.
    #[track_caller]
    #[must_use]
    pub fn serving(story: &str, shape: Shape, modes: &[Mode], plan: &Plan) -> PacketSite {
        PacketSite::on(topology(story, shape, modes), plan)
    }

    /// Starts Shunt in a lab that is there.
    #[track_caller]
    #[must_use]
    pub fn on(topology: Topology, plan: &Plan) -> PacketSite {
        let config = plan.config(&topology);
        let shunt = Shunt::start(&topology.shunt, &program::path(), &config);
        let shunt = shunt.unwrap_or_else(|error| panic!("{error:?}\n{config}"));
        PacketSite { shunt, topology }
    }

    /// Has a client ask the virtual `web` by curl.
    #[track_caller]
    pub fn fetch(&self, family: Family, client: usize, upload: usize, download: usize) -> Answer {
        let request = self.request(family, client).upload(upload).download(download);
        let answer = self.topology.client.fetch(&request);
        answer.unwrap_or_else(|error| panic!("{family}: {}: {error:?}", request.line()))
    }

    /// A request to the virtual `web`.
    #[must_use]
    pub fn request(&self, family: Family, client: usize) -> Request {
        let from = self.topology.client_address(family, client);
        Request::new(from, self.web(family))
    }

    /// Where the virtual `web` is.
    #[must_use]
    pub fn web(&self, family: Family) -> SocketAddr {
        self.topology.virtual_address(family, Member::HTTP[0])
    }

    /// Where the virtual `echo` is.
    #[must_use]
    pub fn echo(&self, family: Family) -> SocketAddr {
        self.topology.virtual_address(family, Member::ECHO[0])
    }

    /// Has a client send a datagram to the virtual `echo`.
    #[track_caller]
    pub fn ask(&self, family: Family, client: usize, question: &[u8]) -> Answer {
        let from = self.topology.client_address(family, client);
        let answer = self.topology.client.ask(from, self.echo(family), question);
        answer.unwrap_or_else(|error| panic!("{family}: {error:?}"))
    }

    /// What a client of the command line is told, as JSON.
    #[track_caller]
    #[must_use]
    pub fn told(&self, arguments: &[&str]) -> Value {
        let text = self.shunt.client(&[arguments, &["-o", "json"]].concat());
        let text = text.unwrap_or_else(|error| panic!("{error:?}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON: {error}\n{text}"))
    }

    /// Puts another configuration in force.
    #[track_caller]
    pub fn reload(&self, plan: &Plan) {
        let config = plan.config(&self.topology);
        self.shunt.reload(&config).unwrap_or_else(|error| panic!("{error:?}\n{config}"));
    }

    /// Waits until Shunt has logged this.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        until(|| self.shunt.log().contains(text), || format!("{text:?} in the log"));
    }

    /// Waits until a client has heard how large a datagram to the virtuals may be.
    #[track_caller]
    pub fn wait_path_mtu(&self, family: Family, client: usize, mtu: u32) {
        let (from, to) = (self.topology.client_address(family, client), self.echo(family).ip());
        let learned = || self.topology.client.path_mtu(from, to).expect("a route");
        until(|| learned() == Some(mtu), || format!("{family}: a path MTU of {mtu}, not {:?}", learned()));
    }

    /// Waits until a member (0 or 1) is `up` or `down`, in every pool that it is in.
    #[track_caller]
    pub fn wait_health(&self, number: usize, health: &str) {
        let ips = Family::BOTH.map(|family| self.topology.member_address(family, number, 0).ip().to_string());
        let is_so = || {
            let found = healths(&self.told(&["status"]), &ips);
            !found.is_empty() && found.iter().all(|it| it == health)
        };
        until(is_so, || format!("m{} is {health}: {}", number + 1, self.told(&["status"])));
    }
}

/// Checks that frames came in this setting, by the counters of packets in `shunt status`.
///
/// # Panics
/// They came in the other one.
#[track_caller]
pub fn assert_offloads(offloads: Offloads, packets: &Value) {
    let count = |name: &str| packets[name].as_u64().expect("a counter");
    let (received, finished) = (count("received"), count("checksums-finished"));
    match offloads {
        // All but those of ICMP, ARP, and what the router's kernel says itself.
        Offloads::On => assert!(finished > received / 2, "{finished} of {received} were partial"),
        // One checksum in 65,536 looks so by chance.
        Offloads::Off => assert!(finished < received / 1_000, "{finished} of {received} were partial"),
    }
}

/// Waits until something is so that gives no sign when it is.
///
/// # Panics
/// It does not become so.
#[track_caller]
pub fn until(is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {}", what());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The health of members with one of these addresses.
fn healths(status: &Value, ips: &[String]) -> Vec<String> {
    let members = status["pools"].as_array().into_iter().flatten();
    let members = members.flat_map(|pool| pool["members"].as_array().into_iter().flatten());
    let ours = members.filter(|member| {
        let address = member["address"].as_str().and_then(|it| it.parse::<SocketAddr>().ok());
        address.is_some_and(|it| ips.contains(&it.ip().to_string()))
    });
    ours.map(|member| member["health"].as_str().unwrap_or_default().to_owned()).collect()
}

/// A lab with members that serve, and nothing yet in Shunt's place.
///
/// # Panics
/// It cannot be built.
#[track_caller]
#[must_use]
pub fn topology(story: &str, shape: Shape, modes: &[Mode]) -> Topology {
    let mut topology = Topology::build(story, shape).expect("a lab");
    topology.serve(modes).expect("members");
    topology
}
