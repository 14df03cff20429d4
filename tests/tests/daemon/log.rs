//! The log: what a daemon does when nobody reads it, and who changed what.

use std::fs::OpenOptions;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::net::SocketAddr;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use shunt_tests::daemon::{Daemon, Folder, Signal, until};
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::{address, packs};

/// A virtual with a rule that logs each request, a pool with a monitor, and one whose member is not there.
fn config(listen: SocketAddr, member: SocketAddr, down: SocketAddr) -> String {
    let surface = packs::guest("surface");
    format!(
        "[process]\nworkers = 2\n\n\
         [[virtual]]\nname = \"shop\"\nlisten = \"{listen}\"\nprotocol = \"http\"\npool = \"web\"\n\n\
         [[virtual.rule]]\nname = \"main\"\npack = \"{}\"\n\
         slots = {{ primary = \"web\", other = \"web\" }}\n{}\n\
         [[pool]]\nname = \"web\"\nmembers = [{{ address = \"{member}\" }}]\n\
         monitor = {{ tcp = true, interval = \"20ms\" }}\n\n\
         [[pool]]\nname = \"gone\"\nmembers = [{{ address = \"{down}\" }}]\n\
         monitor = {{ tcp = true, interval = \"20ms\", fall = 1 }}\n",
        surface.display(),
        packs::surface_bindings(),
    )
}

/// Everything that logs, with a log that cannot be written.
fn goes_on_without_a_log(stderr: Stdio) {
    let origin = Origin::named("web");
    let (listen, down) = (address::free(), address::free());
    let folder = Folder::new();
    folder.configure(&config(listen, origin.address(), down));
    let mut daemon = Daemon::try_start_with(folder, |command| {
        command.stderr(stderr);
    })
    .unwrap();

    // A monitor, a reload that is refused and one that is not, a rule, a member.
    until("the monitor has looked", || daemon.status()["pools"][1]["members"][0]["health"] == "down");
    daemon.folder().configure("nonsense");
    daemon.signal(Signal::SIGHUP);
    daemon.folder().configure(&config(listen, origin.address(), down));
    daemon.signal(Signal::SIGHUP);
    until("it is reloaded", || daemon.status()["epoch"].as_u64() >= Some(2));
    for _ in 0..8 {
        assert_eq!(Client::connect(listen).get("/log").status(), 200);
    }
    daemon.shunt(&["member", "drain", "web", &origin.address().to_string()]).good();
    daemon.shunt(&["member", "enable", "web", &origin.address().to_string()]).good();

    until("lost lines are counted", || daemon.status()["log-lines-lost"].as_u64() > Some(10));
    let metrics = daemon.ask("GET", "/v1/metrics", "", b"").text();
    assert!(metrics.contains("shunt_log_lines_lost_total{} "), "{metrics}");
    assert!(daemon.shunt(&["status"]).good().contains("the log lost "), "it is shown");
    assert_eq!(Client::connect(listen).get("/log").status(), 200);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn the_reader_of_the_log_goes_away() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    goes_on_without_a_log(writer.into());
}

/// A pipe that nobody reads, and that is full.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while let Ok(1) = writer.write(b"x") {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    (reader, writer)
}

#[test]
fn the_reader_of_the_log_takes_nothing() {
    let (_reader, writer) = full_pipe();
    let origin = Origin::named("web");
    let listen = address::free();
    let folder = Folder::new();
    folder.configure(&config(listen, origin.address(), address::free()));
    let mut daemon = Daemon::try_start_with(folder, |command| {
        command.stderr(writer);
    })
    .unwrap();
    // Some eight kilobytes of log for each request; two megabytes may wait.
    until("lines are lost", || {
        let mut client = Client::connect(listen);
        for _ in 0..50 {
            assert_eq!(client.get("/log").status(), 200);
        }
        daemon.status()["log-lines-lost"].as_u64() > Some(0)
    });
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn the_disk_of_the_log_is_full() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    goes_on_without_a_log(full.into());
}

/// The lines of the log that say this, without the time and without the process that asked.
fn said(daemon: &Daemon, what: &str) -> Vec<String> {
    let pid = |line: &str| match line.split_once(", pid ") {
        Some((start, end)) => format!("{start}{}", end.trim_start_matches(|it: char| it.is_ascii_digit())),
        None => line.to_owned(),
    };
    let log = daemon.log();
    let lines = log.lines().filter_map(|line| line.split_once(": ").map(|(_, said)| said));
    // Where a pack came from differs from run to run.
    let lines = lines.map(|said| said.split_once(" source=").map_or(said, |(said, _)| said));
    lines.filter(|said| said.starts_with(what)).map(pid).collect()
}

#[test]
fn each_change_is_logged_with_who_what_from_and_to() {
    let origin = Origin::named("web");
    let (listen, member) = (address::free(), origin.address());
    let folder = Folder::new();
    let pack = folder.write("rule.wasm", std::fs::read(packs::guest("plain")).unwrap());
    let config = |settings: &str| {
        format!(
            "[process]\nworkers = 1\n\n[[virtual]]\nname = \"shop\"\nlisten = \"{listen}\"\nprotocol = \"http\"\n\
             pool = \"web\"\n\n[[virtual.rule]]\nname = \"main\"\npack = \"{}\"\nslots = {{ web = \"web\" }}\n\
             {settings}\n\n[[pool]]\nname = \"web\"\nmembers = [{{ address = \"{member}\" }}]\n",
            pack.display()
        )
    };
    folder.configure(&config(""));
    let newer = packs::guest_version("plain", "1.0.1", &folder);
    let newest = packs::guest_version("plain", "1.0.2", &folder);
    let hostile = packs::guest("hostile");
    let daemon = Daemon::start_in(folder);
    let uid = nix::unistd::getuid();

    daemon.shunt(&["rule", "load", "shop/main", &newer.to_string_lossy()]).good();
    daemon.shunt(&["rule", "rollback", "shop/main"]).good();
    daemon.shunt(&["rule", "unload", "shop/main"]).good();
    daemon.shunt(&["rule", "rollback", "shop/main", "--to", "2"]).good();
    daemon.shunt(&["member", "drain", "web", &member.to_string()]).good();
    daemon.reload(
        &(config("budget = { time = \"20ms\" }")
            + "\n[[pool]]\nname = \"spare\"\nmembers = [{ address = \"192.0.2.1:80\" }]\n"),
    );
    std::fs::copy(newest, &pack).unwrap();
    daemon.folder().configure(&config(""));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_log("removed=\"pool spare\"");
    daemon.shunt(&["rule", "load", "shop/main", &hostile.to_string_lossy(), "--accept-grants"]).good();
    until("the breaker has opened", || {
        assert_ne!(Client::connect(listen).get("/panic").status(), 0);
        daemon.log().contains("by=\"breaker\"")
    });
    daemon.folder().configure("[[virtual]]\n");
    daemon.shunt(&["reload"]).refused(1);

    let by = format!("by=\"uid {uid}\"");
    let versions = ["1 (plain 1.0.0)", "2 (plain 1.0.1)", "3 (plain 1.0.2)", "4 (hostile 1.0.0)", "none"];
    let rule = |what: &str, by: &str, from: usize, to: usize| {
        format!("{what} {by} rule=shop/main from={:?} to={:?}", versions[from], versions[to])
    };
    assert_eq!(
        said(&daemon, "rule "),
        [
            rule("rule loaded", &by, 0, 1),
            rule("rule rolled back", &by, 1, 0),
            rule("rule unloaded", &by, 0, 4)
                + " without=\"requests of shop go to pool web; what the rule refused is let through\"",
            rule("rule rolled back", &by, 4, 1),
            rule("rule settings changed by a reload", &by, 1, 1),
            rule("rule loaded by a reload", "by=\"SIGHUP\"", 1, 2),
            rule("rule loaded", &by, 2, 3),
            rule("rule rolled back", "by=\"breaker\"", 3, 2),
        ]
    );
    assert_eq!(
        said(&daemon, "member "),
        [format!("member set {by} pool=\"web\" member={member} from=enabled to=draining")]
    );
    assert_eq!(
        said(&daemon, "reloaded "),
        [
            format!("reloaded {by} epoch=6 added=\"pool spare\" changed=\"virtual shop\" removed=\"nothing\""),
            "reloaded by=\"SIGHUP\" epoch=7 added=\"nothing\" changed=\"virtual shop\" removed=\"pool spare\""
                .to_owned(),
        ]
    );
    let refused = format!("ERROR shunt::control::apply: the reload by uid {uid}, pid ");
    // It is written behind the answer.
    daemon.wait_log(&refused);
}
