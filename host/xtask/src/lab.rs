//! `cargo xtask lab MODE`: a client, Shunt and two members in network namespaces, to play with.
//!
//! The members are set up as the book tells operators; the traffic is curl's, ping's and datagrams, over the kernel's own TCP.

mod siit;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use shunt_lab::{Family, Member, Mode, Offloads, Place, Plan, Request, Shape, Shunt, Topology};

use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use crate::tools;

/// What happens after the traffic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is over.
    Once,
    /// Everything stays until the user has played enough.
    WhenInterrupted,
}

/// Of which family members are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Members {
    /// Of their clients'.
    Alike,
    /// Of the other: packets are translated.
    Across,
}

/// Bytes of a body each way; enough for many windows of TCP.
const LARGE: usize = 4 << 20;

/// What is asked for.
pub(crate) struct Asked<'a> {
    mode: &'a str,
    end: End,
    members: Members,
    offloads: Offloads,
}

/// The words in any order. `None`: they mean nothing.
pub(crate) fn asked<'a>(words: &[&'a str]) -> Option<Asked<'a>> {
    let (mut mode, mut end, mut members) = (None, End::WhenInterrupted, Members::Alike);
    let mut offloads = Offloads::On;
    for word in words {
        match *word {
            "--once" => end = End::Once,
            "--across" => members = Members::Across,
            "--no-offloads" => offloads = Offloads::Off,
            word if mode.is_none() && !word.starts_with('-') => mode = Some(word),
            _ => return None,
        }
    }
    Some(Asked { mode: mode?, end, members, offloads })
}

pub(crate) fn run(terminal: &Terminal, asked: &Asked<'_>) -> Result<()> {
    let Asked { mode, end, members, offloads } = *asked;
    let is_siit = mode == SIIT;
    if !is_siit {
        let mode = mode_of(mode)?;
        let translates = matches!(mode, Mode::Nat | Mode::Snat);
        ensure!(translates || members == Members::Alike, "{mode} does not translate between families");
    }
    ensure!(
        nix::unistd::geteuid().is_root(),
        "network namespaces need root: `sudo --preserve-env=PATH cargo xtask lab {mode}`"
    );
    shunt_lab::check_programs()?;
    let interrupt = Interrupt::catch()?;
    tools::prepare(terminal)?;
    terminal.stage("Building Shunt (the first time takes a few minutes)");
    let program = tools::build_shunt(tools::Profile::Dev)?;
    terminal.done(tools::from_here(&program).display());
    if is_siit {
        return siit::run(terminal, &interrupt, &program, end, offloads);
    }
    let mode = mode_of(mode)?;
    terminal.stage(format_args!("Building networks for {mode}"));
    let mut topology = Topology::with(&format!("lab-{mode}"), shape(mode), offloads)?;
    topology.serve(&[mode])?;
    println!();
    topology.drawing().lines().for_each(|line| terminal.line(line));
    show_members(terminal, &topology, mode);

    terminal.stage("Starting Shunt");
    let plan = Plan { crossed: members == Members::Across, ..Plan::watched(mode) };
    let config = plan.config(&topology);
    let shunt = Shunt::start(&topology.shunt, &program, &config)?;
    terminal.done(format_args!("configuration: {}", shunt.config().display()));
    println!();
    // The virtuals and pools of IPv4; those of IPv6 are alike.
    let shown = config.find("name = \"web-6\"").map_or(config.len(), |at| at - "[[virtual]]\n".len());
    config[..shown].trim_end().lines().for_each(|line| terminal.line(terminal.toml(line)));
    terminal.line(terminal.faint("… and the same for IPv6"));

    for family in Family::BOTH {
        interrupt.sleep(Duration::ZERO)?;
        traffic(terminal, &topology, &plan, family)?;
    }
    terminal.stage("What Shunt knows of it");
    shunt.client(&["flow", "list"])?.lines().for_each(|line| terminal.line(line));

    if end == End::WhenInterrupted {
        suggest(terminal, &topology, &shunt, &program);
        play(&interrupt, shunt)?;
    } else {
        drop(shunt);
    }
    terminal.stage("Taking everything down");
    drop(topology);
    terminal.done("nothing is left behind");
    Ok(())
}

fn mode_of(name: &str) -> Result<Mode> {
    let known = [&Mode::ALL.map(Mode::name)[..], &[SIIT]].concat();
    let found = Mode::ALL.into_iter().find(|mode| mode.name() == name);
    found.with_context(|| format!("there is no mode {name:?}; there are {}", known.join(", ")))
}

/// Translation without members, in [`siit`].
const SIIT: &str = "siit";

/// Where the mode is at home.
fn shape(mode: Mode) -> Shape {
    match mode {
        Mode::Nat | Mode::Snat => Shape::TwoArm,
        Mode::L2dsr => Shape::OneArm,
        Mode::L3dsrDscp | Mode::L3dsrIpip | Mode::L3dsrGre | Mode::L3dsrGue => Shape::Routed,
    }
}

fn show_members(terminal: &Terminal, topology: &Topology, mode: Mode) {
    println!();
    let [member, _] = &topology.members;
    if member.said().is_empty() {
        terminal.line("Members need nothing: they answer an address on their own network.");
        return;
    }
    terminal.line("What makes a host a member, on m1 as on m2:");
    for line in member.said().iter().flat_map(|it| it.lines()) {
        terminal.line(terminal.faint(format_args!("  {line}")));
    }
    if mode.overhead(Family::V4) > 0 {
        terminal
            .line("and the end of the tunnel, which is a program here; with Linux' own device see the book.");
    }
}

/// Large bodies, datagrams and pings of two clients; an error where one is not answered as it should be.
fn traffic(terminal: &Terminal, topology: &Topology, plan: &Plan, family: Family) -> Result<()> {
    terminal.stage(format_args!("Traffic over {family}"));
    let web = topology.virtual_address(family, Member::HTTP[0]);
    let echo = topology.virtual_address(family, Member::ECHO[0]);
    let mut members = BTreeSet::new();
    for client in [0, 1] {
        let from = topology.client_address(family, client);
        let request = Request::new(from, web).upload(LARGE).download(LARGE);
        let answer = topology.client.fetch(&request)?;
        check(plan.seen(topology, family, from), answer.client.ip())?;
        let (member, seen) = (terminal.accent(&answer.member), terminal.faint(answer.client));
        terminal.done(format_args!("{}: 4 MiB each way, {member} saw {seen}", request.line()));
        members.insert(answer.member);
    }
    ensure!(members.len() == topology.members.len(), "the members do not take turns");
    let from = topology.client_address(family, 2);
    let answer = topology.client.ask(from, echo, b"hello")?;
    check(plan.seen(topology, family, from), answer.client.ip())?;
    let (member, seen) = (terminal.accent(&answer.member), terminal.faint(answer.client));
    terminal.done(format_args!("a datagram to {echo}: {member} saw {seen}"));
    let answered = topology.client.ping(from, echo.ip(), 5, 56)?;
    ensure!(answered == 5, "{answered} of 5 pings were answered");
    terminal.done(format_args!("ping {}: 5 of 5", echo.ip()));
    Ok(())
}

/// Whom a member sees is what distinguishes `snat`, and translation.
fn check(right: IpAddr, seen: IpAddr) -> Result<()> {
    if seen != right {
        bail!("the member should have seen {right}, and saw {seen}");
    }
    Ok(())
}

fn suggest(terminal: &Terminal, topology: &Topology, shunt: &Shunt, program: &Path) {
    let at = |host: &str, line: String| terminal.accent(format_args!("ip netns exec {host} {line}"));
    let client = topology.client.namespace().name();
    let segment = topology.shape.servers().name();
    let web = |family| topology.virtual_address(family, Member::HTTP[0]);
    let program = tools::from_here(program).display();
    let doctor = format!("{program} doctor {}", shunt.config().display());
    let shunt = format!("{program} --socket {}", shunt.socket().display());
    terminal.stage("Try next, in another terminal (as root)");
    terminal.line(at(client, format!("curl -i http://{}/1000", web(Family::V4))));
    terminal.line(at(client, format!("curl -gi http://{}/1000", web(Family::V6))));
    terminal.line(at(client, format!("ping {}", web(Family::V4).ip())));
    for place in BTreeSet::from([Place::Service.name(), segment]) {
        terminal.line(at(topology.lab.switch().namespace().name(), format!("tcpdump -ni {place}")));
    }
    terminal.line(terminal.accent(format_args!("{shunt} flow list")));
    terminal.line(terminal.accent(format_args!("{shunt} status")));
    terminal.line(at(topology.shunt.namespace().name(), doctor));
    println!("\n  Everything stays; {} takes it down.", terminal.strong("Ctrl-C"));
}

/// Until the user has enough, or Shunt ends.
fn play(interrupt: &Interrupt, mut shunt: Shunt) -> Result<()> {
    while interrupt.sleep(Duration::from_millis(500)).is_ok() {
        ensure!(shunt.runs(), "Shunt ended; it said:\n{}", shunt.log());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_anywhere() {
        let of = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let Asked { mode, end, members, offloads } = asked(&words)?;
            Some((mode.to_owned(), end == End::Once, members == Members::Across, offloads == Offloads::Off))
        };
        assert_eq!(of("nat"), Some(("nat".to_owned(), false, false, false)));
        assert_eq!(of("--once nat --across"), Some(("nat".to_owned(), true, true, false)));
        assert_eq!(of("--no-offloads nat"), Some(("nat".to_owned(), false, false, true)));
        assert_eq!((of("--once"), of("nat snat"), of("nat --twice")), (None, None, None));
    }

    #[test]
    fn modes_are_named_as_in_the_configuration() {
        for mode in Mode::ALL {
            assert_eq!(mode_of(mode.name()).unwrap(), mode);
        }
        assert!(mode_of("dsr").unwrap_err().to_string().contains("l2dsr"));
    }
}
