//! Does everything that a rule must not, as the request's path says; `/ok` is good.

use std::hint::black_box;

use shunt_sdk::prelude::*;

/// A slot that the pack does not declare. `shunt rule build` refuses such a literal where a slot is named.
const UNDECLARED: &str = "nowhere";

const COUNTS: table::Counters<str> = table::Counters::new("counts");
const COUNTS_OF_NONE: table::Counters<str> = table::Counters::new("none");
const COUNTS_AS_VALUES: table::Values<str, bool> = table::Values::new("counts");
const COUNTS_AS_VALUES_LONG: table::Values<str, Vec<u8>> = table::Values::new("counts");

/// What to do, and when.
#[derive(Settings)]
struct Hostile {
    /// What `on-load` does: `ok`, `refuse`, `loop`, `panic` or `memory`.
    #[settings(default = "ok")]
    load: String,
}

#[rule]
impl Hostile {
    fn on_load(&self) -> Result<(), String> {
        match self.load.as_str() {
            "refuse" => Err("no licence for this virtual".to_owned()),
            "loop" => endless(),
            "panic" => panic!("cannot load"),
            "memory" => bomb(),
            _ => Ok(()),
        }
    }

    fn on_request(&self, request: &Request) -> Result<request::Verdict, String> {
        match request.path().as_str() {
            "/error" => Err("not a number".to_owned()),
            path => Ok(misbehave(path)),
        }
    }

    fn on_flow(&self, flow: &Flow) -> flow::Verdict {
        match flow.client.port() {
            666 => endless(),
            _ => next(),
        }
    }
}

fn misbehave(path: &str) -> request::Verdict {
    match path {
        "/ok" => to_pool("web"),
        "/loop" => endless(),
        "/memory" => bomb(),
        "/leak" => {
            // Kept for good: 1 MiB per request.
            std::mem::forget(black_box(vec![1_u8; 1 << 20]));
            next()
        }
        "/recursion" => {
            black_box(recurse(1));
            next()
        }
        "/panic" => panic!("the author was wrong about {path}"),
        "/abort" => std::process::abort(),
        "/log-flood" => loop {
            log::info!("and again");
        },
        "/host-calls" => loop {
            black_box(clock::unix());
        },
        "/random-flood" => {
            black_box(random::bytes(4097));
            next()
        }
        "/random-much" => loop {
            black_box(random::bytes(4096));
        },
        "/vars-many" => {
            for name in 0..65 {
                vars::request().set(&name.to_string(), "");
            }
            next()
        }
        "/vars-long" => {
            vars::request().set("v", [0; 4097]);
            next()
        }
        "/vars-name" => {
            vars::request().set(&"n".repeat(257), "");
            next()
        }
        "/table-none" => {
            COUNTS_OF_NONE.add("k", 1);
            next()
        }
        "/table-kind" => {
            COUNTS_AS_VALUES.put("k", &true);
            next()
        }
        "/table-key" => {
            COUNTS.add(&"k".repeat(257), 1);
            next()
        }
        "/table-value" => {
            COUNTS_AS_VALUES_LONG.put("k", &vec![0; 4097]);
            next()
        }
        "/table-item" => {
            table::Distinct::<str, [u8]>::new("counts").add("k", &[0; 4097]);
            next()
        }
        "/table-keep" => {
            table::Counters::<str>::new("limits").keep_for("k", Duration::from_secs(1));
            next()
        }
        "/table-full" => {
            // More than there may be, each used once.
            for key in 0..20_000_u64 {
                table::Counters::<u64>::new("counts").add(&key, 1);
            }
            next()
        }
        "/persist-key" => {
            persist::delete("web", [7_u8; 257].as_slice());
            next()
        }
        "/persist-slot" => {
            persist::lookup(UNDECLARED, "k");
            next()
        }
        "/pool" => {
            lb::pool(UNDECLARED);
            next()
        }
        "/slot" => to_pool(UNDECLARED),
        "/snat-slot" => as_configured().snat_pool(UNDECLARED),
        "/persist" => as_configured().persist([7_u8; 257].as_slice()),
        "/status" => respond(99),
        "/framing" => respond(200).header("content-length", "5").text("hello"),
        "/bad-name" => respond(200).header("no spaces", "x").text(""),
        "/bad-value" => respond(200).header("x", "a\r\nset-cookie: b").text(""),
        "/long-head" => respond(200).header("x", "y".repeat(70_000)).text(""),
        "/need-body" => request::need_body(10),
        _ => next(),
    }
}

fn endless<T>() -> T {
    let mut n = 0_u64;
    loop {
        n = black_box(n + 1);
    }
}

fn bomb<T>() -> T {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![1_u8; 1 << 20]));
    }
}

fn recurse(depth: u64) -> u64 {
    if black_box(depth) == 0 { 0 } else { black_box(recurse(depth + 1)) + 1 }
}
