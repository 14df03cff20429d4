//! What can be in the way of a reload that adds an interface, each by its real cause: it is refused as a whole, and
//! leaves everything as it was. It says what to do; done so, it is put in force.

use std::fs;
use std::net::SocketAddr;

use shunt_lab::{Family, Mode, Plan, Shape, Shunt};
use shunt_tests::packet::speaker::Speaker;
use shunt_tests::packet::{PacketSite, until, xdp};
use shunt_tests::{program, site};

use crate::has_labs;

/// How often each reload is tried: what one leaves behind is little, and files come and go with connections.
const ROUNDS: usize = 4;

/// Where a proxy is to listen.
const PAGES: u16 = 8_080;

/// Shunt that forwards packets, beside an interface `spare` that is not its own.
struct Serving {
    site: PacketSite,
    plan: Plan,
}

impl Serving {
    fn start(story: &str) -> Serving {
        let plan = Plan::new(Mode::Nat);
        let topology =
            shunt_tests::packet::topology(&format!("prepare-{story}"), Shape::TwoArm, &[Mode::Nat]);
        topology
            .shunt
            .all(&[
                "ip link add spare type veth peer name spare-peer",
                "ip link set spare up",
                "ip link set spare-peer up",
            ])
            .unwrap();
        Serving { site: PacketSite::on(topology, &plan), plan }
    }

    /// The configuration that runs, with a proxy and these virtuals.
    fn with(&self, more: &str) -> String {
        let pages = site::pool("pages", "", &["127.0.0.1:9".parse().unwrap()]);
        let proxy = site::virtual_("pages", self.pages(), "pages", "");
        self.plan.config(&self.site.topology) + &proxy + &pages + more
    }

    fn pages(&self) -> SocketAddr {
        SocketAddr::new(self.site.topology.shunt_address(Family::V4), PAGES)
    }

    /// Reloads what has more virtuals, and gives what was said of it.
    #[track_caller]
    fn refuses(&self, more: &str) -> String {
        let (site, config) = (&self.site, self.with(more));
        let epoch = site.told(&["status"])["epoch"].clone();
        self.serves();
        let (before, open) = (self.network(), self.open_files());
        let mut said = String::new();
        for _ in 0..ROUNDS {
            said = format!("{:#}", site.shunt.reload(&config).unwrap_err());
        }
        let status = site.told(&["status"]);
        assert_eq!(
            (&status["epoch"], status["virtuals"].as_array().map(Vec::len)),
            (&epoch, Some(0)),
            "{said}"
        );
        assert_eq!(self.network(), before, "{said}");
        until(|| self.open_files() < open + ROUNDS, || format!("what was made is closed: {said}"));
        self.serves();
        let from = site.topology.client_address(Family::V4, 0);
        assert!(site.topology.client.connect(from, self.pages()).is_err(), "the proxy listens:\n{said}");
        said
    }

    /// Does what was said, command by command, and reloads again.
    #[track_caller]
    fn heeds(&self, said: &str, more: &str) {
        for command in
            said.split('`').skip(1).step_by(2).filter(|it| it.starts_with("ip ") || it.starts_with("sysctl "))
        {
            self.site.topology.shunt.run(command).unwrap_or_else(|error| panic!("{error:#}\n{said}"));
        }
        self.takes(more);
    }

    /// What was in the way is not there any more.
    #[track_caller]
    fn takes(&self, more: &str) {
        self.site.shunt.reload(&self.with(more)).unwrap();
        let from = self.site.topology.client_address(Family::V4, 0);
        assert!(self.site.topology.client.connect(from, self.pages()).is_ok());
        self.serves();
    }

    #[track_caller]
    fn serves(&self) {
        for family in Family::BOTH {
            self.site.fetch(family, 0, 1_000, 1_000);
            self.site.ask(family, 0, b"hello");
        }
    }

    /// The links of Shunt's host with the programs on them, its addresses and routes.
    fn network(&self) -> Vec<String> {
        let lists = ["ip -d link", "ip address", "ip route", "ip -6 route", "ip tuntap list"];
        lists.map(|list| self.site.topology.shunt.run(list).unwrap()).into()
    }

    fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.site.shunt.pid())).unwrap().count()
    }

    fn has_program(&self, link: &str) -> bool {
        self.site.topology.shunt.run(&format!("ip link show dev {link}")).unwrap().contains("xdp")
    }
}

/// A packet virtual whose packets come in by this interface.
fn by(interface: &str, listen: &str) -> String {
    format!(
        "[[virtual]]\nname = \"more\"\nlisten = \"{listen}\"\nprotocol = \"packet\"\ninterfaces = [\"{interface}\"]\n\
         mode = \"nat\"\npool = \"web-4\"\n\n"
    )
}

/// An address that nobody has.
const FREE: &str = "203.0.113.1:80";

#[test]
fn another_xdp_program() {
    if !has_labs() {
        return;
    }
    let serving = Serving::start("program");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), xdp::passing()).unwrap();
    let attach = format!("ip link set dev spare xdp obj {} sec xdp", file.path().display());
    serving.site.topology.shunt.run(&attach).unwrap();
    let said = serving.refuses(&by("spare", FREE));
    assert!(said.contains("another XDP program is attached to spare"), "{said}");
    serving.heeds(&said, &by("spare", FREE));
    assert!(serving.has_program("spare"));
}

#[test]
fn another_process_with_its_queues() {
    if !has_labs() {
        return;
    }
    let serving = Serving::start("queues");
    let shunt = &serving.site.topology.shunt;
    let alone = by("spare", "203.0.113.2:80") + &site::pool("web-4", "", &["10.0.0.1:80".parse().unwrap()]);
    let second = Shunt::start(shunt, &program::path(), &alone).unwrap();
    let said = serving.refuses(&by("spare", FREE));
    assert!(
        said.contains("another AF_XDP socket is bound to queue 0 of spare; `ss --xdp` shows whose"),
        "{said}"
    );
    assert!(serving.has_program("spare"), "that of the other");
    second.drain().unwrap();
    serving.takes(&by("spare", FREE));
}

#[test]
fn frames_that_are_too_large() {
    if !has_labs() {
        return;
    }
    let serving = Serving::start("mtu");
    serving.site.topology.shunt.run("ip link set spare mtu 9000").unwrap();
    let said = serving.refuses(&by("spare", FREE));
    assert!(said.contains("the MTU of spare is 9000"), "{said}");
    serving.heeds(&said, &by("spare", FREE));
}

#[test]
fn an_address_that_the_host_has() {
    if !has_labs() {
        return;
    }
    let serving = Serving::start("address");
    serving.site.topology.shunt.run("ip address add 203.0.113.1/24 dev spare").unwrap();
    let said = serving.refuses(&by("spare", FREE));
    assert!(said.contains("virtual more: 203.0.113.1 is an address of this host"), "{said}");
    serving.heeds(&said, &by("spare", FREE));
}

/// The program was attached already when the other plane cannot listen.
#[test]
fn a_port_in_use_at_the_proxy_beside_it() {
    if !has_labs() {
        return;
    }
    let serving = Serving::start("port");
    let own = "[[virtual]]\nname = \"held\"\nlisten = \"HELD\"\nprotocol = \"http\"\npool = \"pages\"\n\n";
    let held = SocketAddr::new(serving.pages().ip(), 8_081);
    let more = own.replace("HELD", &held.to_string()) + &by("spare", FREE);
    let holder = Speaker::start(&serving.site.topology.shunt, held.ip(), held.port());
    let said = serving.refuses(&more);
    assert!(
        said.contains(&format!("virtual held: cannot listen on {held}")) && said.contains("in use"),
        "{said}"
    );
    assert!(!serving.has_program("spare"));
    drop(holder);
    serving.takes(&more);
    assert!(serving.has_program("spare"));
}

#[test]
fn a_tun_device_of_another_process() {
    if !has_labs() {
        return;
    }
    let serving = Serving::start("tun");
    let shunt = &serving.site.topology.shunt;
    shunt.all(&["ip tuntap add mode tun dev held", "ip link set held up"]).unwrap();
    let siit = "[[virtual]]\nname = \"siit\"\nprotocol = \"packet\"\nmode = \"siit\"\ninterfaces = [\"held\"]\n\
                translation = { prefix = \"2001:db8:64::/96\" }\n\n";
    let second = Shunt::start(shunt, &program::path(), siit).unwrap();
    // What could be had goes again with what could not.
    let more = siit.to_owned() + &by("spare", FREE);
    let said = serving.refuses(&more);
    assert!(said.contains("the TUN device held is in use by another process"), "{said}");
    second.drain().unwrap();
    serving.takes(&more);
}

#[test]
fn an_address_that_probes_cannot_have() {
    if !has_labs() {
        return;
    }
    let serving = Serving::start("probes");
    let topology = &serving.site.topology;
    topology.shunt.run("sysctl -w net.ipv6.conf.default.disable_ipv6=1").unwrap();
    let pool = "[[pool]]\nname = \"probed\"\nmembers = [{ address = \"[2001:db8:99::1]:80\" }]\n\
                monitor = { tcp = true }\n\n";
    let (from, listen) = (topology.probe_address(Family::V6), "[2001:db8:98::1]:80");
    let more = by("spare", listen).replace("web-4\"", &format!("probed\"\nprobe-from = \"{from}\"")) + pool;
    let said = serving.refuses(&more);
    assert!(said.contains(&format!("probe-from: cannot add the address {from}")), "{said}");
    serving.heeds(&said, &more);
    assert!(topology.shunt.run("ip -6 route").unwrap().contains("dev shunt-probe0"));
}

/// There were no packet virtuals: the workers that were started for them end again.
#[test]
fn what_is_in_the_way_of_the_first_packet_virtual() {
    if !has_labs() {
        return;
    }
    let plan = Plan::new(Mode::Nat);
    let topology = shunt_tests::packet::topology("prepare-first", Shape::TwoArm, &[Mode::Nat]);
    let at = SocketAddr::new(topology.shunt_address(Family::V4), PAGES);
    let pages = site::pool("pages", "", &["127.0.0.1:9".parse().unwrap()]);
    let proxy = site::virtual_("pages", at, "pages", "") + &pages;
    let shunt = Shunt::start(&topology.shunt, &program::path(), &proxy).unwrap();
    let threads = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", shunt.pid())).unwrap();
        let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with("shunt-packet")).count()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), xdp::passing()).unwrap();
    // The first is free, and the program on it goes again.
    let [first, second] = topology.interfaces() else { panic!("two interfaces") };
    let links =
        || [first, second].map(|link| topology.shunt.run(&format!("ip link show dev {link}")).unwrap());
    topology
        .shunt
        .run(&format!("ip link set dev {second} xdp obj {} sec xdp", file.path().display()))
        .unwrap();
    let before = links();
    let config = proxy + &plan.config(&topology).replace("[process]\nworkers = 1\n", "");
    for _ in 0..ROUNDS {
        let said = format!("{:#}", shunt.reload(&config).unwrap_err());
        assert!(said.contains(&format!("another XDP program is attached to {second}")), "{said}");
        assert_eq!((links(), threads()), (before.clone(), 0));
        assert!(topology.client.connect(topology.client_address(Family::V4, 0), at).is_ok());
    }
    topology.shunt.run(&format!("ip link set dev {second} xdp off")).unwrap();
    shunt.reload(&config).unwrap();
    assert!(threads() > 0);
    PacketSite { shunt, topology }.exchange(&plan, &[Family::V4]);
}
