use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::sleep;

use super::probe::{Failure, Good, Probe};
use super::*;
use shunt_config::monitors::{Http, Origin, Probe as Does, Start, Tcp, Udp};
use shunt_engine::balance::Balance;
use shunt_engine::balance::groups::Policy;
use shunt_engine::datapath::ModeName;
use shunt_runtime::counters::Sharded;
use shunt_runtime::{Member, Pool};

const SECOND: Duration = Duration::from_secs(1);

fn http(path: &str, expect: &[u16]) -> Http {
    Http {
        path: path.to_owned(),
        host: None,
        method: "GET".to_owned(),
        headers: Vec::new(),
        body: None,
        expect: expect.iter().map(|status| *status..=*status).collect(),
        expect_body: None,
        version: None,
    }
}

fn get(path: &str, expect: &[u16]) -> Does {
    Does::Http(http(path, expect))
}

/// A monitor that connects each second.
fn monitor(fall: u32) -> Monitor {
    Monitor {
        probe: Does::Tcp(Tcp),
        interval: SECOND,
        interval_down: SECOND,
        interval_changing: None,
        jitter: 0,
        timeout: SECOND,
        rise: 2,
        fall,
        start: Start::Up,
        inverse: false,
        origin: Origin::default(),
        target: None,
    }
}

/// The sides that a member is on after probes with these results, one each interval; rise 2, fall 3.
async fn sides(
    mut script: VecDeque<Result<Good, Failure>>,
    known: Known,
    state: Arc<MemberState>,
) -> Vec<bool> {
    let settings = monitor(3);
    let side = Side::new("tcp", known.up(&settings));
    let verdict = Verdict::new(Arc::clone(&state));
    verdict.set(vec![Arc::clone(&side)], 1);
    let watched = Watched {
        pool: "web".to_owned(),
        address: (Ipv4Addr::LOCALHOST, 80).into(),
        on_path_of: None,
        settings,
        side,
        verdict,
        place: Place::of(0),
        behind: None,
        convergence: None,
    };
    let probes = script.len();
    let look = async {
        let mut sides = Vec::new();
        // Between the probes.
        sleep(SECOND / 2).await;
        for _ in 0..probes {
            sides.push(state.is_up());
            sleep(SECOND).await;
        }
        sides
    };
    tokio::select! {
        () = watch::run(&watched, known, || std::future::ready(script.pop_front().unwrap_or(Ok("connected".into())))) => unreachable!(),
        sides = look => sides,
    }
}

fn good() -> Result<Good, Failure> {
    Ok("connected".into())
}

fn bad() -> Result<Good, Failure> {
    Err(Failure::Connect(std::io::ErrorKind::ConnectionRefused.into()))
}

#[tokio::test(start_paused = true)]
async fn probes_move_a_member_at_their_times() {
    let script = [good(), bad(), bad(), bad(), good(), bad(), good(), good()];
    let up = sides(script.into(), Known::Never, MemberState::new()).await;
    assert_eq!(up, [true, true, true, false, false, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_decides_about_a_new_member_and_only_there() {
    let state = MemberState::new();
    assert_eq!(
        sides([bad(), good(), good()].into(), Known::Never, Arc::clone(&state)).await,
        [false, false, true]
    );
    assert_eq!(sides([bad(), bad(), bad()].into(), Known::Same(true), state).await, [true, true, false]);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_from_elsewhere_holds_until_the_first_probe() {
    for (first, then) in [(good(), true), (bad(), false)] {
        let script = [Err(Failure::NotForwarded("yet".to_owned())), first];
        assert_eq!(sides(script.into(), Known::Elsewhere(false), MemberState::new()).await, [false, then]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_trouble_of_our_own_takes_nobody_down() {
    // EMFILE.
    let ours = || Err(Failure::Connect(std::io::Error::from_raw_os_error(24)));
    let up = sides([good(), ours(), ours(), ours(), ours()].into(), Known::Never, MemberState::new()).await;
    assert_eq!(up, [true; 5]);
}

/// A listener that gives each connection this answer, and keeps what was asked.
fn origin(answer: &'static [u8]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&asked);
    std::thread::Builder::new()
        .spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                    head.push(byte[0]);
                }
                heads.lock().unwrap().push(String::from_utf8(head).unwrap());
                // The prober may have heard enough.
                let _ = stream.write_all(answer);
            }
        })
        .unwrap();
    (address, asked)
}

/// A port of loopback that nobody listens on.
fn closed_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

async fn told(address: SocketAddr, does: Does, timeout: Duration) -> String {
    match (Probe {
        address,
        does,
        timeout,
        proxy_protocol: None,
        tls: None,
        origin: Origin::default(),
        judge: None,
    })
    .run()
    .await
    {
        Ok(good) => format!("good: {good}"),
        Err(failure) => {
            assert!(!failure.is_ours());
            failure.to_string()
        }
    }
}

#[tokio::test]
async fn what_a_tcp_probe_says() {
    let (address, _) = origin(b"");
    assert_eq!(told(address, Does::Tcp(Tcp), 5 * SECOND).await, "good: connected");
    assert_eq!(told(closed_port(), Does::Tcp(Tcp), 5 * SECOND).await, "connection refused");
}

#[tokio::test]
async fn what_an_http_probe_says() {
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (address, asked) = origin(ok);
    assert_eq!(told(address, get("/health?deep=1", &[200]), 5 * SECOND).await, "good: status 200");
    let head = asked.lock().unwrap().remove(0).to_ascii_lowercase();
    assert!(head.starts_with("get /health?deep=1 http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nhost: {address}\r\n")), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");

    let named = Does::Http(Http { host: Some("shop.example".to_owned()), ..http("/", &[204]) });
    assert_eq!(told(address, named, 5 * SECOND).await, "status 200, expected 204: ok");
    assert!(asked.lock().unwrap().remove(0).contains("shop.example"));
    assert_eq!(told(address, get("/", &[201, 204]), 5 * SECOND).await, "status 200, expected 201 or 204: ok");

    for (answer, says) in [
        (&b"SSH-2.0-OpenSSH_9.9\r\n"[..], "the answer is not HTTP/1.1"),
        (b"", "closed before the answer was whole"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "closed before the answer was whole"),
        // Without a length: the end is the close.
        (b"HTTP/1.0 200 OK\r\n\r\nall of it", "good: status 200"),
    ] {
        let (address, _) = origin(answer);
        let said = told(address, get("/", &[200]), 5 * SECOND).await;
        assert_eq!(said, says, "{}", String::from_utf8_lossy(answer));
    }
    assert_eq!(told(closed_port(), get("/", &[200]), 5 * SECOND).await, "connection refused");
}

#[tokio::test]
async fn what_a_udp_probe_says() {
    let member = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = member.local_addr().unwrap();
    std::thread::Builder::new()
        .spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, client)) = member.recv_from(&mut buffer) {
                let _ = member.send_to(&[b"you said ", &buffer[..length]].concat(), client);
            }
        })
        .unwrap();
    let ask =
        |expect: Option<&str>| Does::Udp(Udp { send: "hello".to_owned(), expect: expect.map(str::to_owned) });
    assert_eq!(told(address, ask(None), 5 * SECOND).await, "good: got a reply");
    assert_eq!(told(address, ask(Some("said hello")), 5 * SECOND).await, "good: got a reply");
    assert_eq!(told(address, ask(Some("bye")), 5 * SECOND).await, "the reply does not contain \"bye\"");
    let silent = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let timeout = Duration::from_millis(20);
    assert_eq!(told(silent.local_addr().unwrap(), ask(None), timeout).await, "timed out after 20ms");
}

#[tokio::test]
async fn a_probe_ends_in_time() {
    // Its backlog takes the connection, and nobody answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let timeout = Duration::from_millis(20);
    assert_eq!(told(silent.local_addr().unwrap(), get("/", &[200]), timeout).await, "timed out after 20ms");
}

#[tokio::test]
async fn a_long_body_is_not_read_to_its_end() {
    let long =
        [&b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"[..], &vec![b'x'; 256 << 10]].concat();
    let (address, _) = origin(long.leak());
    assert_eq!(told(address, get("/", &[200]), 5 * SECOND).await, "good: status 200");
}

fn snapshot(members: &[(SocketAddr, &Arc<MemberState>)], monitors: Vec<Monitor>) -> Snapshot {
    let settings = |address| model::Member {
        address,
        weight: 1,
        priority: 0,
        max_connections: None,
        server_name: None,
        name: None,
    };
    let pool = Pool {
        settings: model::Pool {
            name: "web".to_owned(),
            balance: Balance::RoundRobin,
            hashed: None,
            slow_start: None,
            protocol: model::MemberProtocol::Http1,
            monitors_needed: monitors.len().max(1),
            convergence: None,
            monitors,
            keep_alive: 4 * SECOND,
            tls: None,
            proxy_protocol: None,
            groups: Policy::default(),
            source: model::ConnectFrom::default(),
            max_connections: None,
            max_connecting: None,
            on_empty: model::OnEmpty::Answer,
            ejection: None,
            retry: model::Retry::default(),
            members: members.iter().map(|(address, _)| settings(*address)).collect(),
            names: Vec::new(),
        },
        tls: None,
        members: members
            .iter()
            .map(|(address, state)| Member {
                settings: settings(*address),
                state: Arc::clone(state),
                counters: Sharded::new(1),
            })
            .collect(),
        bindings: Arc::new(shunt_engine::persistence::PersistenceTable::new(16, [1, 2])),
        groups: Arc::default(),
        state: Arc::default(),
    };
    Snapshot { epoch: 1, pools: vec![Arc::new(pool)], ..Snapshot::empty() }
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_snapshot_is_watched_and_the_next_changes_only_what_differs() {
    let address = closed_port();
    let (state, other) = (MemberState::new(), MemberState::new());
    let mut monitors = Monitors::new(Arc::default());

    monitors.apply(&snapshot(&[(address, &state)], vec![monitor(3)]));
    assert_eq!(monitors.reason("web", address), None);
    assert!(state.is_up());
    until(|| !state.is_up()).await;
    assert_eq!(monitors.reason("web", address).as_deref(), Some("connection refused"));

    let key = Key { on_path_of: None, pool: "web".to_owned(), member: address };
    let task = |monitors: &Monitors| monitors.watches[&key].monitors[0].task.id();
    let first = task(&monitors);
    monitors.apply(&snapshot(&[(address, &state)], vec![monitor(3)]));
    assert_eq!(task(&monitors), first, "the same monitor continues");

    monitors.apply(&snapshot(&[(address, &state)], vec![monitor(4)]));
    assert_ne!(task(&monitors), first, "another monitor is another task");
    assert!(!state.is_up(), "and the member stays where it was");

    monitors.apply(&snapshot(&[(address, &other)], vec![monitor(4)]));
    assert_eq!(monitors.reason("web", address), None, "a member that came back is new");
    until(|| !other.is_up()).await;

    monitors.apply(&snapshot(&[(address, &other)], Vec::new()));
    assert!(other.is_up(), "without a monitor it is up");
    assert_eq!(monitors.reason("web", address), None);
    assert!(monitors.watches.is_empty());
}

/// What is in force by a configuration.
fn in_force(text: &str) -> Snapshot {
    next(text, &mut shunt_runtime::registry::Registry::new(1, [0; 2]))
}

/// The same with what is known from before.
fn next(text: &str, registry: &mut shunt_runtime::registry::Registry) -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shunt.toml");
    std::fs::write(&path, text).unwrap();
    let config = shunt_config::load(&path).unwrap_or_else(|report| panic!("{report}"));
    let pools: Vec<_> = config.pools.iter().map(|pool| Arc::new(registry.pool(pool))).collect();
    let of = |settings: &model::PacketVirtual| {
        let on_path = registry.on_path(settings, &pools);
        Arc::new(shunt_runtime::PacketVirtual { settings: settings.clone(), rules: Vec::new(), on_path })
    };
    let packet_virtuals = config.packet_virtuals.iter().map(of).collect();
    Snapshot { epoch: 1, packet_virtuals, pools, ..Snapshot::empty() }
}

const PROBED: &str = "
[[virtual]]
name = 'shop'
listen = '203.0.113.1:80'
protocol = 'packet'
interfaces = ['eth0']
pool = 'web'
probe-from = '192.0.2.77'

[[pool]]
name = 'web'
monitor = { tcp = true, interval = '1h' }
members = [{ address = '127.0.0.1:1' }]

[[pool]]
name = 'unused'
monitor = { tcp = true, interval = '1h' }
members = [{ address = '127.0.0.1:1' }]
";

const PLAIN: &str = "
[[virtual]]
name = 'mail'
listen = '203.0.113.1:25'
protocol = 'packet'
interfaces = ['eth0']
pool = 'web'
";

#[tokio::test]
async fn a_member_is_watched_on_every_way_that_somebody_goes_by() {
    let mut monitors = Monitors::new(Arc::default());
    let mode = || PathMode { mode: ModeName::Nat, snat_pool: None };
    let watched = |monitors: &Monitors| {
        let mut keys: Vec<_> =
            monitors.watches.keys().map(|key| (key.pool.clone(), key.on_path_of.clone())).collect();
        keys.sort();
        keys
    };
    let key = |pool: &str, on_path_of: Option<&str>| {
        (pool.to_owned(), on_path_of.map(|it| (it.to_owned(), mode())))
    };
    let on_path = in_force(PROBED);
    monitors.apply(&on_path);
    assert_eq!(watched(&monitors), [key("unused", None), key("web", Some("shop"))]);

    // The member as a whole is as the only virtual finds it.
    let (member, view) =
        (&on_path.pools[0].members[0].state, &on_path.packet_virtuals[0].on_path[0].members[0].1);
    view.set_up(false);
    monitors.apply(&on_path);
    let found = monitors.on_path("web", "127.0.0.1:1".parse().unwrap());
    assert_eq!(found, [OnPath { virtual_: "shop".to_owned(), mode: mode(), up: false, reason: None }]);
    assert!(!member.is_up());

    let both = in_force(&format!("{PROBED}{PLAIN}"));
    monitors.apply(&both);
    assert_eq!(watched(&monitors), [key("unused", None), key("web", None), key("web", Some("shop"))]);
    both.packet_virtuals[0].on_path[0].members[0].1.set_up(false);
    monitors.apply(&both);
    assert!(both.pools[0].members[0].state.is_up(), "others find it by themselves");
}

/// A member that is down stays so for everyone while nobody knows better.
#[tokio::test]
async fn another_way_begins_with_what_is_known() {
    let mut registry = shunt_runtime::registry::Registry::new(1, [0; 2]);
    let quick = PROBED.replace("1h", "20ms");
    let plain = quick.replace("probe-from = '192.0.2.77'", "");
    let mut monitors = Monitors::new(Arc::default());
    let straight = next(&plain, &mut registry);
    let member = Arc::clone(&straight.pools[0].members[0].state);
    monitors.apply(&straight);
    until(|| !member.is_up()).await;
    until(|| monitors.reason("web", "127.0.0.1:1".parse().unwrap()).is_some()).await;

    let on_path = next(PROBED, &mut registry);
    let view = Arc::clone(&on_path.packet_virtuals[0].on_path[0].members[0].1);
    monitors.apply(&on_path);
    registry.retain(&on_path);
    assert_eq!((member.is_up(), view.is_up()), (false, false), "probes on path have found nothing yet");

    // Flows that began while it was probed on their way go by what is found straight from now on.
    view.set_up(true);
    monitors.apply(&straight);
    registry.retain(&straight);
    assert!(!member.is_up() && !view.is_up());
    member.set_up(true);
    assert!(view.is_up());
}

#[test]
fn probes_are_spread_evenly() {
    let places = || (0..1000).map(Place::of);
    assert!(places().all(|place| place.first(SECOND) <= watch::SPREAD));
    let short = Duration::from_millis(10);
    assert!(places().all(|place| place.first(short) <= short));
    // From the second on, in each hundredth of the interval as many.
    let mut slots = [0; 100];
    for place in places() {
        let at = place.first(SECOND) + place.second(SECOND);
        slots[usize::try_from(at.as_millis() % 1000 / 10).unwrap()] += 1;
    }
    assert!(slots.iter().all(|probes| (8..=13).contains(probes)), "{slots:?}");
}

/// What a member is by several monitors, all of which connect: to a port that listens, and to one that does not.
#[tokio::test]
async fn several_monitors_decide_together() {
    let (_, state) = (closed_port(), MemberState::new());
    let (open, _) = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let http = |expect| Monitor { probe: get("/", &[expect]), ..monitor(3) };
    let mut monitors = Monitors::new(Arc::default());
    for (needed, up) in [(2, false), (1, true)] {
        let mut snapshot = snapshot(&[(open, &state)], vec![http(200), http(500)]);
        let pool = Arc::get_mut(&mut snapshot.pools[0]).unwrap();
        pool.settings.monitors_needed = needed;
        monitors.apply(&snapshot);
        until(|| {
            monitors.reason("web", open).is_some_and(|reason| reason.contains("status 200, expected 500: ok"))
        })
        .await;
        assert_eq!(state.is_up(), up, "{needed} needed");
        let reason = monitors.reason("web", open).unwrap();
        let said = format!("1 of 2 monitors up, {needed} needed; http: status 200, expected 500: ok");
        assert_eq!(reason, said);
    }
}

#[tokio::test]
async fn a_monitor_that_is_added_leaves_the_others_alone_and_a_member_where_it_was() {
    let address = closed_port();
    let state = MemberState::new();
    let mut monitors = Monitors::new(Arc::default());
    monitors.apply(&snapshot(&[(address, &state)], vec![monitor(3)]));
    until(|| !state.is_up()).await;
    let key = Key { on_path_of: None, pool: "web".to_owned(), member: address };
    let task = |monitors: &Monitors, index: usize| monitors.watches[&key].monitors[index].task.id();
    let first = task(&monitors, 0);
    let mut both = snapshot(&[(address, &state)], vec![monitor(4), monitor(3)]);
    Arc::get_mut(&mut both.pools[0]).unwrap().settings.monitors_needed = 1;
    monitors.apply(&both);
    assert_eq!(task(&monitors, 1), first);
    assert!(!state.is_up());
}

#[tokio::test(start_paused = true)]
async fn a_member_may_start_as_down() {
    let state = MemberState::new();
    let start = Monitor { start: Start::Down, ..monitor(3) };
    let mut monitors = Monitors::new(Arc::default());
    let (open, _) = origin(b"");
    monitors.apply(&snapshot(&[(open, &state)], vec![start]));
    assert!(!state.is_up());
    until(|| state.is_up()).await;
}

#[test]
fn an_inverse_monitor_turns_results_but_no_troubles_of_our_own() {
    let judged = |outcome| watch::judged(outcome, true).map_err(|failure| failure.to_string());
    assert_eq!(judged(good()), Ok((false, "connected, which `inverse` counts as failed".to_owned())));
    assert_eq!(judged(bad()), Ok((true, "connection refused, which `inverse` counts as good".to_owned())));
    assert!(judged(Err(Failure::NotForwarded("full".to_owned()))).is_err());
}

#[tokio::test(start_paused = true)]
async fn intervals_follow_the_side_and_its_changes() {
    let settings = Monitor {
        interval: 10 * SECOND,
        interval_down: 60 * SECOND,
        interval_changing: Some(SECOND),
        ..monitor(3)
    };
    let side = Side::new("tcp", true);
    let verdict = Verdict::new(MemberState::new());
    verdict.set(vec![Arc::clone(&side)], 1);
    let watched = Watched {
        pool: "web".to_owned(),
        address: (Ipv4Addr::LOCALHOST, 80).into(),
        on_path_of: None,
        settings,
        side,
        verdict,
        place: Place::of(0),
        behind: None,
        convergence: None,
    };
    let began = tokio::time::Instant::now();
    let mut times = Vec::new();
    let mut script = VecDeque::from([good(), good(), bad(), bad(), bad(), bad(), good(), good(), good()]);
    let probe = || {
        times.push(began.elapsed().as_secs());
        let next = script.pop_front();
        async move {
            match next {
                Some(outcome) => outcome,
                None => std::future::pending().await,
            }
        }
    };
    let run = watch::run(&watched, Known::Never, probe);
    let _ = tokio::time::timeout(200 * SECOND, run).await;
    assert_eq!(times, [0, 10, 20, 21, 22, 82, 142, 143, 153, 163]);
}

/// When a thousand first probes keep the thread busy, those that are due meanwhile come late, and together. From then on
/// they are spread all the same.
#[tokio::test(start_paused = true)]
async fn a_probe_that_comes_late_keeps_its_times() {
    let place = (0..1000).map(Place::of).find(|it| it.second(SECOND) < SECOND / 20).unwrap();
    let settings = monitor(3);
    let side = Side::new("tcp", true);
    let verdict = Verdict::new(MemberState::new());
    verdict.set(vec![Arc::clone(&side)], 1);
    let watched = Watched {
        pool: "web".to_owned(),
        address: (Ipv4Addr::LOCALHOST, 80).into(),
        on_path_of: None,
        settings,
        side,
        verdict,
        place,
        behind: None,
        convergence: None,
    };
    let began = tokio::time::Instant::now();
    let mut times = Vec::new();
    let probe = || {
        times.push(began.elapsed());
        let is_first = times.len() == 1;
        async move {
            if is_first {
                sleep(SECOND / 2).await;
            }
            good()
        }
    };
    let _ = tokio::time::timeout(4 * SECOND, watch::run(&watched, Known::Never, probe)).await;
    let [first, second, third, fourth] = times[..4] else { panic!("{times:?}") };
    assert!(second >= first + SECOND / 2, "one at a time: {times:?}");
    assert!(
        third < first + SECOND + SECOND / 10,
        "its own time, and not a second after the late one: {times:?}"
    );
    assert_eq!(fourth - third, SECOND);
}
