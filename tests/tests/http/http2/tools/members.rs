//! What takes its time: the suite of others for HTTP/2, and a browser. `cargo xtask test members`.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use shunt_tests::daemon::Folder;
use shunt_tests::origin::{Call, Origin, ok};

use super::{counting, run, site};
use crate::tls::secure;

/// All 146 cases of h2spec 2.6.0; it must not skip one.
#[track_caller]
fn passes_h2spec(address: SocketAddr, options: &[&str]) {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let arguments = [&["--host", &ip, "--port", &port, "--timeout", "5"], options].concat();
    let Some(said) = run("h2spec", &arguments) else { return };
    assert!(said.contains("146 tests, 146 passed, 0 skipped, 0 failed"), "{said}");
}

#[test]
#[ignore = "takes h2spec: cargo xtask test members"]
fn h2spec_in_clear_text() {
    let origin = counting();
    passes_h2spec(site("", &origin).address, &[]);
}

#[test]
#[ignore = "takes h2spec: cargo xtask test members"]
fn h2spec_over_tls() {
    let origin = counting();
    passes_h2spec(secure("", &origin, &[&["a.example"]]).0.address, &["--tls", "--insecure"]);
}

/// Asks for many things at once, sends a body, speaks by WebSocket, and tells `/told` what came of it.
const PAGE: &str = "\
<!doctype html>
<script>
async function all() {
    const gets = await Promise.all(Array.from({ length: 60 }, (_, n) => fetch(`/get/${n}`).then((it) => it.text())));
    const body = 'x'.repeat(1 << 20);
    const post = await fetch('/post', { method: 'POST', body }).then((it) => it.text());
    const by = performance.getEntriesByType('resource').map((it) => it.nextHopProtocol);
    const echo = await new Promise((said, failed) => {
        const socket = new WebSocket(`wss://${location.host}/socket`);
        socket.onopen = () => socket.send('hello');
        socket.onmessage = (message) => said(message.data);
        socket.onerror = () => failed('no WebSocket');
    });
    return [gets.filter((it, n) => it === `GET /get/${n} HTTP/1.1 took 0`).length, post, [...new Set(by)], echo];
}
all().catch(String).then((told) => fetch('/told', { method: 'POST', body: JSON.stringify(told) }));
</script>
";

fn serve(call: &mut Call) -> std::io::Result<()> {
    loop {
        let request = call.request()?;
        let line = &request.head.line;
        if line.starts_with("GET /socket ") {
            return echo(call);
        }
        if line.starts_with("POST /told ") {
            call.mark(request.text());
            call.mark("told");
        }
        match line.as_str() {
            "GET / HTTP/1.1" => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ";
                call.send(format!("{head}{}\r\n\r\n{PAGE}", PAGE.len()))?;
            }
            line => call.send(ok(&format!("{line} took {}", request.body.len())))?,
        }
    }
}

/// One short message of a WebSocket and back (RFC 6455 section 5.2). The key is not answered: over HTTP/2 the browser
/// has sent none, and over HTTP/1 it would not be content.
fn echo(call: &mut Call) -> std::io::Result<()> {
    call.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")?;
    let [kind, length] = call.wire().try_exact(2)?[..] else { return Ok(()) };
    let length = length & 0x7f;
    let masked = call.wire().try_exact(4 + usize::from(length))?;
    let (mask, text) = masked.split_at(4);
    let text = text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    call.send([kind, length].into_iter().chain(text).collect::<Vec<_>>())?;
    call.until_end();
    Ok(())
}

/// A browser, ended when this is dropped.
struct Browser(Child, #[expect(dead_code, reason = "its profile")] Folder);

impl Browser {
    fn open(url: &str) -> Option<Browser> {
        let profile = Folder::new();
        let mut command = Command::new("chromium");
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"]);
        // It looks for hosts of its maker otherwise.
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.arg("--ignore-certificate-errors");
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match child {
            Ok(child) => Some(Browser(child, profile)),
            Err(error) => {
                println!("skipped: chromium cannot be run: {error}");
                None
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("a browser does not end: {error}");
        }
    }
}

#[test]
#[ignore = "takes chromium: cargo xtask test members"]
fn chromium_over_http_2() {
    let origin = Origin::start(serve);
    let (site, _) = secure("http2 = { websocket = true }", &origin, &[&["localhost"]]);
    let Some(_browser) = Browser::open(&format!("https://{}/", site.address)) else { return };
    origin.wait_mark("told");
    assert_eq!(origin.marks()[0], r#"[60,"POST /post HTTP/1.1 took 1048576",["h2"],"hello"]"#);
}
