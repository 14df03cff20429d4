//! Runs a golden case against the datapath.
//!
//! Beside `in`, `out` and `verdict` a conversation has these words, and those of a [setting](crate::lab), which
//! are a reload or a change of the network:
//!
//! ```text
//! steered shunt WHY|kernel         who gets the frame from the kernel program; that one is asked elsewhere
//! at MS                            the clock advances to so many milliseconds; timers fire
//! again N INTERFACE FRAME          the frame comes in so often, and is held each time
//! headroom BYTES                   what the driver leaves in front of frames from now on
//! announce                         Shunt starts
//! lost REASON                      the driver lost a frame
//! takes INTERFACE PART : FRAME     another worker hands over a frame, with what it is a part of, or `-`
//! hands WORKER INTERFACE PART : FRAME      a fragment went to another worker; PART is
//!                                  tcp|udp|icmp ENDPOINT > ENDPOINT as IDENTIFICATION
//! delete                           an operator deletes the oldest flow
//! solicits INTERFACE ADDRESS       the kernel was asked for a neighbour
//! state WORD                       of the only flow
//! flows N                          in the table
//! done OUTCOME PACKETS/BYTES PACKETS/BYTES [MEMBER]      what rules are told, to the server and to the client
//! counts REASON N                  how often
//! noticed ADDRESS:PORT WORDS       what the monitor is told of its probe from there
//! forwarded N                      flows and packets to the server, counted by virtuals, members and modes
//! words to-server|to-client TEXT   a line of what `shunt flow show` says
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use shunt_engine::datapath::{
    Asked, Counters, Datapath, Done, DropReason, Filter, FlowSummary, Notice, Question, Verdict,
};
use shunt_engine::flow::Cursor;
use shunt_engine::fragment::FragmentOf;
use shunt_wire::frame::HEADROOM;
use shunt_wire::{FlowKey, Frame, ip};

use crate::case::{Case, Line, STEERED, Step};
use crate::driver::{HandedOver, Recorder};
use crate::frame;
use crate::lab::{Lab, address, endpoint, interface, interface_name, number};
use crate::partial;

/// When every case begins, in milliseconds.
const START: u64 = 1_000_000;

/// A frame, and the interface that it went out by.
type Sent = (u32, Vec<u8>);

/// A case that runs.
struct Script {
    lab: Lab,
    datapath: Datapath,
    driver: Recorder,
    now: u64,
    headroom: usize,
    /// What went out and was not asked about.
    out: Vec<Sent>,
    verdict: Option<Verdict>,
    /// Every frame is explained before it comes in.
    explains: bool,
}

/// Runs a case. The error says where it went another way; else the reasons of its drops come back.
pub(crate) fn run(case: &Case) -> Result<Vec<DropReason>, String> {
    play(case, false)
}

/// Runs a case, in which every frame goes as it was explained, and explaining it changes nothing.
pub(crate) fn run_explained(case: &Case) -> Result<(), String> {
    play(case, true).map(drop)
}

fn play(case: &Case, explains: bool) -> Result<Vec<DropReason>, String> {
    let lab = Lab::new(&case.setting)?;
    let datapath = lab.datapath(START)?;
    let ruling = lab.ruling.clone();
    let driver = Recorder { ruling, random: lab.random, probes: lab.probed(), ..Recorder::default() };
    let (now, headroom) = (START, HEADROOM);
    let mut script =
        Script { lab, datapath, driver, now, headroom, out: Vec::new(), verdict: None, explains };
    for (at, step) in case.steps.iter().enumerate() {
        script.step(step).map_err(|error| format!("step {}: {error}", at + 1))?;
    }
    script.nothing_left()?;
    let drops = script.datapath.counters().drops;
    Ok(DropReason::ALL.into_iter().filter(|reason| drops[*reason as usize] > 0).collect())
}

impl Script {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::In { interface, frame } => {
                self.nothing_left()?;
                self.receive(interface, frame)
            }
            Step::Out { interface, frame } => self.expect(interface, frame),
            Step::Verdict(expected) => {
                let verdict = self.verdict.take().ok_or("no frame came in before")?;
                same(&of_verdict(verdict), expected)
            }
            Step::Other(line) => self.other(line),
        }
    }

    fn receive(&mut self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let end = self.headroom + bytes.len();
        let mut buffer = vec![0xee; end + HEADROOM];
        buffer[self.headroom..end].copy_from_slice(bytes);
        let mut frame = Frame::new(&mut buffer, self.headroom, end);
        // What the driver leaves in front is not asked about.
        let explained =
            (self.explains && self.headroom == HEADROOM).then(|| self.explain(name, bytes)).transpose()?;
        let verdict = self.datapath.receive(self.now, interface(name)?, &mut frame, &mut self.driver);
        // What was sent beside it left before it.
        self.take_sent();
        if let Some(interface) = verdict.interface() {
            self.out.push((interface, frame.bytes().to_vec()));
        }
        self.verdict = Some(verdict);
        if let Some((verdict, leaves)) = explained {
            same(&of_verdict(verdict), &self.verdict.map(of_verdict).unwrap_or_default())?;
            let left = |frames: &[Sent]| {
                let line = |(interface, bytes): &Sent| {
                    format!("{} {}", interface_name(*interface), frame::write(bytes))
                };
                frames.iter().map(line).collect::<BTreeSet<_>>()
            };
            let (found, expected) = (left(&leaves), left(&self.out));
            if found != expected {
                return Err(format!("explained as {found:#?}, and it was {expected:#?}"));
            }
        }
        self.as_it_came(bytes)
    }

    /// What is said to become of a frame, and nothing else changes.
    fn explain(&mut self, name: &str, bytes: &[u8]) -> Result<(Verdict, Vec<Sent>), String> {
        let before = (self.counted(), self.flows());
        let question = Question { link: Some(interface(name)?), asked: Asked::Frame(bytes.to_vec()) };
        let probes = self.lab.probed();
        let (ruling, random) = (self.lab.ruling.clone(), self.lab.random);
        let mut driver = Recorder { ruling, random, probes, ..Recorder::default() };
        let told =
            self.datapath.explain(self.now, &question, &mut driver).map_err(|why| format!("{why:?}"))?;
        if before != (self.counted(), self.flows()) {
            return Err("explaining it changed something".to_owned());
        }
        let is_quiet = driver.sent.is_empty() && driver.noticed.is_empty();
        if driver.asked.len() != usize::from(told.rules_were_asked) || !is_quiet {
            return Err(format!("explaining it did this: {driver:?}"));
        }
        let leaves = told.leaves.into_iter().map(|it| Ok((interface(&it.interface)?, it.bytes)));
        Ok((told.verdict, leaves.collect::<Result<_, String>>()?))
    }

    /// Everything that is counted, but for memory: that of a flow is kept for the next.
    fn counted(&self) -> Counters {
        Counters { memory: 0, ..self.datapath.counters() }
    }

    /// What another worker hands over.
    fn take(&mut self, name: &str, part: Option<FragmentOf>, bytes: &[u8]) -> Result<(), String> {
        let end = self.headroom + bytes.len();
        let mut buffer = vec![0xee; end + HEADROOM];
        buffer[self.headroom..end].copy_from_slice(bytes);
        let mut frame = Frame::new(&mut buffer, self.headroom, end);
        let (now, driver) = (self.now, &mut self.driver);
        let verdict = self.datapath.receive_handed_over(now, interface(name)?, &mut frame, part, driver);
        if let Some(interface) = verdict.interface() {
            self.out.push((interface, frame.bytes().to_vec()));
        }
        self.verdict = Some(verdict);
        self.take_sent();
        Ok(())
    }

    /// A frame of which nothing is said goes to another worker as it came, with its whole checksum. Those with
    /// something beside them are in the case.
    fn as_it_came(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.driver.handed_over.is_empty() {
            return Ok(());
        }
        let bytes = partial::whole(bytes);
        let nothing_said = |it: &HandedOver| it.part.is_none();
        let same = self.driver.handed_over.iter().filter(|it| nothing_said(it)).all(|it| it.frame == bytes);
        self.driver.handed_over.retain(|it| !nothing_said(it));
        if same { Ok(()) } else { Err("another frame was handed over".to_owned()) }
    }

    fn expect(&mut self, name: &str, bytes: &[u8]) -> Result<(), String> {
        if self.out.is_empty() {
            return Err(format!("nothing went out; expected {name} {}", frame::write(bytes)));
        }
        let (interface, sent) = self.out.remove(0);
        let line = |interface: &str, bytes| format!("{interface} {}", frame::write(bytes));
        same(&line(&interface_name(interface), &sent), &line(name, bytes))?;
        if sent == bytes { Ok(()) } else { Err(format!("equal as text, but {sent:02x?}")) }
    }

    fn other(&mut self, line: &Line) -> Result<(), String> {
        let words: Vec<&str> = line.rest.split_whitespace().collect();
        match (line.word.as_str(), &words[..]) {
            ("at", [ms]) => {
                self.nothing_left()?;
                self.now = START + number::<u64>(ms)?;
                self.datapath.tick(self.now, &mut self.driver);
                self.take_sent();
            }
            ("again", [count, name, ..]) => {
                let text = line.rest.splitn(3, ' ').nth(2).unwrap_or_default();
                let bytes = frame::read(text)?;
                for _ in 0..number::<usize>(count)? {
                    self.receive(name, &bytes)?;
                    same(&self.verdict.take().map(of_verdict).unwrap_or_default(), "held")?;
                }
            }
            ("headroom", [bytes]) => self.headroom = number(bytes)?,
            ("announce", []) => {
                self.datapath.announce(&mut self.driver);
                self.take_sent();
            }
            ("lost", [name]) => self.datapath.lost(reason(name)?),
            ("takes", [name, ..]) => {
                self.nothing_left()?;
                let (part, frame) = handed(&line.rest[name.len()..])?;
                self.take(name, part, &frame)?;
            }
            ("hands", [worker, name, ..]) => {
                let expected = number::<usize>(worker)?;
                let rest = line.rest.splitn(3, ' ').nth(2).unwrap_or_default();
                let (part, frame) = handed(rest)?;
                if self.driver.handed_over.is_empty() {
                    return Err("nothing was handed over".to_owned());
                }
                let HandedOver { worker, ingress, part: found, frame: bytes } =
                    self.driver.handed_over.remove(0);
                let say = |worker, interface: &str, part: Option<FragmentOf>, bytes| {
                    let part = part.map(|it| format!("{} as {}", it.flow, it.identification));
                    format!("{worker} {interface} {} : {}", part.unwrap_or_default(), frame::write(bytes))
                };
                let found = say(worker, &interface_name(ingress), found, &bytes);
                same(&found, &say(expected, name, part, &frame))?;
            }
            ("delete", []) => {
                let flow = self.flows().into_iter().next().ok_or("there is no flow")?;
                assert!(self.datapath.delete(self.now, flow.id, &mut self.driver), "it was listed");
                self.take_sent();
            }
            ("solicits", [name, neighbour]) => {
                let expected = (interface(name)?, address(neighbour)?);
                let place = self.driver.solicited.iter().position(|it| *it == expected);
                self.driver.solicited.remove(place.ok_or("nobody was asked for")?);
            }
            ("state", [state]) => {
                let flow = self.flows().into_iter().next().ok_or("there is no flow")?;
                same(flow.state, state)?;
            }
            ("flows", [count]) => same(&self.flows().len().to_string(), count)?,
            ("done", _) => {
                if self.driver.done.is_empty() {
                    return Err("no flow is done".to_owned());
                }
                let done = self.driver.done.remove(0);
                same(&of_done(&done), &line.rest)?;
            }
            ("noticed", [from, ..]) => {
                if self.driver.noticed.is_empty() {
                    return Err("nothing was noticed".to_owned());
                }
                let (key, notice) = self.driver.noticed.remove(0);
                same(&format!("{} {}", key.source(), of_notice(notice)), &line.rest)?;
                same(&key.source().to_string(), from)?;
            }
            ("forwarded", [count]) => {
                let counters = self.datapath.counters();
                let virtuals = counters.virtuals.values().map(|it| it.traffic);
                let all = virtuals.chain(counters.members.values().copied()).chain(counters.modes);
                same(&all.map(|it| it.flows + it.to_server.packets).sum::<u64>().to_string(), count)?;
            }
            ("counts", [name, count]) => {
                let drops = self.datapath.counters().drops;
                same(&drops[reason(name)? as usize].to_string(), count)?;
            }
            ("words", [direction, ..]) => {
                let flow = self.flows().into_iter().next().ok_or("there is no flow")?;
                let details = self.datapath.flow(self.now, flow.id).ok_or("it is gone")?;
                let said = if *direction == "to-server" { details.to_server } else { details.to_client };
                same(&said.join("; "), line.rest[direction.len()..].trim())?;
            }
            (STEERED, ["shunt" | "kernel", ..]) => {}
            _ if line.is_setting() => self.change(line)?,
            _ => return Err(format!("not so: {} {}", line.word, line.rest)),
        }
        Ok(())
    }

    fn change(&mut self, line: &Line) -> Result<(), String> {
        self.nothing_left()?;
        let before = self.lab.network.clone();
        self.lab.set(&line.word, &line.rest)?;
        (self.driver.ruling, self.driver.random) = (self.lab.ruling.clone(), self.lab.random);
        self.driver.probes = self.lab.probed();
        if self.lab.network != before {
            let network = Arc::new(self.lab.network.clone());
            self.datapath.apply_network(self.now, network, &mut self.driver);
        } else {
            let next = self.lab.next_snapshot(std::slice::from_ref(&self.datapath))?;
            self.datapath.apply_snapshot(next);
        }
        self.take_sent();
        Ok(())
    }

    fn flows(&self) -> Vec<FlowSummary> {
        let mut flows = Vec::new();
        let end = self.datapath.flows(self.now, &Filter::default(), Cursor::default(), usize::MAX, |flow| {
            flows.push(flow);
        });
        assert!(end.is_none(), "one walk is enough");
        flows
    }

    fn take_sent(&mut self) {
        self.out.append(&mut self.driver.sent);
    }

    /// Every frame that goes out is in the case, and the verdict of every frame.
    fn nothing_left(&self) -> Result<(), String> {
        if let Some(verdict) = self.verdict {
            return Err(format!("the verdict is missing: {}", of_verdict(verdict)));
        }
        if let Some((key, notice)) = self.driver.noticed.first() {
            return Err(format!("not said: noticed {} {}", key.source(), of_notice(*notice)));
        }
        if let Some(handed) = self.driver.handed_over.first() {
            return Err(format!("this was handed over, and the case does not say so: {handed:?}"));
        }
        match self.out.first() {
            Some((interface, frame)) => Err(format!(
                "this went out, and the case does not say so:\nout {} {}",
                interface_name(*interface),
                frame::write(frame)
            )),
            None => Ok(()),
        }
    }
}

fn of_verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Send { interface } => format!("send {}", interface_name(interface)),
        Verdict::Answer { interface } => format!("answer {}", interface_name(interface)),
        Verdict::Pending => "held".to_owned(),
        Verdict::Sent => "sent".to_owned(),
        Verdict::HandOver { worker } => format!("hand-over {worker}"),
        Verdict::Refuse { interface, reason } => format!("refuse {} {reason}", interface_name(interface)),
        Verdict::Drop(reason) => format!("drop {reason}"),
    }
}

fn of_notice(notice: Notice) -> String {
    match notice {
        Notice::Forwarded { from } => format!("forwarded from {from}"),
        Notice::Refused(reason) => format!("refused {reason}"),
        Notice::Answered => "answered".to_owned(),
        Notice::AnsweredBy(other) => format!("answered-by {other}"),
        Notice::Detour { gateway } => format!("detour {gateway}"),
        Notice::Returned => "returned".to_owned(),
        Notice::Error { by, icmp_type, icmp_code } => format!("error {icmp_type}/{icmp_code} by {by}"),
    }
}

fn of_done(done: &Done) -> String {
    format!(
        "{:?} {}/{} {}/{}{}",
        done.outcome,
        done.to_server.packets,
        done.to_server.bytes,
        done.to_client.packets,
        done.to_client.bytes,
        done.member.map(|member| format!(" {member}")).unwrap_or_default()
    )
}

/// What a frame is a part of, and the frame.
fn handed(text: &str) -> Result<(Option<FragmentOf>, Vec<u8>), String> {
    let (part, bytes) = text.split_once(" : ").ok_or("PART : FRAME")?;
    if part.trim() == "-" {
        return Ok((None, frame::read(bytes)?));
    }
    let words: Vec<&str> = part.split_whitespace().collect();
    let [protocol, source, ">", destination, "as", identification] = words[..] else {
        return Err(format!("no part of anything: {part}"));
    };
    let (source, destination) = (endpoint(source)?, endpoint(destination)?);
    let protocol = match (protocol, source.address.to_ipv4()) {
        ("tcp", _) => ip::TCP,
        ("udp", _) => ip::UDP,
        ("icmp", Some(_)) => ip::ICMP,
        ("icmp", None) => ip::ICMPV6,
        _ => return Err(format!("no protocol: {protocol}")),
    };
    let flow = FlowKey::new(source, destination, protocol);
    Ok((Some(FragmentOf { flow, identification: number(identification)? }), frame::read(bytes)?))
}

fn reason(name: &str) -> Result<DropReason, String> {
    let mut all = DropReason::ALL.into_iter();
    all.find(|reason| reason.as_str() == name).ok_or_else(|| format!("no reason: {name}"))
}

fn same(found: &str, expected: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("\n  found    {found}\n  expected {expected}")) }
}
