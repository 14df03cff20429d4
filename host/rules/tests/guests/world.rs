//! What the tests share: built guests, an environment that stands still, exchanges.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use shunt_rules::build::{BuildOptions, build};
use shunt_rules::keys::Keys;
use shunt_rules::sets::SetLines;
use shunt_rules::{
    AttachOptions, Attachment, Environment, Exchange, Flow, Hello, KeyBinding, Level, MemberState,
    MemberStatus, Pack, PoolState, QueueState, Rule, RuleHost, Runner, SetBinding, SetContent, Slot,
    SlotBinding, Transport,
};

/// The guest of that name, built once per process; cargo knows when there is nothing to do.
pub(crate) fn pack(name: &str) -> Pack {
    built(&folder(name))
}

/// The example of that name, built so.
pub(crate) fn example(name: &str) -> Pack {
    built(&root().join("rules-examples").join(name))
}

fn built(folder: &Path) -> Pack {
    static BUILT: OnceLock<Mutex<HashMap<PathBuf, Pack>>> = OnceLock::new();
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap();
    if let Some(pack) = built.get(folder) {
        return pack.clone();
    }
    let output =
        build(folder, &build_options()).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    // The folder, which has the names of its functions too.
    assert!(output.file.is_file());
    let pack = Pack::read(folder).unwrap();
    built.insert(folder.to_owned(), pack.clone());
    pack
}

pub(crate) fn folder(name: &str) -> PathBuf {
    root().join("tests/guests").join(name)
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn build_options() -> BuildOptions {
    BuildOptions { target_dir: Some(root().join("target/guests")), ..BuildOptions::default() }
}

/// More than any call takes that ends by itself, however busy the machine is. What is to run out of time has less.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One host for all tests, as in the daemon.
pub(crate) fn host() -> &'static Arc<RuleHost> {
    static HOST: OnceLock<Arc<RuleHost>> = OnceLock::new();
    HOST.get_or_init(|| RuleHost::new().unwrap())
}

pub(crate) fn rule(name: &str) -> Arc<Rule> {
    static RULES: OnceLock<Mutex<HashMap<String, Arc<Rule>>>> = OnceLock::new();
    let pack = pack(name);
    let mut rules = RULES.get_or_init(Mutex::default).lock().unwrap();
    rules.entry(name.to_owned()).or_insert_with(|| host().compile(&pack).unwrap()).clone()
}

/// An environment whose clock moves when a test moves it.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) lines: Mutex<Vec<(Level, String)>>,
    pub(crate) now_us: AtomicU64,
    pub(crate) opened: Mutex<Vec<String>>,
    pub(crate) bindings: Mutex<HashMap<String, (SocketAddr, Option<Duration>)>>,
    random: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Arc<World> {
        Arc::default()
    }

    pub(crate) fn advance_ms(&self, ms: u64) {
        self.now_us.fetch_add(ms * 1000, Ordering::Relaxed);
    }

    pub(crate) fn logged(&self, text: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|(_, line)| line.contains(text))
    }
}

impl Environment for World {
    fn log_enabled(&self, level: Level) -> bool {
        level != Level::Debug
    }

    fn log(&self, rule: &str, level: Level, message: &str) {
        assert!(message.len() <= 4096);
        self.lines.lock().unwrap().push((level, format!("{rule}: {message}")));
    }

    fn unix_ms(&self) -> u64 {
        1_700_000_000_000 + self.monotonic_us() / 1000
    }

    fn monotonic_us(&self) -> u64 {
        self.now_us.load(Ordering::Relaxed)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.random.fetch_add(1, Ordering::Relaxed) as u8;
        }
    }

    fn pool(&self, pool: &str) -> Option<PoolState> {
        (pool != "gone").then_some(PoolState { members: 3, usable: 2, active: 7 })
    }

    fn queue(&self, pool: &str) -> Option<QueueState> {
        (pool != "gone").then_some(QueueState { waiting: 5, oldest: Duration::from_millis(1_250) })
    }

    fn members(&self, _: &str) -> Vec<MemberState> {
        let member = |address: &str, status, weight, active| MemberState {
            address: address.parse().unwrap(),
            status,
            weight,
            active,
        };
        vec![
            member("192.0.2.1:80", MemberStatus::Up, 1, 4),
            member("[2001:db8::2]:8080", MemberStatus::Draining, 2, 3),
            member("192.0.2.3:80", MemberStatus::Disabled, 1, 0),
        ]
    }

    fn bound(&self, rule: &str, pool: &str, key: &[u8]) -> Option<SocketAddr> {
        let key = format!("{rule} {pool} {}", String::from_utf8_lossy(key));
        self.bindings.lock().unwrap().get(&key).map(|(member, _)| *member)
    }

    fn bind(
        &self,
        rule: &str,
        pool: &str,
        key: &[u8],
        member: SocketAddr,
        timeout: Option<Duration>,
    ) -> bool {
        let key = format!("{rule} {pool} {}", String::from_utf8_lossy(key));
        let has = self.members(pool).iter().any(|it| it.address == member);
        if has {
            self.bindings.lock().unwrap().insert(key, (member, timeout));
        }
        has
    }

    fn unbind(&self, rule: &str, pool: &str, key: &[u8]) -> bool {
        let key = format!("{rule} {pool} {}", String::from_utf8_lossy(key));
        self.bindings.lock().unwrap().remove(&key).is_some()
    }

    fn bindings(&self, _: &str) -> u64 {
        self.bindings.lock().unwrap().len() as u64
    }

    fn breaker_opened(&self, rule: &str) {
        self.opened.lock().unwrap().push(rule.to_owned());
    }
}

/// What is in the file of a key: of `issuer` the public key of RFC 8037 appendix A.2, else 32 zeros.
fn file(key: &str) -> &'static str {
    match key {
        "issuer" => {
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
        }
        _ => "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    }
}

/// What is in a set.
fn lines(set: &str) -> SetLines {
    let lines = match set {
        "clients" | "addresses" => "192.0.2.0/24 office\n192.0.2.7 desk\n2001:db8::/32\n",
        "paths" => "/a a\n/a/b deep\n/c\n",
        "agents" => "(?i)bot seen\ncurl tool\n",
        "words" => "example.com it\nshop.example\n",
        _ => "",
    };
    SetLines::new(format!("{set}.txt"), lines)
}

/// The guest attached with every slot bound to the pool `pool-<slot>`, its sets to [`lines`], and with [`PATIENCE`].
pub(crate) fn options(rule: &Rule, world: &Arc<World>) -> AttachOptions {
    let mut options = AttachOptions::new("shop/test", world.clone());
    let slots = rule.manifest().slots.iter();
    let bind = |(slot, declared): (&String, &Slot)| SlotBinding {
        slot: slot.clone(),
        pool: format!("pool-{slot}"),
        snat: declared.snat,
    };
    options.slots = slots.map(bind).collect();
    let sets = rule.manifest().sets.keys();
    options.sets =
        sets.map(|set| SetBinding { set: set.clone(), content: SetContent::Lines(lines(set)) }).collect();
    let keys = rule.manifest().keys.keys();
    let bind = |key: &String| KeyBinding {
        key: key.clone(),
        keys: Keys::parse(key, file(key).as_bytes()).map(Arc::new),
    };
    options.keys = keys.map(bind).collect();
    options.budget.time = PATIENCE;
    options
}

pub(crate) fn attach(name: &str, world: &Arc<World>) -> Arc<Attachment> {
    let rule = rule(name);
    rule.attach(options(&rule, world)).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn runner(name: &str, world: &Arc<World>) -> Runner {
    Runner::new(attach(name, world))
}

pub(crate) fn flow(client: &str) -> Flow {
    Flow {
        id: 42,
        client: client.parse::<SocketAddr>().unwrap(),
        vip: "198.51.100.1:443".parse().unwrap(),
        transport: Transport::Tcp,
        ingress: 3,
    }
}

/// The hello of a client of TLS 1.3 that asks for this name.
pub(crate) fn hello(name: &str) -> Arc<Hello> {
    fn vec16(content: &[u8]) -> Vec<u8> {
        [&(content.len() as u16).to_be_bytes(), content].concat()
    }
    let extension = |kind: u16, content: &[u8]| [&kind.to_be_bytes()[..], &vec16(content)].concat();
    let name = vec16(&[&[0], &vec16(name.as_bytes())[..]].concat());
    let extensions = [
        extension(43, &[2, 3, 4]),
        extension(10, &vec16(&[0x11, 0xec, 0, 0x1d])),
        extension(13, &vec16(&[4, 3, 8, 4])),
        extension(16, &vec16(b"\x02h2\x08http/1.1")),
        extension(0, &name),
    ];
    let body = [&[3, 3][..], &[7; 32], &[0], &vec16(&[0x13, 1]), &[1, 0], &vec16(&extensions.concat())];
    let body = body.concat();
    let message = [&[1][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat();
    Arc::new(Hello::new(message).unwrap())
}

pub(crate) fn exchange(target: &str, headers: &[(&str, &str)]) -> Box<Exchange> {
    let mut request = http::Request::builder().uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap().into_parts().0;
    Box::new(Exchange { flow: flow("192.0.2.7:5555"), request, ..Exchange::default() })
}
