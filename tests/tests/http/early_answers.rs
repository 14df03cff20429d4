//! Answers that come before the request is whole: nobody loses one for it, and a connection that ends says so.

use std::thread;

use shunt_tests::daemon::until;
use shunt_tests::origin::{Call, Origin, ok};
use shunt_tests::site::{self, Site};

const GET: &str = "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n";

fn head(framing: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n")
}

/// Answers a POST by its head and reads its body behind the answer, a GET as it is.
fn answering_by_the_head(call: &mut Call, answer: &str) -> std::io::Result<()> {
    loop {
        let head = call.head()?;
        if head.line.starts_with("GET") {
            call.send(ok("second"))?;
            continue;
        }
        call.send(answer)?;
        let body = call.wire().try_request_body(head)?.body;
        call.mark(format!("whole {}", body.len()));
    }
}

#[test]
fn the_request_goes_on_behind_its_answer() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nearly",
    ] {
        for (framing, pieces) in [
            ("Content-Length: 3000", ["a".repeat(1000), "b".repeat(1000), "c".repeat(1000)]),
            (
                "Transfer-Encoding: chunked",
                [
                    format!("3e8\r\n{}\r\n", "a".repeat(1000)),
                    format!("3e8\r\n{}\r\n", "b".repeat(1000)),
                    format!("3e8\r\n{}\r\n0\r\n\r\n", "c".repeat(1000)),
                ],
            ),
        ] {
            let origin = Origin::start(move |call| answering_by_the_head(call, answer));
            let site = Site::of(&[&origin]);
            let mut client = site.client();
            let [first, second, third] = pieces;
            client.send(head(framing) + &first);
            let early = client.answer();
            assert_eq!(early.text(), "early", "{framing}");
            assert_eq!(early.get("connection"), None, "it goes on: {framing}");
            client.send(second);
            client.send(third + GET);
            assert_eq!(client.answer().text(), "second", "{framing}");
            origin.wait_mark("whole 3000");
            assert_eq!(client.get("/3").text(), "second", "{framing}");
            let status = site.daemon.status();
            let member = &status["pools"][0]["members"][0];
            assert_eq!(
                (&member["active"], &member["bytes-to-server"]),
                (&0.into(), &3000.into()),
                "{framing}"
            );
            assert_eq!(status["virtuals"][0]["open"], 1);
        }
    }
}

/// As to nginx with `return 200`: head and body in two packets, over and over on one connection.
#[test]
fn many_requests_whose_answers_come_by_the_head() {
    let origin = Origin::start(|call| answering_by_the_head(call, &ok("early")));
    let site = Site::of(&[&origin]);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let mut client = site.client();
            thread::spawn(move || {
                for round in 0..100 {
                    client.send(head("Content-Length: 5"));
                    if round % 2 == 0 {
                        assert_eq!(client.answer().text(), "early", "{round}");
                        client.send("hello");
                    } else {
                        client.send("hello");
                        assert_eq!(client.answer().text(), "early", "{round}");
                    }
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let status = site.daemon.status();
    let web = &status["virtuals"][0];
    assert_eq!((&web["connections"], &web["requests"], &web["errors"]), (&4.into(), &400.into(), &0.into()));
}

/// The member says that it reads no more: the client is told, and what it still sends does not cost it the answer.
#[test]
fn a_connection_that_will_end_says_so() {
    let answer = "HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
    for framing in ["Content-Length: 8388608", "Transfer-Encoding: chunked"] {
        let origin = Origin::start(move |call| {
            call.head()?;
            call.send(answer)
        });
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        client.send(head(framing));
        let early = client.answer();
        assert_eq!((early.status(), early.get("connection")), (413, Some("close")), "{framing}");
        assert!(client.ended(), "{framing}");

        // One that writes everything before it reads.
        let mut client = site.client();
        client.send(head(framing));
        let block = vec![b'x'; 1 << 16];
        for _ in 0..128 {
            let framed = if framing.starts_with('T') {
                [b"10000\r\n", &block[..], b"\r\n"].concat()
            } else {
                block.clone()
            };
            client.try_send(framed).unwrap_or_else(|error| panic!("{framing}: reset while it sent: {error}"));
        }
        if framing.starts_with('T') {
            client.send("0\r\n\r\n");
        }
        let early = client.answer();
        assert_eq!((early.status(), early.get("connection")), (413, Some("close")), "{framing}");
        assert!(client.ended(), "{framing}");
    }
}

/// The member closes behind its answer without having said so, as gunicorn does: the client's connection is
/// not the member's.
#[test]
fn a_member_that_closes_unsaid_costs_the_client_nothing() {
    for _ in 0..5 {
        let origin = Origin::start(|call| {
            if call.head()?.line.starts_with("GET") {
                return call.send(ok("second"));
            }
            call.send(ok("early"))?;
            // What has come and is not read makes the end a reset.
            call.wire().try_exact(1)?;
            call.await_mark("close")
        });
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        client.send(head("Content-Length: 1000000"));
        let early = client.answer();
        assert_eq!((early.text().as_str(), early.get("connection")), ("early", None));
        client.send("x".repeat(500_000));
        origin.tell("close");
        origin.wait_ended(1);
        client.send("x".repeat(500_000) + GET);
        assert_eq!(client.answer().text(), "second");
    }
}

/// The answer is there before the reset that ends writing: it is read.
#[test]
fn an_answer_outlives_the_end_of_writing() {
    let origin = Origin::start(|call| {
        call.head()?;
        call.send("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\n\r\nno")
    });
    let site = Site::of(&[&origin]);
    for round in 0..40 {
        let mut client = site.client();
        client.send(head("Content-Length: 5242880"));
        let mut twin = client.twin();
        let sender = thread::spawn(move || {
            let block = vec![b'x'; 1 << 16];
            (0..80).try_for_each(|_| twin.try_send(&block))
        });
        sender.join().unwrap().unwrap_or_else(|error| panic!("{round}: reset while it sent: {error}"));
        assert_eq!(client.answer().status(), 413, "{round}");
    }
    assert_eq!(site.daemon.status()["virtuals"][0]["errors"], 0);
}

/// Neither a client that never ends its body nor a member that never reads it holds anything for ever.
#[test]
fn nobody_waits_for_ever() {
    let origin = Origin::start(|call| {
        call.head()?;
        call.send(ok("early"))?;
        if call.number() == 1 {
            call.until_end();
        } else {
            call.await_mark("end")?;
        }
        call.mark(format!("ended {}", call.number()));
        Ok(())
    });
    let site = Site::with("timeouts = { idle = \"1s\" }", &[&origin]);
    let mut client = site.client();
    client.send(head("Content-Length: 3000") + "some");
    assert_eq!(client.answer().text(), "early");
    origin.wait_mark("ended 1");
    assert!(client.try_rest().is_ok_and(|rest| rest.is_empty()));

    let mut client = site.client();
    client.send(head("Content-Length: 3000000000"));
    assert_eq!(client.answer().text(), "early");
    let block = vec![b'x'; 1 << 16];
    while client.try_send(&block).is_ok() {}
    drop(client);
    until("both are let go", || {
        let status = site.daemon.status();
        status["virtuals"][0]["open"] == 0 && status["pools"][0]["members"][0]["active"] == 0
    });
    origin.tell("end");
}

/// What Shunt answers itself is no different: a body that nobody wants is read where it is short, and where it is not the
/// answer says that the connection ends.
#[test]
fn answers_of_its_own_before_the_body() {
    let site = Site::configured(|at| site::config(at, "", "").replace("pool = \"web\"", ""));
    let mut client = site.client();
    for _ in 0..20 {
        client.send(head("Content-Length: 5"));
        let answer = client.answer();
        assert_eq!((answer.status(), answer.get("connection")), (404, None));
        client.send("hello");
    }
    for whole in [
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0",
        "Content-Length: 5\r\n\r\nhello\r\n",
        // Only who expects 100 waits with its body.
        "Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello\r\n",
    ] {
        let answer = client.ask(format!("POST / HTTP/1.1\r\nHost: h\r\n{whole}\r\n\r\n"));
        assert_eq!((answer.status(), answer.get("connection")), (404, None), "{whole:?}");
    }
    assert_eq!(client.get("/").status(), 404, "the connection goes on");
    for framing in
        ["Content-Length: 1000000", "Transfer-Encoding: chunked", "Expect: 100-continue\r\nContent-Length: 5"]
    {
        let mut client = site.client();
        client.send(head(framing));
        let answer = client.answer();
        assert_eq!((answer.status(), answer.get("connection")), (404, Some("close")), "{framing}");
        assert!(client.ended(), "{framing}");
    }
    let web = &site.daemon.status()["virtuals"][0];
    assert_eq!((&web["requests"], &web["errors"]), (&27.into(), &27.into()), "each is counted");
}
