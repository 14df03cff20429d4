//! The kernel program is judged by the golden packets of the engine, by test runs: each frame of a case that comes in by an
//! Ethernet interface is Shunt's or the kernel's, as the line `steered` below it says.
//!
//! `SHUNT_BLESS=1 cargo test -p shunt-packets --test kernel` as root writes those lines; read what it changed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue fails")]

#[path = "../../../engine/tests/golden/case.rs"]
mod case;
#[path = "../../../engine/tests/golden/frame/mod.rs"]
#[allow(dead_code, unused_imports, reason = "frames are only read here")]
mod frame;
#[path = "../../../engine/tests/datapath/lab.rs"]
#[allow(dead_code, reason = "what the datapath is driven with besides")]
mod lab;
#[path = "../../../sys/tests/kernel/namespace.rs"]
#[allow(dead_code, reason = "what other tests do in namespaces")]
mod namespace;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use shunt_engine::datapath::Snapshot;
use shunt_engine::demand::{Demand, Needs};
use shunt_sys::netlink::Link;
use shunt_sys::xdp::{Steering, Wanted};
use shunt_sys::xsk::{Options, Socket};
use shunt_wire::steering::{Outcome, Segment};

use case::{Case, Step};
use lab::{Lab, PROBES, interface};

/// The actions of linux/bpf.h.
const PASS: u32 = 2;
const REDIRECT: u32 = 4;

/// The least that a test run takes (net/bpf/test_run.c): an Ethernet header.
const LEAST: usize = 14;

#[test]
fn every_frame_is_steered_as_its_case_says() {
    namespace::within("test runs of the XDP program", || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/golden");
        let mut kernel = Kernel::new();
        let mut wrong = Vec::new();
        let mut frames = 0;
        for (name, case) in case::all(&folder).unwrap() {
            let judged = kernel.judge(&case).unwrap_or_else(|error| panic!("{name}: {error}"));
            frames += judged.iter().flatten().count();
            if env::var_os("SHUNT_BLESS").is_some() {
                bless(&folder.join(&name), &judged);
            } else if let Err(error) = compare(&case, &judged) {
                wrong.push(format!("{name}: {error}"));
            }
        }
        assert!(wrong.is_empty(), "{} cases go otherwise:\n{}", wrong.len(), wrong.join("\n"));
        assert!(frames > 500, "only {frames} frames were judged");
    });
}

/// The program on loopback, where test runs come in, with a socket for its one queue.
struct Kernel {
    steering: Steering,
    lo: Link,
    _socket: Socket,
}

impl Kernel {
    fn new() -> Self {
        let mut lo = namespace::link("lo");
        lo.mtu = 1500;
        let socket = Socket::open(&lo, 0, Options { frames: 64 }).unwrap();
        let mut steering = Steering::load().unwrap();
        steering.attach(&lo, [&socket]).unwrap();
        Self { steering, lo, _socket: socket }
    }

    /// What becomes of each frame that comes in; `None` where it comes past the program, or cannot be run.
    fn judge(&mut self, case: &Case) -> Result<Vec<Option<&'static str>>, String> {
        let mut lab = Lab::new(&case.setting)?;
        let mut demands = Demands::default();
        let mut judged = Vec::new();
        for step in &case.steps {
            match step {
                Step::In { interface, frame } => {
                    judged.push(self.run(&lab, &mut demands, interface, frame)?);
                }
                Step::Other(line) if line.is_setting() => lab.set(&line.word, &line.rest)?,
                _ => {}
            }
        }
        Ok(judged)
    }

    fn run(
        &mut self,
        lab: &Lab,
        demands: &mut Demands,
        name: &str,
        frame: &[u8],
    ) -> Result<Option<&'static str>, String> {
        let index = interface(name)?;
        let link = lab.network.interface(index).ok_or("no such interface")?;
        if link.point_to_point || frame.len() < LEAST {
            return Ok(None);
        }
        let wanted = demands.wanted(lab, &*lab.snapshot()?, index, self.lo.index);
        self.steering.steer(&wanted).map_err(|error| error.to_string())?;
        self.steering.set_mac(self.lo.index, link.mac).map_err(|error| error.to_string())?;
        let before = self.steering.outcomes().map_err(|error| error.to_string())?;
        let action = self.steering.test_run(frame, 1).map_err(|error| error.to_string())?.action;
        let after = self.steering.outcomes().map_err(|error| error.to_string())?;
        let counted: Vec<Outcome> =
            before.iter().zip(&after).filter(|(old, new)| old.1 != new.1).map(|(_, new)| new.0).collect();
        let [outcome] = counted[..] else { return Err(format!("counted {counted:?} for one frame")) };
        let to_kernel = matches!(outcome, Outcome::Pass | Outcome::Unreadable);
        if action != if to_kernel { PASS } else { REDIRECT } {
            return Err(format!("{} with action {action}", outcome.name()));
        }
        Ok(Some(answer(outcome)))
    }
}

/// The answer to a frame, as it stands in a case.
fn answer(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "kernel",
        Outcome::Unreadable => "kernel unreadable",
        Outcome::Owned => "shunt owned",
        Outcome::Resolution => "shunt resolution",
        Outcome::Reply => "shunt reply",
        Outcome::Error => "shunt error",
        Outcome::Fragment => "shunt fragment",
        Outcome::Direct => "shunt direct",
        Outcome::Segment => "shunt segment",
        Outcome::NoSocket => "nobody",
    }
}

/// What was wanted up to now: flows may still have answers of members that left.
#[derive(Default)]
struct Demands(Demand);

impl Demands {
    /// As the packet plane has it of a configuration that names every interface of the lab for each virtual. What comes
    /// in by `ingress` comes in by `lo` in a test run.
    fn wanted(&mut self, lab: &Lab, snapshot: &Snapshot, ingress: u32, lo: u32) -> Wanted {
        let mut demand = Demand::default();
        let segments: Vec<(u32, Segment)> = lab
            .network
            .interfaces()
            .filter(|link| link.index == ingress || link.vlan.is_some_and(|vlan| vlan.parent == ingress))
            .map(|link| (link.index, Segment::new(lo, link.vlan.map_or(0, |vlan| vlan.id))))
            .collect();
        for virtual_ in snapshot.virtuals() {
            let needs = Needs {
                listen: virtual_.listen,
                transport: virtual_.transport,
                mode: virtual_.modes.default_mode().name(),
                has_rules: virtual_.hooks.on_flow,
                gue_port: virtual_.gue_port,
            };
            for (link, segment) in &segments {
                demand.add_segment(&needs, *segment, virtual_.interfaces.contains(link));
            }
            if virtual_.pool.is_some() || needs.has_rules {
                lab.pool.members.iter().for_each(|member| demand.add_member(&needs, member.endpoint));
            }
        }
        for translator in snapshot.translators() {
            let own = segments.iter().filter(|(link, _)| translator.interfaces.contains(link));
            demand.whole.extend(own.map(|(_, segment)| *segment));
        }
        self.0.return_endpoints.extend(&demand.return_endpoints);
        self.0.tunnels.extend(&demand.tunnels);
        let hosts = lab.network.interfaces().filter(|link| link.index != PROBES);
        Wanted {
            owned: snapshot.owned_addresses().map(|(address, _)| address).collect(),
            host: hosts
                .flat_map(|link| &link.addresses)
                .map(|(address, _)| *address)
                .collect::<BTreeSet<_>>(),
            return_endpoints: self.0.return_endpoints.clone(),
            tunnels: self.0.tunnels.clone(),
            whole: demand.whole,
        }
    }
}

/// Whether the lines of a case say what was found.
fn compare(case: &Case, judged: &[Option<&str>]) -> Result<(), String> {
    let frames = case.steps.iter().enumerate().filter(|(_, step)| matches!(step, Step::In { .. }));
    for ((at, _), found) in frames.zip(judged) {
        let said = match case.steps.get(at + 1) {
            Some(Step::Other(line)) if line.word == case::STEERED => Some(line.rest.as_str()),
            _ => None,
        };
        if said != *found {
            return Err(format!("step {}: steered {found:?}, and the case says {said:?}", at + 1));
        }
    }
    Ok(())
}

/// Writes what was found below each frame.
fn bless(name: &Path, judged: &[Option<&str>]) {
    let path = PathBuf::from(format!("{}.txt", name.display()));
    let text = fs::read_to_string(&path).unwrap();
    let mut judged = judged.iter();
    let (story, conversation) = text.split_once("\n\n").unwrap();
    let mut out = format!("{story}\n\n");
    let mut lines = conversation.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with(case::STEERED) {
            continue;
        }
        out += &format!("{line}\n");
        if !line.starts_with("in ") {
            continue;
        }
        while let Some(more) = lines.next_if(|line| line.starts_with(' ')) {
            out += &format!("{more}\n");
        }
        if let Some(found) = judged.next().unwrap() {
            out += &format!("{} {found}\n", case::STEERED);
        }
    }
    assert!(judged.next().is_none(), "{}: not every frame was found", path.display());
    fs::write(&path, out).unwrap();
}
