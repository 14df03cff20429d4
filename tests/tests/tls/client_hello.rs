//! Rules that decide by what a TLS client says first, and that read its certificate.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::origin::Origin;
use shunt_tests::program::{self, Ended};
use shunt_tests::raw::Client;
use shunt_tests::site::{self, Site};
use shunt_tests::{address, packs};

use crate::hello::{Hello, alert, in_records};
use crate::members::{nginx, pki};
use crate::pki::{Ca, s_client};

/// Names that the first certificate serves.
const NAMES: [&str; 6] =
    ["a.example", "other.example", "h1.example", "open.example", "guest.example", "staff.example"];

/// A virtual with two certificates, CAs for clients, and the guest; its pool, and the one of its slot.
fn site(web: &str, other: &str) -> Site {
    let (folder, address) = (Folder::new(), address::free());
    let ca = Ca::new(&folder);
    ca.sign(&folder, "one", &NAMES, 1);
    ca.sign(&folder, "two", &["b.example"], 2);
    ca.sign(&folder, "good", &["good.client"], 3);
    let tls = "[virtual.tls]\ncertificates = [\n{ certificate = \"one.pem\", key = \"one.key\" },\n\
               { certificate = \"two.pem\", key = \"two.key\" },\n]\n\
               client-certificates = { ca = \"ca.pem\", verify = \"optional\" }\n";
    let rule = site::rule("hello", &packs::guest("hello"), "slots = { other = \"other\" }");
    folder.configure(&site::config(address, &format!("{tls}\n{rule}"), &format!("{web}{other}")));
    Site { daemon: Daemon::start_in(folder), address }
}

fn between(web: &Origin, other: SocketAddr) -> Site {
    site(&site::pool("web", "", &[web.address()]), &site::pool("other", "", &[other]))
}

/// curl, which asks for `/` of a name.
fn curl_as(site: &Site, to: SocketAddr, name: &str, arguments: &[&str]) -> Ended {
    let port = to.port();
    let mut command = Command::new("curl");
    command.current_dir(site.daemon.folder().path()).args(["-sS", "--cacert", "ca.pem", "--resolve"]);
    command.arg(format!("{name}:{port}:{}", to.ip())).args(arguments);
    program::ended(command.arg(format!("https://{name}:{port}/")))
}

fn ask(site: &Site, name: &str, arguments: &[&str]) -> Ended {
    curl_as(site, site.address, name, arguments)
}

/// What a client gets that says this and no more.
fn told(site: &Site, hello: &Hello<'_>) -> Vec<u8> {
    let mut client = Client::connect(site.address);
    client.send(hello.record());
    client.try_exact(7).unwrap_or_default()
}

const GOOD: [&str; 4] = ["--cert", "good.pem", "--key", "good.key"];

#[test]
fn the_name_chooses_pool_certificate_and_protocols() {
    let (web, other) = (Origin::named("web"), Origin::named("other"));
    let site = between(&web, other.address());
    assert_eq!(ask(&site, "a.example", &[]).good(), "web");
    assert_eq!(ask(&site, "other.example", &[]).good(), "other");
    let said = |arguments: &str| s_client(site.daemon.folder(), site.address, arguments);
    let common = |said: &str, name: &str| {
        let line = said.lines().find(|line| line.contains("subject=")).unwrap_or_default().replace(' ', "");
        assert!(line.ends_with(&format!("CN={name}")), "{name}\n{said}");
    };
    common(&said("-servername a.example"), "one");
    common(&said("-servername b.example"), "two");
    common(&said("-servername b-for-a.example"), "two");
    for (name, version) in [("a.example", "2"), ("h1.example", "1.1")] {
        let spoken = ask(&site, name, &["-o", "/dev/null", "-w", "%{http_version}"]);
        assert_eq!(spoken.good(), version, "{name}");
    }
}

#[test]
fn the_name_says_whether_a_certificate_is_asked_for() {
    let web = Origin::named("web");
    let site = between(&web, address::free());
    let subject = || web.requests().pop().unwrap().get("x-subject").map(str::to_owned);
    for name in ["open.example", "guest.example", "a.example"] {
        assert_eq!(ask(&site, name, &[]).good(), "web", "{name}");
        assert_eq!(subject(), None, "{name}");
    }
    let refused = ask(&site, "staff.example", &[]);
    assert!(refused.code != Some(0) && refused.stderr.contains("alert"), "{refused:?}");
    for name in ["guest.example", "staff.example", "a.example"] {
        assert_eq!(ask(&site, name, &GOOD).good(), "web", "{name}");
        assert_eq!(subject().as_deref(), Some("CN=good"), "{name}");
    }
    assert_eq!(ask(&site, "open.example", &GOOD).good(), "web");
    assert_eq!(subject(), None, "it was not asked for");
}

#[test]
fn a_rule_reads_all_of_a_certificate() {
    let web = Origin::named("web");
    let site = between(&web, address::free());
    assert_eq!(ask(&site, "a.example", &GOOD).good(), "web");
    let seen = web.request();
    for (name, value) in [
        ("x-subject", "CN=good"),
        ("x-issuer", "CN=test CA"),
        ("x-serial", "03"),
        ("x-names", "DNS:good.client"),
        ("x-dates", "1577836800 4733510400"),
        ("x-pem", "-----BEGIN CERTIFICATE-----"),
    ] {
        assert_eq!(seen.get(name), Some(value), "{name}");
    }
    let printed = crate::pki::openssl(site.daemon.folder(), "x509 -in good.pem -noout -fingerprint -sha256");
    let print = printed.good().rsplit('=').next().unwrap().trim().replace(':', "").to_lowercase();
    assert_eq!(seen.get("x-sha256"), Some(print.as_str()));
}

#[test]
fn a_client_is_refused_with_the_alert_of_the_rule() {
    let web = Origin::named("web");
    let site = between(&web, address::free());
    let named = |name| Hello { name: Some(name), ..Hello::default() };
    assert_eq!(told(&site, &named("away.example")), alert(112));
    assert_eq!(told(&site, &named("refused.example")), alert(49));
    let status = site.daemon.status();
    assert_eq!(status["virtuals"][0]["refused"], 2, "{status}");
    // What the virtual has not is the rule's fault.
    for name in ["nobody.example", "h3.example", "panic.example"] {
        assert_eq!(told(&site, &named(name)), alert(80), "{name}");
    }
    let status = site.daemon.status();
    let hooks = status["virtuals"][0]["rules"][0]["hooks"].as_array().unwrap();
    let hook = hooks.iter().find(|it| it["hook"] == "on-client-hello").unwrap();
    assert_eq!(hook["faults"], serde_json::json!({ "verdict": 2, "panic": 1 }), "{hook}");
    site.daemon.wait_log("which the virtual does not have");
    let no_name = Hello { early_data: true, ..Hello::default() };
    // Nothing that rustls has a key share for; whatever it says, the rule saw the offer.
    told(&site, &no_name);
    site.daemon.wait_log("hello None t13i");
    assert!(site.daemon.log().lines().any(|line| line.contains("hello None") && line.contains(" true")));
    let mut client = Client::connect(site.address);
    // One that says that it is longer than 64 KiB.
    client.send([22, 3, 1, 0, 4, 1, 1, 0, 0]);
    assert_eq!(client.exact(7), alert(50));
}

#[test]
fn a_rule_passes_some_names_through() {
    let pki = pki();
    let Some(server) = nginx(&pki, "", address::free()) else { return };
    let web = Origin::named("web");
    let site = between(&web, server.address);
    let said = s_client(&pki, site.address, "-servername raw.example");
    assert!(said.replace(' ', "").contains("CN=server"), "{said}");
    assert_eq!(ask(&site, "a.example", &[]).good(), "web");
    let status = site.daemon.status();
    assert_eq!(status["virtuals"][0]["passed-through"], 1, "{status}");
    drop(site);

    // And where no rule says so, all of them; there is nothing to terminate TLS with.
    let (folder, address) = (Folder::new(), address::free());
    let rule = site::rule("names", &packs::example("server-names"), NAMES_OF_RULE);
    let pools = site::pool("web", "", &[server.address]);
    folder.configure(&site::config(address, &format!("tls = {{ pass-through = true }}\n{rule}"), &pools));
    let site = Site { daemon: Daemon::start_in(folder), address };
    let said = s_client(&pki, site.address, "-servername a.example");
    assert!(said.replace(' ', "").contains("CN=server"), "{said}");
    let named = |name| Hello { name: Some(name), ..Hello::default() };
    assert_eq!(told(&site, &named("staff.example")), alert(80));
    assert_eq!(told(&site, &named("unknown.example")), alert(112));
}

const NAMES_OF_RULE: &str = "slots = { web = \"web\", through = \"web\" }\n\
     settings = { through = [\"a.example\"], staff = [\"staff.example\"], strict = true }";

/// Sends on what comes, the first message of the client in other records and in pieces.
fn cut(to: SocketAddr, record: usize, segment: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept()?;
        let mut server = TcpStream::connect(to)?;
        server.set_nodelay(true)?;
        let mut head = [0; 5];
        client.read_exact(&mut head)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        client.read_exact(&mut message)?;
        for piece in in_records(&message, record).chunks(segment) {
            server.write_all(piece)?;
        }
        let (mut reading, mut writing) = (server.try_clone()?, client.try_clone()?);
        thread::spawn(move || {
            let _ = std::io::copy(&mut reading, &mut writing);
            let _ = writing.shutdown(Shutdown::Write);
        });
        std::io::copy(&mut client, &mut server)?;
        server.shutdown(Shutdown::Write)
    });
    address
}

#[test]
fn a_hello_may_come_in_any_pieces() {
    let web = Origin::named("web");
    let site = between(&web, address::free());
    for (record, segment) in [(1 << 14, 1), (1 << 14, 100), (1, 1 << 20), (50, 13)] {
        let through = cut(site.address, record, segment);
        let answer = curl_as(&site, through, "staff.example", &GOOD);
        assert_eq!(answer.good(), "web", "records of {record}, pieces of {segment}");
    }
}

#[test]
fn a_rule_is_told_why_there_is_no_tls_with_a_member() {
    let pki = pki();
    let Some(server) = nginx(&pki, "", address::free()) else { return };
    let origin = Origin::start(|call| {
        call.send("HTTP/1.1 400 Bad Request\r\n\r\n")?;
        call.until_end();
        Ok(())
    });
    let ca = pki.path().join("ca.pem").display().to_string();
    let own = "ca.pem";
    let table = [
        (format!("ca = {own:?}, server-name = \"member.example\""), server.address, "NotTrusted"),
        (format!("ca = {ca:?}, server-name = \"c.example\""), server.address, "OtherName"),
        (format!("ca = {ca:?}, server-name = \"member.example\""), origin.address(), "NoTls"),
    ];
    for (tls, member, why) in table {
        let web = site::pool("web", &format!("tls = {{ {tls} }}"), &[member]);
        let site = site(&web, &site::pool("other", "", &[member]));
        let answer = ask(&site, "a.example", &[]);
        assert_eq!(answer.good(), format!("Cause::Other Some(MemberFailure::{why})"), "{tls}");
    }
}

#[test]
fn a_virtual_without_tls_cannot_fire_it() {
    let origin = Origin::named("a");
    let folder = Folder::new();
    let rule =
        site::rule("names", &packs::example("server-names"), "slots = { web = \"web\", through = \"web\" }");
    folder.configure(&site::config(address::free(), &rule, &site::pool("web", "", &[origin.address()])));
    let refused = Daemon::try_start(folder).err().expect("it is refused");
    assert!(refused.stderr.contains("on-client-hello"), "{refused:?}");
}
