//! A lab with Shunt in it: clients behind a router, two members, and virtuals for both families.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so and ends")]

mod traffic;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use shunt_lab::{Answer, Family, Member, Mode, Request, Shape, Shunt, Topology};

use crate::program;
use crate::raw::PATIENCE;
pub use traffic::{LARGE, MTU, NARROW};

/// Shunt between clients and members. What a test fails in keeps its captures.
pub struct PacketSite {
    // Ended before its network goes.
    pub shunt: Shunt,
    pub topology: Topology,
}

/// A configuration: for each family a virtual `web-4` or `web-6` for TCP on port 80, `echo-4` or `echo-6` for UDP and ICMP
/// echo on port 53, and a pool of the same name for each.
#[derive(Clone, Debug)]
pub struct Plan {
    pub mode: Mode,
    /// The family of the members, where it is not the virtual's: behind tunnels.
    pub outer: Option<Family>,
    /// How many of the members there are.
    pub members: usize,
    /// More keys of every virtual.
    pub keys: String,
    /// A rule of every virtual: `[[virtual.rule]]` and its keys, in which `POOL` and `OUT` stand for the names of the
    /// virtual's pool and SNAT pool.
    pub rule: String,
    /// More keys of every pool.
    pub pool: String,
    /// More keys of the SNAT pools.
    pub snat: String,
    pub workers: usize,
}

impl Plan {
    #[must_use]
    pub fn new(mode: Mode) -> Plan {
        Plan {
            mode,
            outer: None,
            members: 2,
            keys: String::new(),
            rule: String::new(),
            pool: String::new(),
            snat: String::new(),
            workers: 1,
        }
    }

    /// With a monitor that is quick to see what becomes of a member.
    #[must_use]
    pub fn watched(mode: Mode) -> Plan {
        let pool = "monitor = { tcp = true, interval = \"100ms\", rise = 2, fall = 2 }".to_owned();
        Plan { pool, ..Plan::new(mode) }
    }

    /// The name of a virtual and its pool.
    #[must_use]
    pub fn name(kind: &str, family: Family) -> String {
        format!("{kind}-{}", &family.option()[1..])
    }

    /// The port of the members, which is another one where it is translated.
    #[must_use]
    pub fn port(&self, ports: [u16; 2]) -> u16 {
        ports[usize::from(!self.mode.is_direct())]
    }

    /// The configuration of this plan.
    #[must_use]
    pub fn config(&self, topology: &Topology) -> String {
        let mut text = format!("[process]\nworkers = {}\n\n", self.workers);
        for family in Family::BOTH {
            self.add_virtual(&mut text, topology, family, "web", "tcp", Member::HTTP);
            self.add_virtual(&mut text, topology, family, "echo", "any", Member::ECHO);
            let (name, snat) = (Plan::name("out", family), topology.snat_address(family));
            let _ =
                write!(text, "[[snat-pool]]\nname = \"{name}\"\naddresses = [\"{snat}\"]\n{}\n\n", self.snat);
        }
        text
    }

    fn add_virtual(
        &self,
        text: &mut String,
        topology: &Topology,
        family: Family,
        kind: &str,
        transport: &str,
        ports: [u16; 2],
    ) {
        let (name, mode, pool_keys) = (Plan::name(kind, family), self.mode, &self.pool);
        let listen = topology.virtual_address(family, ports[0]);
        let outer = self.outer.unwrap_or(family);
        let members: Vec<_> = (0..self.members)
            .map(|at| format!("{{ address = \"{}\" }}", topology.member_address(outer, at, self.port(ports))))
            .collect();
        let members = members.join(", ");
        let out = Plan::name("out", family);
        let has_rule = !self.rule.is_empty();
        let mut keys = self.keys.clone();
        if mode == Mode::Snat || has_rule {
            let _ = write!(keys, "\nsnat-pool = \"{out}\"");
        }
        if mode == Mode::L3dsrDscp || has_rule {
            let _ = write!(keys, "\ndscp = {}", Member::DSCP);
        }
        let rule = self.rule.replace("POOL", &name).replace("OUT", &out);
        let interfaces = topology.interfaces();
        let _ = write!(
            text,
            "[[virtual]]\nname = \"{name}\"\nlisten = \"{listen}\"\nprotocol = \"packet\"\n\
             transport = \"{transport}\"\ninterfaces = {interfaces:?}\nmode = \"{mode}\"\npool = \"{name}\"\n{keys}\n{rule}\n\
             [[pool]]\nname = \"{name}\"\nmembers = [{members}]\n{pool_keys}\n\n"
        );
    }
}

impl PacketSite {
    /// Builds it. The members are configured for the mode of the plan.
    #[track_caller]
    #[must_use]
    pub fn start(story: &str, shape: Shape, plan: &Plan) -> PacketSite {
        PacketSite::serving(story, shape, &[plan.mode], plan)
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

/// Waits until something is so that gives no sign when it is.
#[track_caller]
fn until(is_so: impl Fn() -> bool, what: impl Fn() -> String) {
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
