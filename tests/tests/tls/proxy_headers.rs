//! What members are told of a client's TLS by the PROXY protocol, and where the header stands.

use std::net::SocketAddr;

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, Folder, until};
use shunt_tests::origin::{Origin, ok};
use shunt_tests::server::Server;
use shunt_tests::site::{self, Site};

use crate::pki::{Ca, curl};

/// A virtual for `a.example` that may be shown certificates, in front of members that are told of it.
fn site(of_pool: &str, members: &[SocketAddr]) -> Site {
    let (folder, address) = (Folder::new(), address::free());
    let ca = Ca::new(&folder);
    ca.sign(&folder, "server", &["a.example"], 1);
    ca.sign(&folder, "good", &["good.client"], 2);
    let tls = "tls = { certificate = \"server.pem\", key = \"server.key\", client-certificates = { ca = \"ca.pem\", verify = \"optional\" } }";
    folder.configure(&site::config(address, tls, &site::pool("web", of_pool, members)));
    Site { daemon: Daemon::start_in(folder), address }
}

/// The TLVs of a header of version 2 about a connection over IPv4.
fn tlvs(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut rest, mut found) = (bytes, Vec::new());
    while let [kind, high, low, behind @ ..] = rest {
        let (value, next) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        found.push((*kind, value.to_vec()));
        rest = next;
    }
    found
}

#[test]
fn members_are_told_of_the_tls_of_clients() {
    let origin = Origin::start(|call| {
        let head = call.wire().try_exact(16)?;
        assert_eq!(head[..14], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11");
        let behind = call.wire().try_exact(usize::from(u16::from_be_bytes([head[14], head[15]])))?;
        loop {
            call.request()?;
            call.send(ok(&format!("{:02x?}", tlvs(&behind[12..]))))?;
        }
    });
    let site = site("proxy-protocol = \"v2\"", &[origin.address()]);
    let folder = site.daemon.folder();
    let told = |protocol: &str, version: &str, cipher: &str, common_name: &str| {
        let inside = |kind: u8, text: &str| match text {
            "" => Vec::new(),
            text => [&[kind, 0, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat(),
        };
        // Over TLS, and whether there was a certificate; whether it could not be verified.
        let begin = if common_name.is_empty() { [1, 0, 0, 0, 1] } else { [3, 0, 0, 0, 0] };
        let tls = [begin.to_vec(), inside(0x21, version), inside(0x22, common_name), inside(0x23, cipher)];
        let all = vec![(0x20, tls.concat()), (1, protocol.into()), (2, b"a.example".to_vec())];
        format!("{all:02x?}")
    };
    let shows = ["--cert", "good.pem", "--key", "good.key"];
    let tls13 = ["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"];
    let tls12 = ["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"];
    for (arguments, protocol, version, cipher) in [
        (&[&tls13[..], &["--http2"]].concat(), "h2", "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
        (&[&tls13[..], &["--http1.1"]].concat(), "http/1.1", "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
        (&[&tls12[..], &["--http1.1"]].concat(), "http/1.1", "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ] {
        for (shows, common_name) in [(&[][..], ""), (&shows, "good")] {
            let said = curl(folder, site.address, &[arguments, shows].concat()).good();
            assert_eq!(said, told(protocol, version, cipher, common_name), "{arguments:?}");
        }
    }
}

/// Says whom it takes for the client, and the name that TLS asked for.
const NGINX: &str = "\
ssl_certificate PKI/member.pem;
ssl_certificate_key PKI/member.key;
server {
    listen ADDRESS ssl proxy_protocol;
    location / { return 200 '$proxy_protocol_addr:$proxy_protocol_port $ssl_server_name'; }
}
";

/// What the client named, and whether it had TLS.
const HAPROXY: &str = "\
defaults
    mode http
    timeout client 30s
frontend in
    bind ADDRESS accept-proxy
    http-request return status 200 content-type text/plain lf-string %[fc_pp_authority]
";

#[test]
fn the_header_stands_before_tls_with_the_member() {
    let pki = Folder::new();
    let ca = Ca::new(&pki);
    ca.sign(&pki, "member", &["member.example", "a.example"], 1);
    let server = Server::nginx_with(&NGINX.replace("PKI", &pki.path().display().to_string()));
    let Some(server) = server else { return };
    for version in ["v1", "v2"] {
        let (folder, address) = (Folder::new(), address::free());
        folder.write("ca.pem", std::fs::read(pki.path().join("ca.pem")).unwrap());
        let keys = format!(
            "proxy-protocol = \"{version}\"\ntls = {{ ca = \"ca.pem\", server-name = \"member.example\" }}\n\
             monitor = {{ http = \"/\", interval = \"250ms\", rise = 1 }}"
        );
        folder.configure(&site::config(address, "", &site::pool("web", &keys, &[server.address])));
        let site = Site { daemon: Daemon::start_in(folder), address };
        until("it is up", || site.daemon.status()["pools"][0]["members"][0]["health"] == "up");
        let mut client = site.client();
        for _ in 0..2 {
            let expected = format!("{} member.example", client.stream().local_addr().unwrap());
            assert_eq!(client.get("/").text(), expected);
        }

        // And before TLS that is passed through.
        let pool = site::pool("web", &format!("proxy-protocol = \"{version}\""), &[server.address]);
        let passed = Site::configured(|at| site::config(at, "tls = { pass-through = true }", &pool));
        let said = curl(&pki, passed.address, &[]).good();
        assert!(said.starts_with("127.0.0.1:") && said.ends_with(" a.example"), "{said}");
    }
}

#[test]
fn haproxy_knows_the_name_that_a_client_asked_for() {
    let server = Server::start("haproxy", "haproxy.cfg", HAPROXY, |command, folder| {
        command.arg("-db").arg("-f").arg(folder.path().join("haproxy.cfg"));
    });
    let Some(server) = server else { return };
    let site = site("proxy-protocol = \"v2\"", &[server.address]);
    assert_eq!(curl(site.daemon.folder(), site.address, &[]).good(), "a.example");
}
