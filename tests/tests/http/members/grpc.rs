//! gRPC end to end, with the library of its makers as client and as server.

use std::process::Command;

use shunt_tests::address;
use shunt_tests::daemon::Folder;
use shunt_tests::program;
use shunt_tests::server::{self, Server};
use shunt_tests::site::{self, Site};

const SERVER: &str = include_str!("calls_server.py");
const CLIENT: &str = include_str!("calls_client.py");

fn in_front(member: std::net::SocketAddr) -> Site {
    Site::configured(|listen| {
        let pool = site::pool("web", "protocol = \"h2\"", &[member]);
        site::config(listen, "http2 = { start = \"prior-knowledge\" }", &pool)
    })
}

/// What the client prints.
fn calls(site: &Site, arguments: &[&str]) -> Option<String> {
    let folder = Folder::new();
    let script = folder.write("client.py", CLIENT);
    let mut command = Command::new(server::python()?.join("python"));
    command.arg(script).arg(site.address.to_string()).args(arguments);
    let ended = program::ended(&mut command);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    Some(ended.stdout)
}

#[test]
#[ignore = "takes grpcio as a client and a member: cargo xtask test members"]
fn calls_of_every_kind() {
    let Some(server) = Server::grpc(SERVER) else { return };
    let site = in_front(server.address);
    let Some(said) = calls(&site, &[]) else { return };
    let said: Vec<_> = said.lines().collect();
    assert_eq!(
        said,
        [
            "FAILED_PRECONDITION not now: \u{e4}",
            "DATA_LOSS the rest is gone",
            "UNIMPLEMENTED Method not found!",
            "DEADLINE_EXCEEDED Deadline Exceeded",
            "all calls",
        ]
    );
    let member = &site.daemon.status()["pools"][0]["members"][0];
    for what in ["failures", "http2-broken", "http2-unprocessed", "http2-no-room", "connects-failed"] {
        assert_eq!(member[what], 0, "{what}: {member}");
    }
}

#[test]
#[ignore = "takes grpcio as a client: cargo xtask test members"]
fn a_member_that_is_away() {
    let Some(said) = calls(&in_front(address::free()), &["away"]) else { return };
    assert_eq!(said.trim(), "UNAVAILABLE 502 Bad Gateway by the load balancer");
}
