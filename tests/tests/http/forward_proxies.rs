//! Members that are forward proxies: clients have the virtual as their proxy.

use std::collections::BTreeMap;
use std::process::Command;

use shunt_tests::daemon::until;
use shunt_tests::frames;
use shunt_tests::origin::{Origin, ok};
use shunt_tests::program;
use shunt_tests::server::Server;
use shunt_tests::site::{self, Site};

const FORWARD: &str = "proxy = \"forward\"";

/// A proxy that opens a tunnel to nowhere, says `hello` in it, and sends every line back.
fn tunnelling() -> Origin {
    Origin::start(|call| {
        call.head()?;
        // What stands in it means nothing (RFC 9110 section 9.3.6).
        call.send("HTTP/1.1 200 Connection established\r\nContent-Length: 3\r\n\r\nhello\n")?;
        loop {
            match call.wire().try_until(b"\n") {
                Ok(line) => call.send([b"> ", &line[..]].concat())?,
                Err(_) => {
                    call.mark("ended");
                    return call.send("bye\n");
                }
            }
        }
    })
}

#[test]
fn a_whole_url_goes_to_the_proxy_as_it_is() {
    let origin = Origin::named("a");
    let site = Site::with(FORWARD, &[&origin]);
    let mut client = site.client();
    for (line, target, host) in [
        ("GET http://h.example/a?b HTTP/1.1", "http://h.example/a?b", "h.example"),
        ("GET http://h.example:80 HTTP/1.1", "http://h.example/", "h.example"),
        ("GET http://h.example:8080/ HTTP/1.1", "http://h.example:8080/", "h.example:8080"),
        ("POST https://h.example?x HTTP/1.1", "https://h.example/?x", "h.example"),
        ("GET ftp://h.example/file HTTP/1.1", "ftp://h.example/file", "h.example"),
        ("OPTIONS http://h.example HTTP/1.1", "http://h.example", "h.example"),
        // Who sends a path has not asked for a proxy. What that means is the member's to say.
        ("GET /a HTTP/1.1", "/a", "h.example"),
    ] {
        let answer = client.ask(format!(
            "{line}\r\nHost: {host}\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\n\
             Content-Length: 0\r\n\r\n"
        ));
        assert_eq!(answer.status(), 200, "{line}");
        let seen = origin.requests().pop().unwrap();
        let method = line.split(' ').next().unwrap();
        assert_eq!(seen.head.line, format!("{method} {target} HTTP/1.1"));
        assert_eq!(seen.head.all("host"), [host], "{line}");
        assert_eq!(
            seen.get("proxy-authorization"),
            Some("Basic eDp5"),
            "it is for the proxy that asks for it"
        );
        assert!(!seen.head.has("proxy-connection"), "{line}");
    }
    // Elsewhere the path is what counts.
    let site = Site::of(&[&origin]);
    assert_eq!(site.client().ask("GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n").status(), 200);
    assert_eq!(origin.requests().pop().unwrap().head.line, "GET /a HTTP/1.1");
}

#[test]
fn connect_makes_a_tunnel() {
    for (request, early) in [
        ("CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\n\r\n", false),
        (
            "CONNECT h.example:443 HTTP/1.1\r\nHost: h.example\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            true,
        ),
        ("CONNECT h.example:443 HTTP/1.0\r\n\r\n", true),
    ] {
        let origin = tunnelling();
        let site = Site::with(FORWARD, &[&origin]);
        let mut client = site.client();
        client.send(if early { format!("{request}early\n") } else { request.to_owned() });
        let head = client.answer_head();
        assert_eq!(head.status(), 200, "{request:?}");
        for name in ["content-length", "transfer-encoding", "connection"] {
            assert!(!head.has(name), "{request:?}: {name}");
        }
        let seen = origin.request();
        assert_eq!(seen.head.line, "CONNECT h.example:443 HTTP/1.1");
        assert_eq!(seen.head.all("host"), ["h.example:443"]);
        for name in ["content-length", "upgrade", "connection"] {
            assert!(!seen.head.has(name), "{request:?}: {name}");
        }
        assert_eq!(client.exact(6), b"hello\n");
        if early {
            assert_eq!(client.exact(8), b"> early\n");
        }
        client.send("GET / HTTP/1.1\r\n");
        assert_eq!(client.exact(18), b"> GET / HTTP/1.1\r\n");
        assert_eq!(site.daemon.status()["pools"][0]["members"][0]["active"], 1);
        // One side ends first; what the other still says arrives.
        client.end();
        origin.wait_mark("ended");
        assert_eq!(client.try_rest().unwrap(), b"bye\n");
        until("the member is free", || site.daemon.status()["pools"][0]["members"][0]["active"] == 0);
    }
}

#[test]
fn a_tunnel_that_is_silent_ends() {
    let origin = tunnelling();
    let site = Site::with("proxy = \"forward\"\ntimeouts = { idle = \"100ms\" }", &[&origin]);
    let mut client = site.client();
    client.send("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
    assert_eq!(client.answer_head().status(), 200);
    assert_eq!(client.exact(6), b"hello\n");
    assert!(client.ended());
}

/// The client gets what the proxy says, and may ask again on its connection.
#[test]
fn a_refusal_of_the_proxy_is_an_answer() {
    let origin = Origin::start(|call| {
        loop {
            let request = call.request()?;
            if request.head.has("proxy-authorization") {
                call.send("HTTP/1.1 200 OK\r\n\r\nin")?;
                return call.end();
            }
            call.send(
                "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"p\"\r\n\
                 Content-Length: 4\r\n\r\nauth",
            )?;
        }
    });
    let site = Site::with(FORWARD, &[&origin]);
    let mut client = site.client();
    let connect = "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n";
    let answer = client.ask(format!("{connect}\r\n"));
    assert_eq!((answer.status(), answer.text().as_str()), (407, "auth"));
    assert_eq!(answer.get("proxy-authenticate"), Some("Basic realm=\"p\""));
    client.send(format!("{connect}Proxy-Authorization: Basic eDp5\r\n\r\n"));
    assert_eq!(client.answer_head().status(), 200);
    assert_eq!(client.try_rest().unwrap(), b"in");
}

#[test]
fn connect_is_refused_where_it_means_nothing() {
    let origin = Origin::named("a");
    let forward = Site::with(FORWARD, &[&origin]);
    let reverse = Site::of(&[&origin]);
    let good = "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n";
    assert_eq!(reverse.client().ask(good).status(), 405);
    for bad in [
        "CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT http://h:443/ HTTP/1.1\r\nHost: h:443\r\n\r\n",
        "CONNECT x@h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
        "CONNECT h:443 HTTP/1.1\r\nHost: i:443\r\n\r\n",
        "CONNECT h:443 HTTP/1.1\r\n\r\n",
        "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nContent-Length: 2\r\n\r\nhi",
        "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        assert_eq!(forward.client().ask(bad).status(), 400, "{bad:?}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn connect_over_http2() {
    let origin = tunnelling();
    let site = Site::with("proxy = \"forward\"\nhttp2 = { start = \"prior-knowledge\" }", &[&origin]);
    let mut client = frames::Client::connect(site.address);
    let stream = client.begin(&[(":method", "CONNECT"), (":authority", "h.example:443")], 0);
    assert_eq!(client.status(stream), 200);
    client.read_body(stream, 6);
    client.data(stream, b"line\n", 0);
    client.read_body(stream, 13);
    client.data(stream, b"", frames::END_STREAM);
    let answer = client.answer(stream);
    assert_eq!(answer.text(), "hello\n> line\nbye\n");
    assert_eq!(origin.request().head.line, "CONNECT h.example:443 HTTP/1.1");
    assert_eq!(origin.request().head.all("host"), ["h.example:443"]);

    let site = Site::with("http2 = { start = \"prior-knowledge\" }", &[&origin]);
    let mut client = frames::Client::connect(site.address);
    let stream = client.begin(&[(":method", "CONNECT"), (":authority", "h.example:443")], 0);
    assert_eq!(client.status(stream), 405);
}

/// Each URL has one proxy, whoever asks, and another while that one is away.
#[test]
fn urls_are_spread_over_proxies() {
    let names = ["a", "b", "c"];
    let mut origins: Vec<_> = names.map(Origin::named).into();
    let members: Vec<_> = origins.iter().map(Origin::address).collect();
    let pool = site::pool("web", "balance = \"url-hash\"", &members);
    let forward = Site::configured(|at| site::config(at, FORWARD, &pool));
    let reverse = Site::configured(|at| site::config(at, "", &pool));
    let ask = |site: &Site, target: &str, host: &str| {
        site.client().ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).text()
    };
    let by_url = |site: &Site, prefix: &str| -> BTreeMap<String, String> {
        let urls = (0..30).map(|number| format!("{prefix}/{number}?q"));
        urls.map(|url| (url.clone(), ask(site, &url, "h.example"))).collect()
    };
    let chosen = by_url(&forward, "http://h.example");
    for name in names {
        assert!(chosen.values().any(|it| it == name), "{chosen:?}");
    }
    assert_eq!(by_url(&forward, "http://h.example"), chosen);
    assert_eq!(by_url(&forward, "http://H.Example:80").into_values().collect::<Vec<_>>(), {
        chosen.values().cloned().collect::<Vec<_>>()
    });
    // Where the member is the origin, the path says which; a host does not.
    let paths = by_url(&reverse, "");
    assert_eq!(by_url(&reverse, "http://h.example").into_values().collect::<Vec<_>>(), {
        paths.values().cloned().collect::<Vec<_>>()
    });
    // What another had stays there.
    let gone = origins.remove(1);
    gone.end_all();
    drop(gone);
    for (url, name) in &by_url(&forward, "http://h.example") {
        assert!(chosen[url] == "b" || *name == chosen[url], "{url} moved from {} to {name}", chosen[url]);
        assert_ne!(name, "b");
    }
}

/// CONNECT is spread by host and port.
#[test]
fn tunnels_to_one_host_go_through_one_proxy() {
    let refusing = |name: &'static str| {
        Origin::start(move |call| {
            loop {
                call.request()?;
                call.send(format!("HTTP/1.1 403 Forbidden\r\nContent-Length: 1\r\n\r\n{name}"))?;
            }
        })
    };
    let origins = ["a", "b", "c"].map(refusing);
    let members: Vec<_> = origins.iter().map(Origin::address).collect();
    let pool = site::pool("web", "balance = \"url-hash\"", &members);
    let site = Site::configured(|at| site::config(at, FORWARD, &pool));
    let ask = |target: &str| {
        site.client().ask(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")).text()
    };
    let mut used = std::collections::BTreeSet::new();
    for number in 0..30 {
        let chosen = ask(&format!("h{number}.example:443"));
        assert_eq!(ask(&format!("H{number}.example:443")), chosen);
        used.insert(chosen);
    }
    assert_eq!(used.len(), 3);
}

const SQUID: &str = "\
http_port ADDRESS KEYS
http_access allow all
visible_hostname squid
access_log none
cache_log /dev/null
cache_store_log none
pid_filename none
pinger_enable off
max_filedescriptors 1024
shutdown_lifetime 0 seconds
dns_nameservers 127.0.0.1
";

fn squid(keys: &str) -> Option<Server> {
    Server::start("squid", "squid.conf", &SQUID.replace("KEYS", keys), |command, folder| {
        command.arg("-N").arg("-f").arg(folder.path().join("squid.conf"));
    })
}

/// curl, with the virtual as its proxy.
fn curl(site: &Site, arguments: &[&str]) -> program::Ended {
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "", "-x"]).arg(format!("http://{}", site.address)).args(arguments);
    program::ended(&mut command)
}

#[test]
fn squid_gets_urls_and_tunnels() {
    let Some(server) = squid("") else { return };
    let origin = Origin::start(|call| {
        loop {
            call.request()?;
            call.send(ok("from the origin"))?;
        }
    });
    let url = format!("http://{}/a?b", origin.address());
    let keys = "balance = \"url-hash\"\nmonitor = { tcp = true, interval = \"250ms\", rise = 1 }";
    let pool = site::pool("web", keys, &[server.address]);
    let site = Site::configured(|at| site::config(at, FORWARD, &pool));
    assert_eq!(curl(&site, &[&url]).good(), "from the origin");
    let seen = origin.requests().pop().unwrap();
    assert_eq!(seen.head.line, "GET /a?b HTTP/1.1");
    assert!(seen.get("via").is_some_and(|via| via.contains("squid")), "{:?}", seen.head.fields);
    assert_eq!(curl(&site, &["-p", &url]).good(), "from the origin");
    assert_eq!(origin.requests().pop().unwrap().get("via"), None, "nobody looks into a tunnel");
    // What squid says itself.
    let away = format!("http://{}/", shunt_tests::address::free());
    assert_eq!(curl(&site, &["-o", "/dev/null", "-w", "%{http_code}", &away]).good(), "503");
    let refused = curl(&site, &["-p", "-o", "/dev/null", "-w", "%{http_connect}", &away]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(56), "503"));
}

#[test]
fn squid_knows_the_client_by_the_proxy_protocol() {
    let Some(server) = squid("require-proxy-header\nproxy_protocol_access allow all\nforwarded_for on")
    else {
        return;
    };
    let origin = Origin::named("a");
    let url = format!("http://{}/", origin.address());
    for version in ["v1", "v2"] {
        let pool = site::pool("web", &format!("proxy-protocol = \"{version}\""), &[server.address]);
        let keys = format!("{FORWARD}\nproxy-protocol = \"127.0.0.0/8\"\nforwarded = \"off\"");
        let site = Site::configured(|at| site::config(at, &keys, &pool));
        let mut client = site.client();
        client.send("PROXY TCP4 192.0.2.7 198.51.100.1 4000 3128\r\n");
        let request = format!("GET {url} HTTP/1.1\r\nHost: {}\r\n\r\n", origin.address());
        assert_eq!(client.ask(request).text(), "a");
        assert_eq!(origin.requests().pop().unwrap().get("x-forwarded-for"), Some("192.0.2.7"), "{version}");
    }
}
