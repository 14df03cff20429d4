//! Proxies for TCP with TLS: terminated, encrypted again toward members, and passed through.

use std::net::SocketAddr;

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, until};
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::{packs, program, site};

use crate::hello::Hello;
use crate::members::{nginx, pki};
use crate::pki::{curl, s_client};

fn config(listen: SocketAddr, keys: &str, rest: &str) -> String {
    site::config(listen, keys, rest).replace("protocol = \"http\"", "protocol = \"tcp\"")
}

const TERMINATED: &str = "tls = { certificate = \"server.pem\", key = \"server.key\" }";

#[test]
fn tls_is_terminated_and_its_end_is_passed_on() {
    let pki = pki();
    let origin = Origin::start(|call| {
        call.send("hello of the member")?;
        call.end()?;
        call.until_end();
        call.mark("ended");
        Ok(())
    });
    let listen = address::free();
    pki.configure(&config(listen, TERMINATED, &site::pool("web", "", &[origin.address()])));
    let daemon = Daemon::start_in(pki);
    let said = s_client(daemon.folder(), listen, "-quiet -alpn imap");
    assert!(said.contains("hello of the member"), "{said}");
    origin.wait_mark("ended");
    until("it to end", || daemon.status()["virtuals"][0]["open"] == 0);
    assert_eq!(daemon.status()["virtuals"][0]["handshakes-failed"], 0);
}

#[test]
fn rules_see_the_bytes_inside_tls() {
    let pki = pki();
    let named = |name: &'static str| {
        Origin::start(move |call| {
            let line = call.wire().try_until(b"\n")?;
            call.send([name.as_bytes(), b" got ", &line].concat())?;
            call.end()
        })
    };
    let (web, other) = (named("web"), named("other"));
    let rule = site::rule("data", &packs::guest("data"), "slots = { other = \"other\" }");
    let pools = site::pool("web", "", &[web.address()]) + &site::pool("other", "", &[other.address()]);
    let listen = address::free();
    pki.configure(&config(listen, &format!("{TERMINATED}\n{rule}"), &pools));
    let daemon = Daemon::start_in(pki);
    for (says, hears) in [
        ("to it\n", "other got to it\n"),
        ("upper all\n", "web got UPPER ALL\n"),
        ("something\n", "web got something\n"),
    ] {
        let file = daemon.folder().write("says", says);
        let mut command = std::process::Command::new("openssl");
        command
            .current_dir(daemon.folder().path())
            .args(["s_client", "-quiet", "-CAfile", "ca.pem", "-connect"]);
        command.arg(listen.to_string()).stdin(std::fs::File::open(file).unwrap());
        assert_eq!(program::ended(&mut command).stdout, hears);
    }
}

#[test]
fn bytes_are_encrypted_again_toward_members() {
    let pki = pki();
    let Some(server) = nginx(&pki, "", address::free()) else { return };
    let (plain, secure) = (address::free(), address::free());
    let of_pool = "tls = { ca = \"ca.pem\", server-name = \"b.example\" }";
    let pool = site::pool("web", of_pool, &[server.address]);
    let second = site::virtual_("plain", plain, "web", "").replace("\"http\"", "\"tcp\"");
    pki.configure(&config(secure, TERMINATED, &format!("{second}{pool}")));
    let daemon = Daemon::start_in(pki);
    let text = curl(daemon.folder(), secure, &[]).good();
    // What the member was asked for by SNI, and no ALPN.
    assert!(text.contains("b.example"), "{text}");
    let mut client = Client::connect(plain);
    assert!(client.get("/").text().contains("b.example"));

    let wrong = of_pool.replace("b.example", "c.example");
    let pool = site::pool("web", &wrong, &[server.address]);
    daemon.reload(&config(secure, TERMINATED, &format!("{second}{pool}")));
    let ended = Client::try_connect(plain).and_then(|mut client| client.try_exact(1));
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    daemon.wait_log("member-tls-failed");
}

#[test]
fn rules_choose_by_the_server_name_what_is_passed_through() {
    let hello = |name| Hello { name: Some(name), ..Hello::default() }.record();
    let named = |name: &'static str| {
        Origin::start(move |call| {
            call.send(name)?;
            call.until_end();
            Ok(())
        })
    };
    let (web, through) = (named("web"), named("through"));
    let listen = address::free();
    let keys =
        "slots = { web = \"web\", through = \"through\" }\nsettings = { through = [\"*.raw.example\"] }";
    let rule = site::rule("names", &packs::example("server-names"), keys);
    let pools = [site::pool("web", "", &[web.address()]), site::pool("through", "", &[through.address()])];
    let keys = format!("tls = {{ pass-through = true }}\n{rule}");
    let _daemon = Daemon::start(&config(listen, &keys, &pools.concat()));
    for (name, member) in [("a.example", "web"), ("a.raw.example", "through")] {
        let mut client = Client::connect(listen);
        client.send(hello(name));
        assert_eq!(client.exact(member.len()), member.as_bytes(), "{name}");
    }
}
