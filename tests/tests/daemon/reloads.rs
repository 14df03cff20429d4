//! Reloads that change members, weights and monitors, one after another under load: no client sees one, no monitor that
//! stays as it is begins anew, and clients stay with their members.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, until};
use shunt_tests::origin::{Origin, ok};
use shunt_tests::raw::Client;

#[test]
fn sixty_under_load_fail_no_client() {
    reloads(60);
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "a thousand reloads take minutes: cargo xtask test slow"]
    fn a_thousand_under_load_fail_no_client() {
        reloads(1_000);
    }
}

/// Where virtuals listen.
#[derive(Clone, Copy)]
struct Listens {
    plain: SocketAddr,
    sessions: SocketAddr,
    relay: SocketAddr,
    bound: SocketAddr,
    datagrams: SocketAddr,
}

/// Three of each protocol. The third comes and goes.
struct Members {
    web: [Origin; 3],
    relay: [Origin; 3],
    datagrams: [Echo; 3],
}

fn reloads(count: usize) {
    let members = Members {
        web: ["a", "b", "c"].map(web),
        relay: ["a", "b", "c"].map(relay),
        datagrams: [(), (), ()].map(|()| Echo::start()),
    };
    let [plain, sessions, relay, bound, datagrams] = [(); 5].map(|()| address::free());
    let listens = Listens { plain, sessions, relay, bound, datagrams };
    let daemon = Daemon::start(&config(0, listens, &members));
    let mut clients = Clients::default();
    for _ in 0..2 {
        let mut client = Client::connect(listens.plain);
        clients.start(move || assert_eq!(client.get("/").status(), 200));
        clients.start(move || assert_eq!(Client::connect(listens.plain).get("/").status(), 200));
    }
    for session in 0..4 {
        let mut client = Client::connect(listens.sessions);
        let set = format!("GET / HTTP/1.1\r\nHost: h\r\nX-Set: {session}\r\n\r\n");
        let home = client.ask(set).text();
        let ask = format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: S={session}\r\n\r\n");
        clients.start(move || assert_eq!(client.ask(&ask).text(), home));
    }
    let mut long = Client::connect(listens.relay);
    let own = said(&mut long);
    clients.start(move || assert_eq!(said(&mut long), own));
    clients.start(move || assert_eq!(said(&mut Client::connect(listens.relay)).len(), 1));
    let home = said(&mut Client::connect(listens.bound));
    clients.start(move || assert_eq!(said(&mut Client::connect(listens.bound)), home));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(listens.datagrams).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    clients.start(move || {
        socket.send(b"ping").unwrap();
        assert_eq!(socket.recv(&mut [0; 9]).unwrap(), 4);
    });

    for round in 1..=count {
        daemon.reload(&config(round, listens, &members));
        clients.go_on(2);
    }
    clients.end();
    let status = daemon.status();
    assert_eq!(status["epoch"].as_u64(), Some(count as u64 + 1));
    for virtual_ in status["virtuals"].as_array().unwrap() {
        for count in ["errors", "refused", "datagrams-lost"] {
            assert_eq!(virtual_[count], 0, "{count} of {virtual_}");
        }
    }
    // The third member is there in every second round.
    let probes = members.web.each_ref().map(|it| it.marks().len());
    assert_eq!(probes[..2], [1, 1], "probes of monitors that did not change");
    assert!(probes[2] <= count.div_ceil(2), "{} probes of a member that came so often", probes[2]);
}

/// The configuration of a round. Members of `web` have a monitor that stays: a second probe would come minutes later. Those of
/// `relay` have another one each time.
fn config(round: usize, listens: Listens, members: &Members) -> String {
    let Listens { plain, sessions, relay, bound, datagrams } = listens;
    let virtual_ = |name: &str, listen: SocketAddr, protocol: &str, pool: &str, keys: &str| {
        format!(
            "[[virtual]]\nname = \"{name}\"\nlisten = \"{listen}\"\nprotocol = \"{protocol}\"\npool = \"{pool}\"\n{keys}\n"
        )
    };
    let pool = |name: &str, addresses: [SocketAddr; 3], keys: &str| {
        let mut shown: Vec<_> = addresses[..2 + round % 2]
            .iter()
            .enumerate()
            .map(|(at, address)| format!("{{ address = \"{address}\", weight = {} }}", 1 + (round + at) % 5))
            .collect();
        let turn = round % shown.len();
        shown.rotate_left(turn);
        format!("[[pool]]\nname = \"{name}\"\nmembers = [{}]\n{keys}\n", shown.join(", "))
    };
    let balances = ["round-robin", "least-connections", "weighted-round-robin", "maglev"];
    let balance = format!("balance = \"{}\"", balances[round / 2 % balances.len()]);
    let steady = format!("{balance}\nmonitor = {{ http = \"/health\", interval = \"1h\" }}");
    let other = format!("{balance}\nmonitor = {{ tcp = true, interval = \"{}ms\" }}", 500 + round % 7 * 100);
    [
        "[process]\nworkers = 2\n\n".to_owned(),
        virtual_("plain", plain, "http", "web", ""),
        virtual_("sessions", sessions, "http", "web", "persistence = { session = { cookie = \"S\" } }"),
        virtual_("relay", relay, "tcp", "relay", ""),
        virtual_("bound", bound, "tcp", "relay", "persistence = { source = true }"),
        virtual_("datagrams", datagrams, "udp", "datagrams", ""),
        pool("web", members.web.each_ref().map(Origin::address), &steady),
        pool("relay", members.relay.each_ref().map(Origin::address), &other),
        pool("datagrams", members.datagrams.each_ref().map(|it| it.address), &balance),
    ]
    .join("\n")
}

/// Answers with its name, sets the session that it is asked for, and tells each probe.
fn web(name: &'static str) -> Origin {
    Origin::start(move |call| {
        loop {
            let request = call.request()?;
            if request.head.line.contains("/health") {
                call.mark("probe");
            }
            let set = request.get("x-set").map(|it| format!("Set-Cookie: S={it}\r\n")).unwrap_or_default();
            call.send(ok(name).replacen("\r\n", &format!("\r\n{set}"), 1))?;
        }
    })
}

/// Says its name whenever it is asked.
fn relay(name: &'static str) -> Origin {
    Origin::start(move |call| {
        loop {
            call.wire().try_exact(1)?;
            call.send(name)?;
        }
    })
}

fn said(client: &mut Client) -> Vec<u8> {
    client.send("?");
    client.exact(1)
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends datagrams back.
struct Echo {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Echo {
    fn start() -> Echo {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (address, stop) = (socket.local_addr().unwrap(), Arc::<AtomicBool>::default());
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let stopped = Arc::clone(&stop);
        let serving = std::thread::spawn(move || {
            let mut buffer = [0; 100];
            while !stopped.load(SeqCst) {
                match socket.recv_from(&mut buffer) {
                    Ok((length, from)) => drop(socket.send_to(&buffer[..length], from)),
                    // Time to look whether it is to stop; or an ICMP error of a client that is gone.
                    Err(error) => assert_ne!(error.kind(), ErrorKind::InvalidInput),
                }
            }
        });
        Echo { address, stop, serving: Some(serving) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        drop(self.serving.take().map(JoinHandle::join));
    }
}

/// Clients that each ask one thing after another, and must be answered well.
#[derive(Default)]
struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<(Arc<AtomicUsize>, JoinHandle<()>)>,
}

impl Clients {
    fn start(&mut self, mut ask: impl FnMut() + Send + 'static) {
        let (stop, done) = (Arc::clone(&self.stop), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            while !stop.load(SeqCst) {
                ask();
                count.fetch_add(1, SeqCst);
            }
        });
        self.threads.push((done, thread));
    }

    /// Waits until each was answered so many times more.
    #[track_caller]
    fn go_on(&self, more: usize) {
        let before: Vec<_> = self.threads.iter().map(|(done, _)| done.load(SeqCst)).collect();
        let failed = || self.threads.iter().any(|(_, thread)| thread.is_finished());
        let went_on =
            || self.threads.iter().zip(&before).all(|((done, _), before)| done.load(SeqCst) >= before + more);
        until("clients are answered", || failed() || went_on());
        assert!(!failed(), "a client failed");
    }

    #[track_caller]
    fn end(self) {
        self.stop.store(true, SeqCst);
        self.threads.into_iter().for_each(|(_, thread)| thread.join().unwrap());
    }
}
