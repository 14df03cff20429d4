//! The log: what a daemon does when nobody reads it, and who changed what.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

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
         slots = {{ primary = \"web\", other = \"web\" }}\n\n\
         [[pool]]\nname = \"web\"\nmembers = [{{ address = \"{member}\" }}]\n\
         monitor = {{ tcp = true, interval = \"20ms\" }}\n\n\
         [[pool]]\nname = \"gone\"\nmembers = [{{ address = \"{down}\" }}]\n\
         monitor = {{ tcp = true, interval = \"20ms\", fall = 1 }}\n",
        surface.display(),
    )
}

/// Everything that logs, with a log that cannot be written.
fn goes_on_without_a_log(stderr: Stdio) {
    let origin = Origin::named("web");
    let (listen, down) = (address::free(), address::free());
    let folder = Folder::new();
    folder.configure(&config(listen, origin.address(), down));
    let mut daemon = Daemon::try_start_with(folder, |command| drop(command.stderr(stderr))).unwrap();

    // A monitor, a reload that is refused and one that is not, a rule, a member.
    until("the monitor has looked", || daemon.status()["pools"][1]["members"][0]["health"] == "down");
    daemon.folder().configure("nonsense");
    daemon.signal(Signal::SIGHUP);
    daemon.folder().configure(&config(listen, origin.address(), down));
    daemon.signal(Signal::SIGHUP);
    until("it is reloaded", || daemon.status()["epoch"] == 2);
    for _ in 0..8 {
        assert_eq!(Client::connect(listen).get("/log").status(), 200);
    }
    daemon.shunt(&["member", "drain", "web", &origin.address().to_string()]).good();
    daemon.shunt(&["member", "enable", "web", &origin.address().to_string()]).good();

    until("lost lines are counted", || daemon.status()["log-lines-lost"].as_u64() > Some(10));
    let metrics = daemon.ask("GET", "/v1/metrics", "", b"").text();
    assert!(metrics.contains("shunt_log_lines_lost_total "), "{metrics}");
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
    let mut daemon = Daemon::try_start_with(folder, |command| drop(command.stderr(writer))).unwrap();
    let mut client = Client::connect(listen);
    // Some eight kilobytes of log for each request.
    until("lines are lost", || {
        assert_eq!(client.get("/log").status(), 200);
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
