//! `cargo xtask lab siit`: a host of IPv6, one of IPv4, and Shunt between them on a TUN device.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};
use shunt_lab::{Family, Member, Offloads, Request, Shunt, Siit, Through};

use super::{End, LARGE, play};
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use crate::tools;

/// A router on the way lets nothing larger through.
const NARROW: u32 = 1_400;

pub(super) fn run(
    terminal: &Terminal,
    interrupt: &Interrupt,
    program: &Path,
    end: End,
    offloads: Offloads,
) -> Result<()> {
    terminal.stage("Building networks for siit");
    let lab = Siit::with("lab-siit", Through::Tun, offloads)?;
    println!();
    lab.drawing().lines().for_each(|line| terminal.line(line));
    println!();
    terminal.line("What brings packets to the translator, on its host:");
    for line in Siit::ways(Through::Tun) {
        terminal.line(terminal.faint(format_args!("  {line}")));
    }

    terminal.stage("Starting Shunt");
    let config = Siit::configured(Through::Tun, 1);
    let shunt = Shunt::start(&lab.shunt, program, &config)?;
    lab.wait_ready()?;
    terminal.done(format_args!("configuration: {}", shunt.config().display()));
    println!();
    config.lines().for_each(|line| terminal.line(terminal.toml(line)));

    for family in [Family::V6, Family::V4] {
        interrupt.sleep(std::time::Duration::ZERO)?;
        traffic(terminal, &lab, family)?;
    }
    terminal.stage(format_args!("The last link toward the server takes {NARROW} bytes"));
    lab.narrow(Family::V4, NARROW)?;
    fetch(terminal, &lab, Family::V6)?;
    let (from, to) = lab.ends(Family::V6);
    let learned = lab.client.path_mtu(from, to)?;
    ensure!(learned == Some(NARROW + 20), "the client has heard of {learned:?}");
    terminal
        .done(format_args!("the client has heard of {}: in IPv6 a header is 20 bytes longer", NARROW + 20));
    terminal.stage("What Shunt knows of it");
    shunt.client(&["status"])?.lines().for_each(|line| terminal.line(line));

    if end == End::WhenInterrupted {
        suggest(terminal, &lab, &shunt, program);
        play(interrupt, shunt)?;
    } else {
        drop(shunt);
    }
    terminal.stage("Taking everything down");
    drop(lab);
    terminal.done("nothing is left behind");
    Ok(())
}

/// A large body each way, a datagram, pings, and each hop of the way.
fn traffic(terminal: &Terminal, lab: &Siit, family: Family) -> Result<()> {
    let (from, to) = lab.ends(family);
    let client = lab.client_of(family);
    terminal.stage(format_args!("From {}, which has {family} only", client.name()));
    fetch(terminal, lab, family)?;
    let answer = client.ask(from, SocketAddr::new(to, Member::ECHO[0]), b"hello")?;
    let (who, seen) = (terminal.accent(&answer.member), terminal.faint(answer.client));
    terminal.done(format_args!("a datagram to {to}: {who} saw {seen}"));
    let answered = client.ping(from, to, 5, 56)?;
    ensure!(answered == 5, "{answered} of 5 pings were answered");
    terminal.done(format_args!("ping {to}: 5 of 5"));
    for (hops, [first, last]) in (1..).zip(lab.hops(family)) {
        let heard = client.ping_hops(from, to, hops)?;
        ensure!((first..=last).contains(&heard), "hop {hops} is {heard}, and should be {first}");
        terminal.done(format_args!("hop {hops}: {heard}"));
    }
    Ok(())
}

fn fetch(terminal: &Terminal, lab: &Siit, family: Family) -> Result<()> {
    let request = request(lab, family).upload(LARGE).download(LARGE);
    let answer = lab.client_of(family).fetch(&request)?;
    let right = lab.seen(family);
    ensure!(answer.client.ip() == right, "{} should have seen {right}, and saw {answer:?}", answer.member);
    let (who, seen) = (terminal.accent(&answer.member), terminal.faint(answer.client));
    terminal.done(format_args!("{}: 4 MiB each way, {who} saw {seen}", request.line()));
    Ok(())
}

fn request(lab: &Siit, family: Family) -> Request {
    let (from, to) = lab.ends(family);
    Request::new(from, SocketAddr::new(to, Member::HTTP[0]))
}

fn suggest(terminal: &Terminal, lab: &Siit, shunt: &Shunt, program: &Path) {
    let at = |host: &str, line: String| terminal.accent(format_args!("ip netns exec {host} {line}"));
    let program = tools::from_here(program).display();
    terminal.stage("Try next, in another terminal (as root)");
    for family in [Family::V6, Family::V4] {
        let (_, to) = lab.ends(family);
        let host = lab.client_of(family).namespace().name();
        terminal.line(at(host, format!("curl -gi http://{}/1000", SocketAddr::new(to, Member::HTTP[0]))));
        terminal.line(at(host, format!("ping -s 4000 {to}")));
        terminal.line(at(host, format!("ping -t 3 {to}")));
    }
    let (hairpin, client) = (lab.second_address(Family::V4), lab.client.namespace().name());
    terminal.line(at(client, format!("curl -gi http://[2001:db8:64::{hairpin}]/1000")));
    terminal.line(at(lab.shunt.namespace().name(), "tcpdump -ni siit".to_owned()));
    terminal.line(terminal.accent(format_args!("{program} --socket {} status", shunt.socket().display())));
    println!("\n  Everything stays; {} takes it down.", terminal.strong("Ctrl-C"));
}
