//! Members by name, with servers of DNS that others run: `cargo xtask test members`.

use std::net::SocketAddr;

use serde_json::json;
use shunt_tests::daemon::until;
use shunt_tests::origin::Origin;
use shunt_tests::server::Server;
use shunt_tests::site::{self, Site};

/// In front of members by this name, which the server knows.
fn site(dns: SocketAddr, name: &str) -> Site {
    Site::configured(|listen| {
        let pool = format!("[[pool]]\nname = \"web\"\nmembers = [{{ address = \"{name}\" }}]\n\n");
        let resolver = format!("[resolver]\nservers = [\"{dns}\"]\n\n");
        site::config(listen, "", &[pool, resolver].concat())
    })
}

#[track_caller]
fn has(site: &Site, members: &[SocketAddr]) {
    let expected = json!(members.iter().map(ToString::to_string).collect::<Vec<_>>());
    until("the members", || site.daemon.status()["pools"][0]["names"][0]["addresses"] == expected);
}

#[test]
#[ignore = "takes dnsmasq as a server of DNS: cargo xtask test members"]
fn dnsmasq() {
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    let (first, second) = (one.address(), two.address());
    let port = first.port();
    // Addresses that an answer over UDP has no room for.
    let many: String = (1..=90).map(|it| format!("host-record=many.test,10.9.8.{it}\n")).collect();
    let records = format!(
        "host-record=app.test,{}\nhost-record=app.test,{}\nhost-record=one.test,{}\ncname=alias.test,app.test\n\
         srv-host=_http._tcp.test,one.test,{port},10,7\n{many}",
        first.ip(),
        second.ip(),
        first.ip()
    );
    let Some(server) = Server::dnsmasq(&records) else { return };
    for name in ["app.test", "alias.test"] {
        let site = site(server.address, &format!("{name}:{port}"));
        has(&site, &[first, second]);
        assert_eq!(site.client().get("/").status(), 200);
    }
    has(&site(server.address, "_http._tcp.test"), &[first]);
    let status = site(server.address, "many.test:80").daemon.status();
    assert_eq!(status["pools"][0]["names"][0]["addresses"].as_array().map(Vec::len), Some(90));
}

#[test]
#[ignore = "takes BIND as a server of DNS: cargo xtask test members"]
fn bind() {
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    let (first, second) = (one.address(), two.address());
    let port = first.port();
    // BIND refuses zones with more than a hundred records of one name and type (`max-records-per-type`).
    let many: String = (1..=90).map(|it| format!("many A 10.9.8.{it}\n")).collect();
    let zone = format!(
        "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\napp A {}\napp A {}\n\
         alias CNAME app\nloop CNAME pool\npool CNAME loop\none A {}\ntwo A {}\n_http._tcp SRV 10 3 {port} one\n_http._tcp SRV 10 1 {port} two\n\
         _http._tcp SRV 20 1 {port} ns\n_gone._tcp SRV 0 0 0 .\n{many}",
        first.ip(),
        second.ip(),
        first.ip(),
        second.ip()
    );
    let Some(server) = Server::named(&zone) else { return };
    for name in ["app.test", "alias.test"] {
        has(&site(server.address, &format!("{name}:{port}")), &[first, second]);
    }
    let by_service = site(server.address, "_http._tcp.test");
    // The last record is a group of its own, which is not in use.
    has(&by_service, &[SocketAddr::from(([127, 0, 0, 1], port)), first, second]);
    let mut client = by_service.client();
    assert_eq!((0..8).filter(|_| client.get("/").text() == "one").count(), 6);
    let status = site(server.address, "many.test:80").daemon.status();
    assert_eq!(status["pools"][0]["names"][0]["addresses"].as_array().map(Vec::len), Some(90));
    for (name, error) in [
        ("_gone._tcp.test", "DNS has no addresses for it"),
        ("nothing.test:80", "DNS has no addresses for it"),
        // It says so itself.
        ("loop.test:80", "answers SERVFAIL"),
        ("other.example:80", "answers REFUSED"),
    ] {
        let status = site(server.address, name).daemon.status();
        let told = status["pools"][0]["names"][0]["error"].to_string();
        assert!(told.contains(error), "{name}: {told}");
    }
}
