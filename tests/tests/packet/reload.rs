//! Another configuration while packets flow, and the end of the daemon: what was decided for a flow stays, and the host is
//! left as it was.

use std::io::{Read, Write};

use shunt_lab::{Family, Mode, Plan, Shape, bytes};
use shunt_tests::packet::{LARGE, PacketSite};

use crate::has_labs;

/// A member is taken out of the configuration in the middle of transfers both ways through it.
fn reload_in_mid_transfer(mode: Mode, shape: Shape) {
    if !has_labs() {
        return;
    }
    let both = Plan::new(mode);
    let site = PacketSite::start(&format!("reload-{mode}"), shape, &both);
    let client = &site.topology.client;
    let (mut downloads, mut uploads) = (Vec::new(), Vec::new());
    for family in Family::BOTH {
        // Members take turns: each has one of both kinds.
        for number in [0, 1] {
            let from = site.topology.client_address(family, number);
            downloads.push(client.hold(from, site.web(family), LARGE).unwrap());
        }
        for number in [0, 1] {
            let mut stream =
                client.connect(site.topology.client_address(family, number), site.web(family)).unwrap();
            let head =
                format!("PUT /0 HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&bytes(LARGE)[..LARGE / 2]).unwrap();
            uploads.push(stream);
        }
    }
    let one = Plan { members: 1, ..both };
    site.reload(&one);
    for family in Family::BOTH {
        for number in 0..4 {
            assert_eq!(site.fetch(family, number, 1_000, 1_000).member, "m1", "{family}: a new flow");
        }
    }
    for member in &site.topology.members {
        member.origin().unwrap().release();
    }
    let members: Vec<_> = downloads.into_iter().map(|it| it.finish().unwrap().member).collect();
    assert_eq!(members.iter().filter(|it| *it == "m2").count(), 2, "{members:?}");
    for mut stream in uploads {
        stream.write_all(&bytes(LARGE)[LARGE / 2..]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(&shunt_lab::digest(&bytes(LARGE))), "{answer}");
    }
}

#[test]
fn nat_in_mid_transfer() {
    reload_in_mid_transfer(Mode::Nat, Shape::TwoArm);
}

#[test]
fn snat_in_mid_transfer() {
    reload_in_mid_transfer(Mode::Snat, Shape::TwoArm);
}

#[test]
fn l2dsr_in_mid_transfer() {
    reload_in_mid_transfer(Mode::L2dsr, Shape::OneArm);
}

#[test]
fn dscp_in_mid_transfer() {
    reload_in_mid_transfer(Mode::L3dsrDscp, Shape::Routed);
}

#[test]
fn ipip_in_mid_transfer() {
    reload_in_mid_transfer(Mode::L3dsrIpip, Shape::Routed);
}

#[test]
fn gre_in_mid_transfer() {
    reload_in_mid_transfer(Mode::L3dsrGre, Shape::Routed);
}

#[test]
fn gue_in_mid_transfer() {
    reload_in_mid_transfer(Mode::L3dsrGue, Shape::Routed);
}

/// A flow keeps the mode that it began with; the next one gets the new one.
#[test]
fn another_mode_is_for_new_flows() {
    if !has_labs() {
        return;
    }
    let snat = Plan::new(Mode::Snat);
    let site = PacketSite::serving("reload-mode", Shape::OneArm, &[Mode::Snat, Mode::L2dsr], &snat);
    let held = Family::BOTH.map(|family| {
        let from = site.topology.client_address(family, 0);
        site.topology.client.hold(from, site.web(family), LARGE).unwrap()
    });
    // Whose SNAT pool goes loses its flows; here it stays.
    let snat = "time-wait = \"60s\"".to_owned();
    site.reload(&Plan { snat, ..Plan::new(Mode::L2dsr) });
    for family in Family::BOTH {
        assert_eq!(
            site.fetch(family, 0, LARGE, LARGE).client.ip(),
            site.topology.client_address(family, 0),
            "{family}"
        );
    }
    for member in &site.topology.members {
        member.origin().unwrap().release();
    }
    for (family, held) in Family::BOTH.into_iter().zip(held) {
        assert_eq!(held.finish().unwrap().client.ip(), site.topology.snat_address(family));
    }
}

/// The tables of flows are as large as they were made: of a limit that is raised the operator hears when it counts.
#[test]
fn room_for_more_flows_is_told_to_be_for_the_next_start() {
    if !has_labs() {
        return;
    }
    let plan = Plan::new(Mode::Nat);
    let more = Plan { keys: "limits = { flows = 300_000 }".to_owned(), ..plan.clone() };
    let site = PacketSite::start("reload-flows", Shape::TwoArm, &plan);
    site.reload(&more);
    // Four virtuals have as many each.
    let told = "limits.flows add up to 1200000; the flow tables were made for 1048576 flows";
    site.wait_log(told);
    site.wait_log("grow only at the next start");
    let PacketSite { shunt, topology } = site;
    drop(shunt);
    let site = PacketSite::on(topology, &more);
    site.reload(&Plan { keys: "limits = { flows = 250_000 }".to_owned(), ..plan });
    assert!(!site.shunt.log().contains("flow tables were made for"), "{}", site.shunt.log());
}

#[test]
fn a_refused_configuration_changes_nothing() {
    if !has_labs() {
        return;
    }
    let plan = Plan::new(Mode::Nat);
    let site = PacketSite::start("reload-refused", Shape::TwoArm, &plan);
    let good = plan.config(&site.topology);
    assert!(site.shunt.reload(&good.replace("\"servers\"", "\"nowhere\"")).is_err());
    site.exchange(&plan, &Family::BOTH);
}

/// What XDP programs the links of Shunt's host have, by `ip`.
fn attached(site: &PacketSite) -> bool {
    site.topology.shunt.run("ip link show").unwrap().contains("xdp")
}

/// Shunt's host is a host: its own address answers, and what is not Shunt's goes to the kernel.
fn host_answers(site: &PacketSite) {
    for family in Family::BOTH {
        let (from, to) = (site.topology.client_address(family, 0), site.topology.shunt_address(family));
        assert_eq!(site.topology.client.ping(from, to, 2, 1_000).unwrap(), 2, "{family}");
    }
}

#[test]
fn the_host_is_itself_before_during_and_after() {
    if !has_labs() {
        return;
    }
    let plan = Plan::new(Mode::Nat);
    let site = PacketSite::start("life", Shape::TwoArm, &plan);
    assert!(attached(&site));
    host_answers(&site);
    let PacketSite { shunt, topology } = site;
    drop(shunt);
    let site = PacketSite::on(topology, &plan);
    assert!(attached(&site), "it starts again where it was");
    site.exchange(&plan, &[Family::V4]);
    let PacketSite { shunt, topology } = site;
    drop(shunt);
    assert!(!topology.shunt.run("ip link show").unwrap().contains("xdp"));
}

/// Killed without a farewell, it leaves nothing attached that could stop the host's traffic.
#[test]
fn a_crash_leaves_nothing_attached() {
    if !has_labs() {
        return;
    }
    let plan = Plan::new(Mode::Nat);
    let site = PacketSite::start("crash", Shape::TwoArm, &plan);
    site.fetch(Family::V4, 0, 1_000, 1_000);
    let PacketSite { shunt, topology } = site;
    shunt.kill().unwrap();
    assert!(!topology.shunt.run("ip link show").unwrap().contains("xdp"));
    let site = PacketSite::on(topology, &plan);
    host_answers(&site);
    site.exchange(&plan, &Family::BOTH);
}

/// The kernel would answer for it, and swallow its packets.
#[test]
fn an_address_that_the_host_has_is_refused() {
    if !has_labs() {
        return;
    }
    let topology = shunt_tests::packet::topology("life-own", Shape::TwoArm, &[Mode::Nat]);
    let address = topology.virtual_address(Family::V4, 80).ip();
    topology.shunt.run(&format!("ip address add {address}/24 dev service")).unwrap();
    let config = Plan::new(Mode::Nat).config(&topology);
    let refused = shunt_lab::Shunt::start(&topology.shunt, &shunt_tests::program::path(), &config);
    let said = format!("{:?}", refused.err().unwrap());
    assert!(said.contains(&address.to_string()), "{said}");
    assert!(!topology.shunt.run("ip link show").unwrap().contains("xdp"));
}
