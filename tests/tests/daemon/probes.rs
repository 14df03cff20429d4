//! Monitors that are rules: what they ask, what their judgement does, and what becomes of it when the rule changes.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, until};
use shunt_tests::packs;
use shunt_tests::site;

/// A member that answers each line with what it is to say now, and counts its connections.
struct Speaker {
    address: SocketAddr,
    says: Arc<Mutex<String>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Speaker {
    fn new(says: &str) -> Speaker {
        let member = address::free();
        let listener = TcpListener::bind(member).unwrap();
        let (says, heard) = (Arc::new(Mutex::new(says.to_owned())), Arc::<Mutex<Vec<String>>>::default());
        let (answers, lines) = (Arc::clone(&says), Arc::clone(&heard));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (answers, lines) = (Arc::clone(&answers), Arc::clone(&lines));
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    let mut line = String::new();
                    while stream.read_line(&mut line).is_ok_and(|length| length > 0) {
                        lines.lock().unwrap().push(std::mem::take(&mut line));
                        let answer = answers.lock().unwrap().clone();
                        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Speaker { address: member, says, heard }
    }

    fn say(&self, text: &str) {
        text.clone_into(&mut self.says.lock().unwrap());
    }

    fn heard(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

fn monitor(pack: &Path, hello: &str, more: &str) -> String {
    format!(
        "monitor = {{ rule = {{ name = \"judge\", pack = {pack:?}, settings = {{ hello = \"{hello}\\n\" }} {more} }}, \
         interval = \"200ms\", timeout = \"200ms\", rise = 1, fall = 3 }}"
    )
}

fn configured(keys: &str, members: &[SocketAddr]) -> String {
    site::config(address::free(), "", &site::pool("web", keys, members))
}

fn member(daemon: &Daemon) -> (String, String) {
    let member = daemon.status()["pools"][0]["members"][0].clone();
    let text = |key: &str| member[key].as_str().unwrap_or_default().to_owned();
    (text("health"), text("reason"))
}

#[track_caller]
fn becomes(daemon: &Daemon, health: &str, reason: &str) {
    let told = (health.to_owned(), reason.to_owned());
    until(&format!("it is {health}, {reason}"), || member(daemon) == told);
}

#[test]
fn a_rule_judges_members() {
    let speaker = Speaker::new("up all is well\n");
    let keys = monitor(&packs::guest("probes"), "PING", "");
    let daemon = Daemon::start(&configured(&keys, &[speaker.address]));
    becomes(&daemon, "up", "all is well");
    assert_eq!(speaker.heard.lock().unwrap()[0], "PING\n");
    speaker.say("down disk is full\n");
    becomes(&daemon, "down", "disk is full");
    daemon.wait_log("member down");
    speaker.say("up\n");
    becomes(&daemon, "up", "the rule says up");
    speaker.say("not a line");
    becomes(&daemon, "down", "timed out after 200ms");
    // The second question is the guest's own.
    speaker.say("send STATE\n");
    until("it asks on", || speaker.heard.lock().unwrap().iter().any(|it| it == "STATE\n"));
    let rules = daemon.shunt(&["rule", "list", "-o", "json"]).json();
    let rule = &rules["rules"][0];
    assert_eq!(rule["name"], "pool:web/judge");
    let hook = rule["hooks"].as_array().unwrap().iter().find(|it| it["hook"] == "on-probe").unwrap();
    assert!(hook["calls"].as_u64().unwrap() > 4, "{rule}");
    assert_eq!(daemon.status()["pools"][0]["rules"][0]["name"], "pool:web/judge");
    let metrics = daemon.ask("GET", "/v1/metrics", "text/plain", b"").text();
    assert!(metrics.contains("rule=\"pool:web/judge\""), "{metrics}");
    let tables = daemon.shunt(&["table", "list"]).good();
    assert!(tables.contains("pool:web/judge") && tables.contains("ups"), "{tables}");
}

#[test]
fn a_rule_judges_members_over_udp() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let member = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 100];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let answer = if &buffer[..length] == b"PING\n" { "up by datagram\n" } else { "down\n" };
            let _ = socket.send_to(answer.as_bytes(), from);
        }
    });
    let keys = monitor(&packs::guest("probes"), "PING", ", over = \"udp\"");
    let daemon = Daemon::start(&configured(&keys, &[member]));
    becomes(&daemon, "up", "by datagram");
}

#[test]
fn a_fault_is_a_failed_probe_that_names_the_rule() {
    let speaker = Speaker::new("up\n");
    let keys = monitor(&packs::guest("probes"), "PING", "");
    let daemon = Daemon::start(&configured(&keys, &[speaker.address]));
    becomes(&daemon, "up", "the rule says up");
    speaker.say("panic\n");
    until("it is down", || {
        let (health, reason) = member(&daemon);
        health == "down" && reason.starts_with("the rule has a fault: on-probe: panic")
    });
    daemon.wait_log("monitor rule fault: the probe counts as failed");
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("monitor rule fault")).unwrap();
    assert!(line.contains("pool:web/judge") && line.contains("as the member says"), "{line}");
    // The breaker opens, and then the rule is not called: the members stay where they are.
    daemon.wait_log("the rule is not called: it had too many faults");
    speaker.say("up again\n");
    becomes(&daemon, "up", "again");
}

#[test]
fn another_version_judges_and_no_monitor_is_restarted() {
    let speaker = Speaker::new("up\n");
    let folder = shunt_tests::daemon::Folder::new();
    let guest = packs::guest("probes");
    let keys = monitor(&guest, "PING", "");
    folder.configure(&configured(&keys, &[speaker.address]));
    let daemon = Daemon::start_in(folder);
    becomes(&daemon, "up", "the rule says up");
    let heard = speaker.heard();
    let unloaded = daemon.shunt(&["rule", "unload", "pool:web/judge"]).good();
    assert!(unloaded.contains("members of pool web stay as they are"), "{unloaded}");
    until("it is not called", || member(&daemon).1 == "not probed: the rule is not called: it is unloaded");
    assert_eq!(member(&daemon).0, "up");
    daemon.shunt(&["rule", "load", "pool:web/judge", guest.to_str().unwrap()]).good();
    becomes(&daemon, "up", "the rule says up");
    assert!(speaker.heard() > heard);
    // Other settings are another monitor, which begins where the old one was.
    let config = daemon.folder().config();
    let text = std::fs::read_to_string(config).unwrap();
    daemon.reload(&text.replace("PING", "HELO"));
    until("it asks anew", || speaker.heard.lock().unwrap().iter().any(|it| it == "HELO\n"));
    assert_eq!(member(&daemon).0, "up");
}

#[test]
fn what_is_no_rule_of_a_monitor_is_refused_with_its_place() {
    let checked = |config: &str| {
        let folder = shunt_tests::daemon::Folder::new();
        folder.configure(config);
        let config = folder.config();
        let mut command = shunt_tests::program::command();
        let ended = shunt_tests::program::ended(command.arg("check").arg(config));
        ended.stderr
    };
    let members = [address::free()];
    let refused = checked(&configured(&monitor(&packs::guest("data"), "", ""), &members));
    for text in ["on-data, which a monitor never calls", "attach it to a virtual", "monitor = { rule"] {
        assert!(refused.contains(text), "{text:?} is not in {refused}");
    }
    let rule = site::rule("judge", &packs::guest("probes"), "");
    let refused = checked(&site::config(address::free(), "", &(rule + &site::pool("web", "", &members))));
    for text in ["on-probe, which its virtual never calls", "use it in the `monitor` of a pool"] {
        assert!(refused.contains(text), "{text:?} is not in {refused}");
    }
}
