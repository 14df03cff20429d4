//! Servers of others as members: `cargo xtask test members`.

use shunt_tests::load::Load;
use shunt_tests::server::Server;
use shunt_tests::site::Site;

/// GETs and POSTs of four clients in front of this server, each on one connection that must stay.
#[track_caller]
fn serves(server: Option<Server>) {
    const REQUESTS: usize = 2_400;
    if let Some(server) = server {
        let site = Site::members("", &[server.address]);
        let load = Load::start(site.address, 4);
        load.go_on(REQUESTS);
        assert!(load.end() >= REQUESTS);
    }
}

#[test]
#[ignore = "takes nginx as a member: cargo xtask test members"]
fn nginx_serves() {
    serves(Server::nginx());
}

#[test]
#[ignore = "takes Node as a member: cargo xtask test members"]
fn node_serves() {
    serves(Server::node());
}
