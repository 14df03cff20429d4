//! Servers of others as members: `cargo xtask test members`.

use std::thread;
use std::time::{Duration, Instant};

use shunt_tests::load::Load;
use shunt_tests::raw::Client;
use shunt_tests::server::Server;
use shunt_tests::site::Site;

const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";

/// GETs and POSTs of four clients in front of this server, each on one connection that must stay.
#[track_caller]
fn serves(server: &Server) {
    const REQUESTS: usize = 2_400;
    let site = Site::members("", &[server.address]);
    let load = Load::start(site.address, 4);
    load.go_on(REQUESTS);
    assert!(load.end() >= REQUESTS);
}

/// Requests at the instant at which the server closes a connection that was `idle` for so long: none fails.
#[track_caller]
fn serves_at_the_idle_close(server: &Server, idle: Duration) {
    const CLIENTS: u64 = 40;
    let site = Site::members("", &[server.address]);
    let address = site.address;
    let ask = move |number: u64| {
        thread::spawn(move || {
            let mut client = Client::connect(address);
            assert_eq!(client.get("/").status(), 200);
            // From 60 ms before to 60 ms behind it.
            let at = Instant::now() + idle + Duration::from_millis(3 * number) - Duration::from_millis(60);
            thread::sleep(at.saturating_duration_since(Instant::now()));
            let answer = if number.is_multiple_of(2) { client.get("/") } else { client.ask(POST) };
            answer.status()
        })
    };
    let asked: Vec<_> = (0..CLIENTS).map(ask).collect();
    let failed = asked.into_iter().filter_map(|it| it.join().ok()).filter(|status| *status != 200).count();
    assert_eq!(failed, 0, "of {CLIENTS} at {idle:?}");
}

/// A server that refuses by the head: the client gets the answer, however much it still sends.
#[track_caller]
fn refuses_early(server: &Server) {
    let site = Site::members("", &[server.address]);
    let body = vec![b'x'; 5 << 20];
    for number in 0..20 {
        let mut client = site.client();
        let head = format!("POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
        client.send(head);
        // It may be told to stop.
        let _ = client.try_send(&body);
        assert_eq!(client.answer().status(), 413, "{number}");
    }
}

/// GET behind HEAD, over and over.
#[track_caller]
fn serves_behind_head(server: &Server) {
    let site = Site::members("", &[server.address]);
    let mut client = site.client();
    for number in 0..100 {
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer_head().status(), 200, "{number}");
        assert_eq!(client.get("/").text(), "took 0", "{number}");
    }
}

#[test]
#[ignore = "takes nginx as a member: cargo xtask test members"]
fn nginx_serves() {
    let Some(server) = Server::nginx() else { return };
    serves(&server);
}

#[test]
#[ignore = "takes Node as a member: cargo xtask test members"]
fn node_serves() {
    let Some(server) = Server::node() else { return };
    serves(&server);
    // It says 5 seconds and means 6.
    serves_at_the_idle_close(&server, Duration::from_secs(6));
}

#[test]
#[ignore = "takes gunicorn as a member: cargo xtask test members"]
fn gunicorn_serves() {
    let Some(server) = Server::gunicorn() else { return };
    serves(&server);
    serves_at_the_idle_close(&server, Duration::from_secs(2));
    refuses_early(&server);
    serves_behind_head(&server);
}

#[test]
#[ignore = "takes uvicorn as a member: cargo xtask test members"]
fn uvicorn_serves() {
    let Some(server) = Server::uvicorn() else { return };
    serves(&server);
    serves_at_the_idle_close(&server, Duration::from_secs(5));
    refuses_early(&server);
    serves_behind_head(&server);
}

#[test]
#[ignore = "takes hypercorn as a member: cargo xtask test members"]
fn hypercorn_serves() {
    let Some(server) = Server::hypercorn() else { return };
    serves(&server);
    serves_at_the_idle_close(&server, Duration::from_secs(5));
    refuses_early(&server);
    serves_behind_head(&server);
}

#[test]
#[ignore = "takes waitress as a member: cargo xtask test members"]
fn waitress_serves() {
    let Some(server) = Server::waitress() else { return };
    serves(&server);
    refuses_early(&server);
    serves_behind_head(&server);
}
