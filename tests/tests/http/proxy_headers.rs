//! Members that are told of clients by the PROXY protocol.

use std::net::SocketAddr;

use shunt_tests::daemon::until;
use shunt_tests::origin::{Call, Origin, ok};
use shunt_tests::server::Server;
use shunt_tests::site::{self, Site};

/// What stands in front of a connection, as text: a line, or the bytes of version 2.
fn header(call: &mut Call) -> std::io::Result<String> {
    let begin = call.wire().try_exact(6)?;
    if begin == b"PROXY " {
        let line = call.wire().try_until(b"\r\n")?;
        return Ok(format!("PROXY {}", String::from_utf8_lossy(&line).trim_end()));
    }
    let rest = call.wire().try_exact(10)?;
    assert_eq!([&begin[..], &rest[..6]].concat(), b"\r\n\r\n\0\r\nQUIT\n");
    let behind = call.wire().try_exact(usize::from(u16::from_be_bytes([rest[8], rest[9]])))?;
    Ok(format!("v2 {:02x} {:02x} {}", rest[6], rest[7], behind.escape_ascii()))
}

/// Says what stood in front of the connection in each answer on it.
fn told() -> Origin {
    Origin::start(|call| {
        let header = header(call)?;
        call.mark(header.clone());
        loop {
            call.request()?;
            call.send(ok(&header))?;
        }
    })
}

fn site(keys: &str, of_pool: &str, members: &[SocketAddr]) -> Site {
    Site::configured(|address| site::config(address, keys, &site::pool("web", of_pool, members)))
}

#[test]
fn each_client_has_connections_of_its_own() {
    let origin = told();
    let site = site("", "proxy-protocol = \"v1\"", &[origin.address()]);
    let (mut one, mut other) = (site.client(), site.client());
    for _ in 0..2 {
        for client in [&mut one, &mut other] {
            let from = client.stream().local_addr().unwrap();
            let to = site.address;
            let line = format!("PROXY TCP4 {} {} {} {}", from.ip(), to.ip(), from.port(), to.port());
            assert_eq!(client.get("/").text(), line);
        }
    }
    assert_eq!(origin.accepts(), 2, "the requests of a client go on its connection");
    // It ends with that of the client.
    drop(one);
    origin.wait_ended(1);
    assert_eq!(other.get("/").status(), 200);
    assert_eq!(origin.accepts(), 2);
    assert_eq!(site.client().get("/").status(), 200);
    assert_eq!(origin.accepts(), 3);
}

/// A connection that takes another's place begins with who the client is, too.
#[test]
fn a_connection_that_is_replaced_says_it_again() {
    let origin = Origin::start(|call| {
        let header = header(call)?;
        call.request()?;
        call.send(ok(&header))?;
        // And ends, just as the next request comes.
        call.request().map(drop)
    });
    let site = site("", "proxy-protocol = \"v2\"", &[origin.address()]);
    let mut client = site.client();
    let first = client.get("/").text();
    assert!(first.starts_with("v2 21 11 \\x7f"), "{first}");
    assert_eq!(client.get("/").text(), first);
    assert_eq!(origin.accepts(), 2);
}

/// What a header in front has said is what the member is told; what fields say is not.
#[test]
fn members_are_told_what_a_front_has_said() {
    let origin = told();
    let keys = "proxy-protocol = \"127.0.0.0/8\"\ntrusted-proxies = \"192.0.2.0/24\"";
    let site = site(keys, "proxy-protocol = \"v1\"", &[origin.address()]);
    let line = "PROXY TCP4 192.0.2.7 198.51.100.1 4000 8443";
    let mut client = site.client();
    client.send(format!("{line}\r\n"));
    let answer = client.ask("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
    assert_eq!(answer.text(), line);
    assert_eq!(origin.request().get("x-forwarded-for"), Some("203.0.113.9, 192.0.2.7"));
    let mut client = site.client();
    client.send("PROXY TCP6 2001:db8::7 2001:db8::1 4000 443\r\n");
    assert_eq!(client.get("/").text(), "PROXY TCP6 2001:db8::7 2001:db8::1 4000 443");
}

#[test]
fn monitors_say_that_they_are_no_clients() {
    for (version, said) in [("v1", "PROXY TCP4 127.0.0.1 "), ("v2", "v2 20 00 ")] {
        for kind in ["tcp = true", "http = \"/\""] {
            let origin = told();
            let keys = format!(
                "proxy-protocol = \"{version}\"\nmonitor = {{ {kind}, interval = \"250ms\", rise = 1 }}"
            );
            let site = site("", &keys, &[origin.address()]);
            until("a probe came", || origin.marks().iter().any(|it| it.starts_with(said)));
            until("it is up", || site.daemon.status()["pools"][0]["members"][0]["health"] == "up");
        }
    }
}

/// Says whom it takes for the client.
const NGINX: &str = "\
server {
    listen ADDRESS proxy_protocol;
    location / { return 200 '$proxy_protocol_addr:$proxy_protocol_port'; }
}
";

const HAPROXY: &str = "\
defaults
    mode http
    timeout client 30s
frontend in
    bind ADDRESS accept-proxy
    http-request return status 200 content-type text/plain lf-string %[src]:%[src_port]
";

#[test]
fn nginx_and_haproxy_know_the_client() {
    let nginx = Server::nginx_with(NGINX);
    let haproxy = Server::start("haproxy", "haproxy.cfg", HAPROXY, |command, folder| {
        command.arg("-db").arg("-f").arg(folder.path().join("haproxy.cfg"));
    });
    for server in [nginx, haproxy].into_iter().flatten() {
        for version in ["v1", "v2"] {
            let keys = format!(
                "proxy-protocol = \"{version}\"\nmonitor = {{ http = \"/\", interval = \"250ms\", rise = 1 }}"
            );
            let site = site("", &keys, &[server.address]);
            until("it is up", || site.daemon.status()["pools"][0]["members"][0]["health"] == "up");
            let mut client = site.client();
            for _ in 0..2 {
                let answer = client.get("/");
                assert_eq!(answer.text(), client.stream().local_addr().unwrap().to_string());
            }
        }
    }
}
