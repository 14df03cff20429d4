//! Connections to members that come from clients' addresses, between network namespaces.

use std::net::SocketAddr;

use shunt_lab::{Family, Host, Member, Mode, Request, Shape, Shunt, Topology};
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::program;
use shunt_tests::root::as_nobody;
use shunt_tests::site::{pool, virtual_};

/// Where virtuals listen.
const HTTP: u16 = 80;
const TCP: u16 = 81;
const UDP: u16 = 82;

/// Both members reply to clients through Shunt's host.
fn topology(story: &str) -> Topology {
    let mut topology = Topology::build(story, Shape::TwoArm).unwrap();
    topology.serve(&[Mode::Nat]).unwrap();
    topology
}

fn name(protocol: &str, family: Family) -> String {
    format!("{protocol}{}", family.option())
}

/// A virtual for each protocol, of each family.
fn config(topology: &Topology) -> String {
    let mut config = String::new();
    for family in Family::BOTH {
        let of_members =
            [("http", HTTP, Member::HTTP), ("tcp", TCP, Member::HTTP), ("udp", UDP, Member::ECHO)];
        for (protocol, port, [to, _]) in of_members {
            let members = [0, 1].map(|at| topology.member_address(family, at, to));
            let (name, listen) =
                (name(protocol, family), SocketAddr::new(topology.shunt_address(family), port));
            let of_virtual = virtual_(&name, listen, &name, "");
            config += &of_virtual.replace("protocol = \"http\"", &format!("protocol = \"{protocol}\""));
            config += &pool(&name, "source = \"client\"", &members);
        }
    }
    config
}

/// What the book asks of the host.
fn take_replies(shunt: &Host) {
    for family in Family::BOTH {
        let option = family.option();
        shunt.run(&format!("ip {option} rule add fwmark 1 lookup 100")).unwrap();
        shunt.run(&format!("ip {option} route add local default dev lo table 100")).unwrap();
    }
    let table = "table inet shunt {
        chain replies {
            type filter hook prerouting priority mangle
            meta l4proto { tcp, udp } socket transparent 1 meta mark set 1
        }
    }";
    shunt.feed("nft -f -", table).unwrap();
}

#[test]
fn members_see_clients_addresses() {
    if !shunt_lab::needs::namespaces("connections from clients' addresses") {
        return;
    }
    let topology = topology("transparent");
    let shunt = Shunt::start(&topology.shunt, &program::path(), &config(&topology)).unwrap();
    let doctor = || {
        let mut command = topology.shunt.command(program::path());
        let done = command.arg("doctor").arg(shunt.config()).output().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let (well, said) = doctor();
    assert!(!well && said.contains("do not reach Shunt"), "{said}");

    take_replies(&topology.shunt);
    let (well, said) = doctor();
    assert!(well, "{said}");
    assert!(said.contains("ip route replace default via 10.3.0.2"), "{said}");
    for family in Family::BOTH {
        for port in [HTTP, TCP] {
            let to = SocketAddr::new(topology.shunt_address(family), port);
            for client in [0, 1, 0, 2] {
                let from = topology.client_address(family, client);
                let request = Request::new(from, to).upload(100_000).download(100_000);
                let answer = topology.client.fetch(&request).unwrap();
                assert_eq!(answer.client.ip(), from, "{family}: {to}");
            }
        }
        let (from, to) =
            (topology.client_address(family, 1), SocketAddr::new(topology.shunt_address(family), UDP));
        assert_eq!(topology.client.ask(from, to, b"who?").unwrap().client.ip(), from, "{family}: {to}");
    }
}

#[test]
fn who_may_not_send_as_clients_is_told() {
    if !shunt_lab::needs::root("another user") {
        return;
    }
    let listen = shunt_tests::address::free();
    let config = virtual_("web", listen, "web", "")
        + &pool("web", "source = \"client\"", &[shunt_tests::address::free()]);
    let folder = Folder::new();
    folder.configure(&config);
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), everybody).unwrap();
    let mut command = as_nobody(folder.path());
    command.args(["run", "--config"]).arg(folder.config());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let Err(ended) = Daemon::try_start_as(folder, command) else { panic!("it starts") };
    assert!(
        ended.stderr.contains("pool web: connections cannot come from clients' addresses")
            && ended.stderr.contains("CAP_NET_RAW"),
        "{}",
        ended.stderr
    );
}
