//! Members that speak TLS.

use std::net::SocketAddr;

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, Folder, until};
use shunt_tests::origin::Origin;
use shunt_tests::server::Server;
use shunt_tests::site::{self, Site};

use crate::pki::Ca;

/// Says what TLS was like: the name that was asked for, whether the session was resumed, who showed a certificate.
const NGINX: &str = "\
client_max_body_size 0;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_certificate PKI/server.pem;
ssl_certificate_key PKI/server.key;
server {
    listen ADDRESS ssl;
    KEYS
    location / { return 200 '$ssl_server_name $ssl_session_reused $ssl_client_s_dn $ssl_protocol $connection'; }
    location /protocol { return 200 '$server_protocol $scheme $host $ssl_alpn_protocol $connection'; }
    location /behind {
        proxy_pass http://BEHIND;
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $http_connection;
    }
}
";

/// A CA, and a member's certificate for `member.example`, `a.example` and `b.example`.
pub(crate) fn pki() -> Folder {
    let folder = Folder::new();
    let ca = Ca::new(&folder);
    ca.sign(&folder, "server", &["member.example", "a.example", "b.example"], 1);
    ca.sign(&folder, "shunt", &["shunt.example"], 2);
    folder
}

pub(crate) fn nginx(pki: &Folder, keys: &str, behind: SocketAddr) -> Option<Server> {
    nginx_of(NGINX, pki, keys, behind)
}

/// The same, which takes HTTP/2 too.
fn nginx_of_http_2(pki: &Folder, behind: SocketAddr) -> Option<Server> {
    nginx_of(&NGINX.replace("ADDRESS ssl;", "ADDRESS ssl http2;"), pki, "", behind)
}

fn nginx_of(content: &str, pki: &Folder, keys: &str, behind: SocketAddr) -> Option<Server> {
    let content = content.replace("PKI", &pki.path().display().to_string());
    Server::nginx_with(&content.replace("KEYS", keys).replace("BEHIND", &behind.to_string()))
}

/// A virtual before members that speak TLS; `keys` stand in the pool.
fn site(pki: &Folder, tls: &str, keys: &str, members: &[SocketAddr]) -> Site {
    let (folder, address) = (Folder::new(), address::free());
    for name in ["ca.pem", "shunt.pem", "shunt.key"] {
        folder.write(name, std::fs::read(pki.path().join(name)).unwrap());
    }
    let pool = site::pool("web", &format!("tls = {{ {tls} }}\n{keys}"), members);
    folder.configure(&site::config(address, "", &pool));
    Site { daemon: Daemon::start_in(folder), address }
}

const TRUSTED: &str = "ca = \"ca.pem\", server-name = \"member.example\"";

#[test]
fn a_member_is_verified_and_sees_who_asks() {
    let pki = pki();
    let keys = format!(
        "ssl_verify_client on; ssl_client_certificate {}; keepalive_timeout 0;",
        pki.path().join("ca.pem").display()
    );
    let Some(server) = nginx(&pki, &keys, address::free()) else { return };
    let tls = format!("{TRUSTED}, certificate = \"shunt.pem\", key = \"shunt.key\"");
    let site = site(&pki, &tls, "", &[server.address]);
    let said: Vec<_> = (0..3).map(|_| site.client().get("/").text()).collect();
    assert!(said[0].starts_with("member.example . CN=shunt TLSv1.3 "), "{said:?}");
    assert!(said[2].starts_with("member.example r CN=shunt TLSv1.3 "), "a session is resumed: {said:?}");
}

/// Answers with the body of the request, or switches protocols.
fn echo() -> Origin {
    Origin::start(|call| {
        let request = call.request()?;
        if request.get("upgrade").is_some() {
            call.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello",
            )?;
            let mut bytes = [0; 4];
            std::io::Read::read_exact(&mut call.stream(), &mut bytes)?;
            call.send(bytes)?;
            return call.end();
        }
        call.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()))?;
        call.send(&request.body)
    })
}

#[test]
fn bodies_and_tunnels_go_through_tls() {
    let behind = echo();
    let pki = pki();
    let Some(server) = nginx(&pki, "", behind.address()) else { return };
    let site = site(&pki, TRUSTED, "", &[server.address]);
    let mut client = site.client();
    let body: Vec<u8> = (0..3u32 << 20).map(|at| (at % 251) as u8).collect();
    for _ in 0..2 {
        let head = format!("POST /behind HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = client.ask([head.as_bytes(), &body].concat());
        assert_eq!(answer.status(), 200);
        assert!(answer.body == body, "{} bytes", answer.body.len());
    }
    client.send("GET /behind HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.try_head().unwrap().status(), 101);
    assert_eq!(client.exact(5), b"hello");
    client.send("ping");
    assert_eq!(client.exact(4), b"ping");
    assert!(client.ended());
}

#[test]
fn members_called_as_the_host_of_the_request_share_no_connection() {
    let pki = pki();
    let Some(server) = nginx(&pki, "", address::free()) else { return };
    let site = site(&pki, "ca = \"ca.pem\", server-name = { request-host = true }", "", &[server.address]);
    let ask = |host: &str| site.client().ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let said = |host: &str| {
        let text = ask(host).text();
        let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        (words.first().cloned().unwrap(), words.last().cloned().unwrap())
    };
    let (a, b) = (said("a.example:8080"), said("B.example"));
    assert_eq!((a.0.as_str(), b.0.as_str()), ("a.example", "b.example"));
    assert_ne!(a.1, b.1);
    assert_eq!((said("A.example"), said("b.example")), (a, b), "each goes on with its own");
    assert_eq!(ask("c.example").status(), 502);
    site.daemon.wait_log("its certificate is not for c.example");
}

#[test]
fn what_is_wrong_with_a_member_is_told_and_another_is_tried() {
    let pki = pki();
    let Some(server) = nginx(&pki, "", address::free()) else { return };
    let (elsewhere, plain) =
        (Folder::new(), Origin::start(|call| call.send("HTTP/1.1 400 Bad Request\r\n\r\n")));
    Ca::new(&elsewhere);
    for (tls, ca, member, told) in [
        (
            "ca = \"ca.pem\", server-name = \"other.example\"",
            &pki,
            server.address,
            "its certificate is not for other.example",
        ),
        ("ca = \"ca.pem\"", &pki, server.address, "its certificate is not for 127."),
        (TRUSTED, &elsewhere, server.address, "its certificate is of no CA that the pool trusts"),
        (TRUSTED, &pki, plain.address(), "it does not speak TLS"),
        (
            "ca = \"ca.pem\", server-name = \"member.example\", ciphers = [\"TLS_CHACHA20_POLY1305_SHA256\"], groups = [\"MLKEM1024\"]",
            &pki,
            server.address,
            "it refused with the alert HandshakeFailure",
        ),
    ] {
        let folder = Folder::new();
        folder.write("ca.pem", std::fs::read(ca.path().join("ca.pem")).unwrap());
        let address = address::free();
        let pool = site::pool("web", &format!("tls = {{ {tls} }}"), &[member]);
        folder.configure(&site::config(address, "", &pool));
        let site = Site { daemon: Daemon::start_in(folder), address };
        assert_eq!(site.client().get("/").status(), 502, "{told}");
        site.daemon.wait_log("event=\"member-tls-failed\"");
        site.daemon.wait_log(told);
        assert_eq!(site.daemon.status()["pools"][0]["members"][0]["connects-failed"], 1);
    }
    let site = site(&pki, TRUSTED, "", &[plain.address(), server.address]);
    for _ in 0..4 {
        assert!(site.client().get("/").text().starts_with("member.example "));
    }
}

#[test]
fn monitors_speak_tls_too() {
    let pki = pki();
    let Some(server) = nginx(&pki, "", address::free()) else { return };
    let monitor = "monitor = { http = \"/\", interval = \"100ms\", rise = 1, fall = 1 }";
    for (tls, health, reason) in [
        (TRUSTED, "up", "status 200"),
        (
            "ca = \"ca.pem\", server-name = \"other.example\"",
            "down",
            "TLS: its certificate is not for other.example",
        ),
    ] {
        let site = site(&pki, tls, monitor, &[server.address]);
        until("the member was asked", || {
            let member = site.daemon.status()["pools"][0]["members"][0].clone();
            member["health"] == health && member["reason"] == reason
        });
    }
}

#[test]
fn haproxy_is_a_member() {
    let pki = pki();
    let read = |name: &str| std::fs::read_to_string(pki.path().join(name)).unwrap();
    let both = pki.write("both.pem", read("server.pem") + &read("server.key"));
    let config = format!(
        "defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 5s\n\
         frontend in\n bind ADDRESS ssl crt {} alpn http/1.1\n\
         http-request return status 200 content-type text/plain lf-string \"haproxy %[ssl_fc_sni] %[ssl_fc_alpn]\"\n",
        both.display()
    );
    let server = Server::start("haproxy", "haproxy.cfg", &config, |command, folder| {
        command.arg("-db").arg("-f").arg(folder.path().join("haproxy.cfg"));
    });
    let Some(server) = server else { return };
    let site = site(&pki, TRUSTED, "", &[server.address]);
    let mut client = site.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "haproxy member.example http/1.1");
    }
    assert_eq!(site.daemon.status()["pools"][0]["members"][0]["connects"], 1);
}

#[test]
fn a_new_ca_file_is_taken_over() {
    let pki = pki();
    let Some(server) = nginx(&pki, "", address::free()) else { return };
    let site = site(&pki, TRUSTED, "", &[server.address]);
    let right = std::fs::read(pki.path().join("ca.pem")).unwrap();
    let elsewhere = Folder::new();
    Ca::new(&elsewhere);
    let folder = site.daemon.folder();
    assert_eq!(site.client().get("/").status(), 200);
    folder.write("ca.pem", std::fs::read(elsewhere.path().join("ca.pem")).unwrap());
    site.daemon.wait_log("event=\"tls-files-taken\" of=\"pool web\"");
    assert_eq!(site.client().get("/").status(), 502, "connections of before serve no more");
    folder.write("ca.pem", right);
    until("the member is trusted again", || site.client().get("/").status() == 200);
}

#[test]
fn settings_that_cannot_be_used_are_refused() {
    let pki = pki();
    let site = site(&pki, TRUSTED, "", &[address::free()]);
    let folder = site.daemon.folder();
    let pool = |tls: &str| {
        let pool = site::pool("web", &format!("tls = {{ {tls} }}"), &[address::free()]);
        folder.configure(&site::config(site.address, "", &pool));
        site.daemon.shunt(&["reload"]).refused(1)
    };
    folder.write("other.key", std::fs::read(pki.path().join("server.key")).unwrap());
    let told = pool("certificate = \"shunt.pem\", key = \"other.key\", ca = \"ca.pem\"");
    assert!(told.contains("other.key: the key does not belong to the certificate in "), "{told}");
    assert!(told.contains("shunt.toml:"), "{told}");
    folder.write("half.pem", "-----BEGIN CERTIFICATE-----\n");
    assert!(pool("ca = \"half.pem\"").contains("has no `-----END CERTIFICATE-----`"));
}

#[test]
fn members_of_http_2() {
    let pki = pki();
    let behind = echo();
    let Some(server) = nginx_of_http_2(&pki, behind.address()) else { return };
    for protocol in ["h2", "auto"] {
        let site = site(&pki, TRUSTED, &format!("protocol = \"{protocol}\""), &[server.address]);
        let mut client = site.client();
        let said: Vec<_> = (0..3).map(|_| client.get("/protocol").text()).collect();
        assert!(said[0].starts_with("HTTP/2.0 https test h2 "), "{protocol}: {said:?}");
        assert!(said.iter().all(|it| *it == said[0]), "{protocol}: on one connection: {said:?}");
        let body = "x".repeat(3 << 20);
        let head = format!("POST /behind HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
        assert!(client.ask(head + &body).text() == body);
        assert_eq!(site.daemon.status()["pools"][0]["members"][0]["connects"], 1, "{protocol}");
        // What a stream of HTTP/2 cannot do is done on a connection of HTTP/1.1 where there may be one.
        client.send("GET /behind HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        let status = client.try_head().unwrap().status();
        assert_eq!(status, if protocol == "auto" { 101 } else { 200 }, "{protocol}");
        // They are both kept.
        assert!(site.client().get("/protocol").text() == said[0], "{protocol}");
    }
}

#[test]
fn members_that_choose_another_protocol_than_the_pool_speaks() {
    let pki = pki();
    let (Some(http_1), Some(http_2)) =
        (nginx(&pki, "", address::free()), nginx_of_http_2(&pki, address::free()))
    else {
        return;
    };
    let auto = site(&pki, TRUSTED, "protocol = \"auto\"", &[http_1.address]);
    let ask = |site: &Site| site.client().get("/protocol").text();
    for _ in 0..3 {
        assert!(ask(&auto).starts_with("HTTP/1.1 https test http/1.1 "));
    }
    let member = |site: &Site| site.daemon.status()["pools"][0]["members"][0].clone();
    assert_eq!(member(&auto)["connects"], 1);
    let fixed = site(&pki, TRUSTED, "protocol = \"h2\"", &[http_1.address, http_2.address]);
    for _ in 0..2 {
        assert!(ask(&fixed).starts_with("HTTP/2.0 https "));
    }
    assert_eq!((&member(&fixed)["connects-failed"], &member(&fixed)["connects"]), (&2.into(), &0.into()));
    fixed.daemon.wait_log("it does not speak HTTP/2, which Shunt offers by ALPN (`protocol` of the pool)");
}

#[test]
fn haproxy_is_a_member_of_http_2() {
    let pki = pki();
    let read = |name: &str| std::fs::read_to_string(pki.path().join(name)).unwrap();
    let both = pki.write("both.pem", read("server.pem") + &read("server.key"));
    for (alpn, protocol, said) in [
        ("h2,http/1.1", "auto", "h2 2.0"),
        ("h2", "h2", "h2 2.0"),
        ("http/1.1", "auto", "http/1.1 1.1"),
        ("h2,http/1.1", "http/1.1", "http/1.1 1.1"),
    ] {
        let config = format!(
            "defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 5s\n\
             frontend in\n bind ADDRESS ssl crt {} alpn {alpn}\n\
             http-request return status 200 content-type text/plain lf-string \"%[ssl_fc_alpn] %[req.ver]\"\n",
            both.display()
        );
        let server = Server::start("haproxy", "haproxy.cfg", &config, |command, folder| {
            command.arg("-db").arg("-f").arg(folder.path().join("haproxy.cfg"));
        });
        let Some(server) = server else { return };
        let site = site(&pki, TRUSTED, &format!("protocol = \"{protocol}\""), &[server.address]);
        let mut client = site.client();
        for _ in 0..3 {
            assert_eq!(client.get("/").text(), said, "{alpn} {protocol}");
        }
        assert_eq!(site.daemon.status()["pools"][0]["members"][0]["connects"], 1, "{alpn} {protocol}");
    }
}

#[test]
fn a_websocket_goes_by_what_the_member_takes() {
    let pki = pki();
    // The members are virtuals of the same daemon: the first takes extended CONNECT, the second HTTP/2 without.
    for (keys, by_http_2) in [("http2 = { websocket = true }", true), ("", false)] {
        let behind = echo();
        let (folder, listen, member) = (Folder::new(), address::free(), address::free());
        for name in ["ca.pem", "server.pem", "server.key"] {
            folder.write(name, std::fs::read(pki.path().join(name)).unwrap());
        }
        let tls = "tls = { certificate = \"server.pem\", key = \"server.key\" }";
        let rest = site::pool("web", &format!("tls = {{ {TRUSTED} }}\nprotocol = \"auto\""), &[member])
            + &site::virtual_("member", member, "behind", &format!("{tls}\n{keys}"))
            + &site::pool("behind", "", &[behind.address()]);
        folder.configure(&site::config(listen, "", &rest));
        let site = Site { daemon: Daemon::start_in(folder), address: listen };
        for _ in 0..2 {
            let mut client = site.client();
            client.send(
                "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            );
            assert_eq!(client.answer_head().status(), 101);
            assert_eq!(client.exact(5), b"hello");
            client.send("ping");
            assert_eq!(client.exact(4), b"ping");
            assert!(client.ended());
        }
        assert_eq!(site.client().get("/").text(), "");
        let status = site.daemon.status();
        // Two of HTTP/1.1 where streams do not do.
        let connections = if by_http_2 { 1 } else { 3 };
        assert_eq!(status["virtuals"][1]["connections"], connections, "{status}");
        assert_eq!(status["pools"][0]["members"][0]["http2-no-websocket"], 0);
    }
}
