//! `balance` and `slow-start` of pools.

use std::sync::LazyLock;

use shunt_engine::balance::{Balance, SlowStart};
use toml::de::DeValue;

use super::super::containers::{Table as InTable, table as in_table};
use super::super::reference::Type;
use super::super::shape::{Shape, cookie, duration, header_field, integer, one_of, wrong_type};
use super::super::units::milliseconds;
use super::super::walk::{At, Table, Walk};
use super::{HOUR, SECOND};

/// A balance, and what it hashes where that has a name.
#[derive(Clone, Debug)]
pub(super) struct Balancing {
    pub(super) balance: Balance,
    pub(super) hashed: Option<String>,
}

/// `"round-robin"`, or `{ header-hash = "x-user" }`
pub(super) struct OfPool;

/// Those that a word says.
static WORDS: LazyLock<Vec<(&'static str, Balance)>> =
    LazyLock::new(|| Balance::ALL.iter().filter(|(_, balance)| balance.which().is_none()).copied().collect());

/// What nginx, HAProxy, Envoy and F5 call them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("header-hash", "write which field: `{ header-hash = \"x-user\" }`"),
    ("cookie-hash", "write which cookie: `{ cookie-hash = \"SESSION\" }`"),
    ("weighted-least-connections", "use `\"least-connections\"`, which weighs"),
    ("leastconn", "use `\"least-connections\"`"),
    ("least_conn", "use `\"least-connections\"`"),
    ("least-request", "use `\"least-connections\"`"),
    ("least_time", "use `\"least-response-time\"`"),
    ("roundrobin", "use `\"round-robin\"`, or `\"weighted-round-robin\"` where weights differ"),
    ("ratio", "use `\"weighted-round-robin\"`"),
    ("random", "use `\"two-random-choices\"`"),
    ("power-of-two-choices", "use `\"two-random-choices\"`"),
    ("source", "use `\"source-hash\"`"),
    ("ip_hash", "use `\"source-hash\"`"),
    ("ip-hash", "use `\"source-hash\"`"),
    ("uri", "use `\"url-hash\"`"),
    ("ring-hash", "use `\"maglev\"` or `\"source-hash\"`"),
];

impl OfPool {
    fn by_name() -> InTable<Balancing> {
        in_table(by_name)
    }
}

impl Shape for OfPool {
    type Value = Balancing;

    fn describe(&self) -> Type {
        Type::Either(Box::new(one_of(&WORDS).describe()), Box::new(Self::by_name().describe()))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Balancing> {
        match at.value {
            DeValue::Table(_) => Self::by_name().read(at, walk),
            DeValue::String(_) => {
                let balance = one_of(&WORDS).instead(ELSEWHERE).read_among(at, &self.describe(), walk)?;
                Some(Balancing { balance, hashed: None })
            }
            _ => {
                wrong_type(&at, &self.describe(), walk);
                None
            }
        }
    }
}

fn by_name(table: &mut Table<'_>) -> Option<Balancing> {
    let header = table.optional(
        "header-hash",
        "For proxies: hashes this header field of requests, so that each value is with one member. Requests without it take \
         weighted turns.",
        header_field(),
    );
    let cookie = table.optional(
        "cookie-hash",
        "For proxies: hashes this cookie of requests, so that each value is with one member. Requests without it take \
         weighted turns.",
        cookie(),
    );
    table.exactly_one(&["header-hash", "cookie-hash"]);
    let by = |balance, hashed: Option<String>| hashed.map(|name| Balancing { balance, hashed: Some(name) });
    by(Balance::HeaderHash, header).or(by(Balance::CookieHash, cookie))
}

/// `"30s"`, or a number of requests
pub(super) struct Slowly;

impl Slowly {
    fn time(&self) -> impl Shape<Value = std::time::Duration> {
        duration(SECOND..=HOUR)
    }

    fn requests(&self) -> impl Shape<Value = u32> {
        integer(1..=1_000_000u32)
    }
}

impl Shape for Slowly {
    type Value = SlowStart;

    fn describe(&self) -> Type {
        Type::Either(Box::new(self.time().describe()), Box::new(self.requests().describe()))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<SlowStart> {
        match at.value {
            DeValue::String(_) => self.time().read(at, walk).map(|time| SlowStart::Time(milliseconds(time))),
            DeValue::Integer(_) => self.requests().read(at, walk).map(SlowStart::Requests),
            _ => {
                wrong_type(&at, &self.describe(), walk);
                None
            }
        }
    }
}
