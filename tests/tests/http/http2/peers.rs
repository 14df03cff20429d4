//! nginx and HAProxy as members of HTTP/2, and as fronts that speak HTTP/2 with Shunt. What is not installed is skipped.

use std::net::SocketAddr;

use shunt_tests::origin::{Origin, ok};
use shunt_tests::server::Server;
use shunt_tests::site::{self, Site};

use super::site;

/// Answers itself, and passes on what is below `/behind`.
const NGINX: &str = "\
client_max_body_size 0;
server {
    listen ADDRESS http2;
    location / { return 200 '$server_protocol $scheme $host $connection'; }
    location /early { return 413 'big'; }
    location /behind { proxy_pass http://BEHIND; proxy_http_version 1.1; proxy_request_buffering off; }
}
";

const NGINX_FRONT: &str = "\
client_max_body_size 0;
server { listen ADDRESS; location / { grpc_pass grpc://BEHIND; } }
";

fn nginx(config: &str, behind: SocketAddr) -> Option<Server> {
    Server::nginx_with(&config.replace("BEHIND", &behind.to_string()))
}

fn haproxy(rest: &str) -> Option<Server> {
    let config = format!(
        "defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 5s\nfrontend in\n {rest}\n"
    );
    Server::start("haproxy", "haproxy.cfg", &config, |command, folder| {
        command.arg("-db").arg("-f").arg(folder.path().join("haproxy.cfg"));
    })
}

fn counting() -> Origin {
    Origin::start(|call| {
        loop {
            let request = call.request()?;
            call.send(ok(&format!("{} took {}", request.head.line, request.body.len())))?;
        }
    })
}

fn in_front(member: SocketAddr) -> Site {
    Site::configured(|listen| {
        let keys = "http2 = { start = \"prior-knowledge\" }";
        site::config(listen, keys, &site::pool("web", "protocol = \"h2\"", &[member]))
    })
}

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
}

/// A member that passes what is below `/behind` on to an origin.
fn serves(server: &Server, own: &str) {
    let site = in_front(server.address);
    let mut client = site.client();
    for _ in 0..3 {
        let said = client.get("/").text();
        assert!(said.starts_with(own), "{said}");
    }
    for length in [0, 5, 3 << 20] {
        assert_eq!(
            client.ask(post("/behind", length)).text(),
            format!("POST /behind HTTP/1.1 took {length}")
        );
    }
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer_head().status(), 200);
    let mut other = shunt_tests::frames::Client::connect(site.address);
    let streams: Vec<_> = (0..100).map(|_| other.request("GET", "/behind", &[])).collect();
    for stream in streams {
        assert_eq!(other.answer(stream).text(), "GET /behind HTTP/1.1 took 0");
    }
    let member = &site.daemon.status()["pools"][0]["members"][0];
    assert_eq!((&member["failures"], &member["http2-broken"]), (&0.into(), &0.into()), "{member}");
    assert!(member["connects"].as_u64().unwrap() <= 2, "{member}");
}

#[test]
fn nginx_is_a_member() {
    let origin = counting();
    let Some(server) = nginx(NGINX, origin.address()) else { return };
    serves(&server, "HTTP/2.0 http test ");
    // It answers by the head, and does not want the rest.
    let site = in_front(server.address);
    for number in 0..10 {
        let mut client = site.client();
        client.send(post("/early", 1 << 20));
        assert_eq!(client.answer().status(), 413, "{number}");
        assert_eq!(client.get("/").status(), 200, "{number}: the connection goes on");
    }
}

#[test]
fn haproxy_is_a_member() {
    let origin = counting();
    let rest = format!(
        "bind ADDRESS proto h2\n \
         http-request return status 200 content-type text/plain lf-string \"HTTP/%[req.ver] %[req.hdr(host)]\" \
         unless {{ path_beg /behind }}\n default_backend out\nbackend out\n server origin {}",
        origin.address()
    );
    let Some(server) = haproxy(&rest) else { return };
    serves(&server, "HTTP/2.0 test");
}

#[test]
fn nginx_is_a_front() {
    let origin = counting();
    let site = site("", &origin);
    let Some(front) = nginx(NGINX_FRONT, site.address) else { return };
    let mut client = shunt_tests::raw::Client::connect(front.address);
    for length in [0, 5, 3 << 20] {
        assert_eq!(client.ask(post("/", length)).text(), format!("POST / HTTP/1.1 took {length}"));
    }
}

#[test]
fn haproxy_is_a_front() {
    let origin = counting();
    let site = site("", &origin);
    let rest =
        format!("bind ADDRESS\n default_backend out\nbackend out\n server shunt {} proto h2", site.address);
    let Some(front) = haproxy(&rest) else { return };
    let mut client = shunt_tests::raw::Client::connect(front.address);
    for length in [0, 5, 3 << 20] {
        assert_eq!(client.ask(post("/", length)).text(), format!("POST / HTTP/1.1 took {length}"));
    }
    for _ in 0..50 {
        assert_eq!(client.get("/a").text(), "GET /a HTTP/1.1 took 0");
    }
}
