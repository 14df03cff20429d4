//! Rules decide how packets are forwarded.

use std::io::ErrorKind;
use std::time::Duration;

use shunt_lab::{Family, Mode, Plan, Shape};
use shunt_tests::packet::{LARGE, PacketSite};
use shunt_tests::packs;

use crate::has_labs;

/// The rule `tests/guests/packets`, which forwards the clients of the lab as this says, in their order.
pub(crate) fn rule(site_clients: &[&str], keys: &str) -> String {
    let client = |(number, how): (usize, &&str)| {
        let last = shunt_lab::Topology::CLIENTS[number];
        format!(
            "{{ from = \"192.0.2.{last}/32\", how = \"{how}\" }}, {{ from = \"2001:db8:1::{last}/128\", how = \"{how}\" }}"
        )
    };
    let clients: Vec<_> = site_clients.iter().enumerate().map(client).collect();
    format!(
        "[[virtual.rule]]\nname = \"by-client\"\npack = \"{}\"\n\
         slots = {{ main = \"POOL\", other = \"POOL\", out = \"OUT\" }}\n\
         settings = {{ clients = [{}] }}\n{keys}\n",
        packs::guest("packets").display(),
        clients.join(", ")
    )
}

/// One virtual, four clients, four ways: each gets what the rule says for it, and all large bodies whole.
#[test]
fn the_mode_is_chosen_by_the_client() {
    if !has_labs() {
        return;
    }
    let modes = [Mode::Snat, Mode::L2dsr, Mode::L3dsrDscp, Mode::L3dsrGre];
    let plan = Plan {
        rule: rule(&modes.map(Mode::name), ""),
        // What no rule chooses here, and no client gets.
        ..Plan::new(Mode::L2dsr)
    };
    let site = PacketSite::serving("rules-modes", Shape::OneArm, &modes, &plan);
    for family in Family::BOTH {
        for (number, mode) in modes.into_iter().enumerate() {
            let answer = site.fetch(family, number, LARGE, LARGE);
            let seen = match mode {
                Mode::Snat => site.topology.snat_address(family),
                _ => site.topology.client_address(family, number),
            };
            assert_eq!(answer.client.ip(), seen, "{family}, {mode}");
            let answer = site.ask(family, number, b"hello");
            assert_eq!(answer.client.ip(), seen, "{family}, {mode}");
        }
    }
    // Of the four only one goes through a tunnel.
    let heard = site.topology.members.iter().map(|it| it.tunnel().unwrap().heard());
    assert!(heard.map(|it| it.taken).sum::<u64>() > 0);
    // on-done, when a flow is over: both directions where Shunt sees both.
    site.wait_log("192.0.2.11:");
}

#[test]
fn a_client_is_refused_or_met_with_silence() {
    if !has_labs() {
        return;
    }
    let plan = Plan { rule: rule(&["reject", "drop", "nat"], ""), ..Plan::new(Mode::Nat) };
    let site = PacketSite::start("rules-reject", Shape::TwoArm, &plan);
    for family in Family::BOTH {
        let from = |number| site.topology.client_address(family, number);
        let refused = site.topology.client.connect(from(0), site.web(family)).unwrap_err();
        let kind = refused.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        assert_eq!(kind, Some(ErrorKind::ConnectionRefused), "{family}: {refused:?}");
        let socket = site.topology.client.datagrams(from(0), site.echo(family)).unwrap();
        socket.send(b"?").unwrap();
        // How Linux tells "administratively prohibited" to a socket: code 13 of ICMP, code 1 of ICMPv6.
        let told = match family {
            Family::V4 => ErrorKind::HostUnreachable,
            Family::V6 => ErrorKind::PermissionDenied,
        };
        assert_eq!(socket.recv(&mut [0; 64]).unwrap_err().kind(), told, "{family}");

        let request = site.request(family, 1).patience(Duration::from_secs(1));
        let silence = site.topology.client.fetch(&request).unwrap_err();
        // curl's exit code for a time-out.
        assert!(format!("{silence:?}").contains("exit status: 28"), "{family}: {silence:?}");

        site.fetch(family, 2, 1_000, 1_000);
    }
}

#[test]
fn a_fault_is_answered_as_configured() {
    if !has_labs() {
        return;
    }
    let panics = ["panic"; 4];
    let plan = Plan { rule: rule(&panics, "on-fault = \"continue\""), ..Plan::new(Mode::Nat) };
    let site = PacketSite::start("rules-fault", Shape::TwoArm, &plan);
    for family in Family::BOTH {
        site.fetch(family, 0, LARGE, LARGE);
    }
    site.reload(&Plan { rule: rule(&panics, "on-fault = \"reject\""), ..Plan::new(Mode::Nat) });
    for family in Family::BOTH {
        let from = site.topology.client_address(family, 0);
        let refused = site.topology.client.connect(from, site.web(family)).unwrap_err();
        let kind = refused.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        assert_eq!(kind, Some(ErrorKind::ConnectionRefused), "{family}: {refused:?}");
    }
}
