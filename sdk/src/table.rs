//! Tables: what a rule remembers beyond a flow, shared by all workers.
//!
//! `pack.toml` declares each table, and `[capabilities]` asks for `table`:
//!
//! ```toml
//! [capabilities]
//! table = true
//!
//! [tables.clients]
//! purpose = "requests of each client in the last seconds"
//! kind = "windows"       # or values, counters, buckets, distinct
//! key = "address"        # or text, number, bytes: how `shunt table` shows it
//! entries = 100000
//! memory = "16MiB"
//! ```
//!
//! A rule names its tables in constants, with the types of what is in them:
//!
//! ```
//! # use shunt_sdk::prelude::*;
//! use table::{Counters, Values, Windows};
//!
//! const CLIENTS: Windows<IpAddr> = Windows::new("clients");
//! const FAILURES: Counters<str> = Counters::new("failures");
//! const BLOCKED: Values<IpAddr, String> = Values::new("blocked");
//!
//! fn on_request(request: &Request) -> request::Verdict {
//!     let client = request.flow().client.ip();
//!     if CLIENTS.allow(&client, 100, Duration::from_millis(1500)).allowed {
//!         next()
//!     } else {
//!         respond(429).text("too many requests\n")
//!     }
//! }
//! ```
//!
//! A table outlives instances, faults, reloads and versions of the rule. A full one forgets
//! the entry that was used longest ago, among a few. Naming a table that `pack.toml` does not
//! declare, or declares to be of another kind, is a fault; so is a key of more than 256 bytes
//! and a value of more than 4,096.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::bindings::table as wire;
use crate::hash::Key;
use crate::value::Value;

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident<K $(, $param:ident)?>;)*) => {$(
        $(#[$doc])*
        pub struct $name<K: ?Sized $(, $param: ?Sized)?> {
            name: &'static str,
            /// A table holds none of them here.
            of: PhantomData<(fn(&K), $(fn(&$param))?)>,
        }

        impl<K: ?Sized $(, $param: ?Sized)?> Clone for $name<K $(, $param)?> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<K: ?Sized $(, $param: ?Sized)?> Copy for $name<K $(, $param)?> {}

        impl<K: ?Sized $(, $param: ?Sized)?> fmt::Debug for $name<K $(, $param)?> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name)
            }
        }

        impl<K: ?Sized $(, $param: ?Sized)?> $name<K $(, $param)?> {
            /// The table of that name in `pack.toml`.
            pub const fn new(name: &'static str) -> Self {
                $name { name, of: PhantomData }
            }

            /// How many entries there are. Those whose time is over are among them until they
            /// are swept, which takes about a second for each 100,000 entries.
            pub fn count(self) -> u64 {
                wire::count(self.name)
            }
        }

        impl<K: Key + ?Sized $(, $param: ?Sized)?> $name<K $(, $param)?> {
            /// Removes an entry; whether there was one.
            pub fn delete(self, key: &K) -> bool {
                key.with_bytes(|key| wire::delete(self.name, key))
            }
        }
    )*};
}

tables! {
    /// A table of values, of kind `values`.
    Values<K, V>;
    /// A table of counts, of kind `counters`.
    Counters<K>;
    /// A table of limits over sliding windows, of kind `windows`.
    Windows<K>;
    /// A table of token buckets, of kind `buckets`.
    Buckets<K>;
    /// A table that counts different items, of kind `distinct`.
    Distinct<K, I>;
}

/// Whether something is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Whether it is.
    pub allowed: bool,
    /// What could be let through now.
    pub remaining: u32,
    /// When it will be allowed if nothing else is let through; `None`: it is, or it never will.
    pub retry_after: Option<Duration>,
}

impl From<wire::Allowance> for Allowance {
    fn from(wire::Allowance { allowed, remaining, retry_after_ms }: wire::Allowance) -> Allowance {
        let wait = (!allowed && retry_after_ms < u32::MAX).then_some(retry_after_ms);
        Allowance { allowed, remaining, retry_after: wait.map(|ms| Duration::from_millis(ms.into())) }
    }
}

impl Allowance {
    /// The seconds of a `Retry-After` field, rounded up (RFC 9110 section 10.2.3).
    pub fn retry_after_seconds(self) -> Option<u64> {
        self.retry_after.map(|wait| wait.as_millis().div_ceil(1000) as u64)
    }
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

impl<K: Key + ?Sized, V: Value> Values<K, V> {
    /// The value, if there is one of this type.
    pub fn get(self, key: &K) -> Option<V> {
        key.with_bytes(|key| wire::get(self.name, key)).and_then(V::from_bytes)
    }

    /// Puts a value there. The lifetime of the entry begins anew.
    pub fn put(self, key: &K, value: &V) {
        key.with_bytes(|key| wire::put(self.name, key, &value.to_bytes()));
    }

    /// Puts a value there that ends after this time, and not when `pack.toml` says.
    pub fn put_for(self, key: &K, value: &V, time: Duration) {
        self.put(key, value);
        self.keep_for(key, time);
    }

    /// Puts a value there if there is none; the one that was there.
    pub fn add_if_absent(self, key: &K, value: &V) -> Option<V> {
        key.with_bytes(|key| wire::add_if_absent(self.name, key, &value.to_bytes())).and_then(V::from_bytes)
    }

    /// Replaces the value if it is the expected one; whether it was.
    pub fn compare_and_set(self, key: &K, expected: &V, value: &V) -> bool {
        let (expected, value) = (expected.to_bytes(), value.to_bytes());
        key.with_bytes(|key| wire::compare_and_set(self.name, key, &expected, &value))
    }

    /// Ends the entry after this time, and not when `pack.toml` says; whether there is one.
    pub fn keep_for(self, key: &K, time: Duration) -> bool {
        key.with_bytes(|key| wire::keep_for(self.name, key, milliseconds(time)))
    }
}

impl<K: Key + ?Sized> Counters<K> {
    /// The count; 0 where there is no entry.
    pub fn get(self, key: &K) -> i64 {
        key.with_bytes(|key| wire::counter(self.name, key))
    }

    /// Adds to the count; the new one. A sum beyond 64 bits stays at the least or the greatest
    /// number.
    pub fn add(self, key: &K, by: i64) -> i64 {
        key.with_bytes(|key| wire::add(self.name, key, by))
    }

    /// Ends the entry after this time, and not when `pack.toml` says; whether there is one.
    pub fn keep_for(self, key: &K, time: Duration) -> bool {
        key.with_bytes(|key| wire::keep_for(self.name, key, milliseconds(time)))
    }
}

impl<K: Key + ?Sized> Windows<K> {
    /// Lets one through, if no more than `limit` are let through in any time of this length.
    pub fn allow(self, key: &K, limit: u32, window: Duration) -> Allowance {
        self.allow_cost(key, limit, window, 1)
    }

    /// Lets so much through. A cost of 0 asks and takes nothing.
    pub fn allow_cost(self, key: &K, limit: u32, window: Duration, cost: u32) -> Allowance {
        let window = milliseconds(window);
        key.with_bytes(|key| wire::allow_in_window(self.name, key, limit, window, cost)).into()
    }
}

/// How a bucket is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that flow in, evenly, in each `per`.
    pub tokens: u32,
    /// The time in which they do.
    pub per: Duration,
    /// Tokens of a full bucket.
    pub burst: u32,
}

impl<K: Key + ?Sized> Buckets<K> {
    /// Takes a token, if there is one.
    pub fn take(self, key: &K, rate: Rate) -> Allowance {
        self.take_cost(key, rate, 1)
    }

    /// Takes so many tokens. A cost of 0 asks and takes nothing.
    pub fn take_cost(self, key: &K, rate: Rate, cost: u32) -> Allowance {
        let Rate { tokens, per, burst } = rate;
        let per = milliseconds(per);
        key.with_bytes(|key| wire::take_tokens(self.name, key, tokens, per, burst, cost)).into()
    }
}

impl<K: Key + ?Sized, I: Key + ?Sized> Distinct<K, I> {
    /// Adds an item; how many different ones there are: exactly up to 64, and with a standard
    /// error of 3.3 % beyond.
    pub fn add(self, key: &K, item: &I) -> u64 {
        key.with_bytes(|key| item.with_bytes(|item| wire::add_distinct(self.name, key, item)))
    }

    /// How many different items there are.
    pub fn get(self, key: &K) -> u64 {
        key.with_bytes(|key| wire::distinct(self.name, key))
    }

    /// Ends the entry after this time, and not when `pack.toml` says; whether there is one.
    pub fn keep_for(self, key: &K, time: Duration) -> bool {
        key.with_bytes(|key| wire::keep_for(self.name, key, milliseconds(time)))
    }
}
