//! Calls one host function a hundred times, for the benches; the path says which.

use std::hint::black_box;

use shunt_sdk::prelude::*;

const VALUES: table::Values<str, i64> = table::Values::new("values");
const COUNTS: table::Counters<str> = table::Counters::new("counts");
const ITEMS: table::Distinct<str, str> = table::Distinct::new("items");

/// 192.0.2.1:80
const MEMBER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 80);

struct Calls;

#[rule]
impl Calls {
    fn on_request(&self, request: &Request) -> request::Verdict {
        match request.path().as_str() {
            "/flow" => times(|| request.flow()),
            "/version" => times(|| request.version()),
            "/scheme" => times(|| request.scheme()),
            "/method" => times(|| request.method()),
            "/path" => times(|| request.path()),
            "/query" => times(|| request.query()),
            "/authority" => times(|| request.authority()),
            "/header" => times(|| request.header_bytes("user-agent")),
            "/headers" => times(|| request.headers_bytes("user-agent")),
            "/header-names" => times(|| request.header_names()),
            "/set-path" => times(|| request.set_path("/set-path")),
            "/set-query" => times(|| request.set_query(Some("a=1"))),
            "/set-authority" => times(|| request.set_authority("shop.example")),
            "/set-header" => times(|| request.set_header("x-pool", "primary")),
            // Kept small, so that each finds the same head.
            "/add-and-remove-header" => times(|| {
                request.add_header("x-pool", "primary").ok();
                request.remove_header("x-pool")
            }),
            "/set-response-header" => times(|| request.set_response_header("x-pool", "primary")),
            "/log-enabled" => times(|| log::enabled(log::Level::Debug)),
            "/unix" => times(clock::unix),
            "/monotonic" => times(clock::monotonic),
            "/random-number" => times(random::number),
            "/random-bytes" => times(|| random::bytes(16)),
            "/vars-set" => times(|| vars::request().set("n", "value")),
            "/vars-get" => times(|| vars::request().get("n")),
            "/table-get" => times(|| VALUES.get("client")),
            "/table-put" => times(|| VALUES.put("client", &7)),
            "/table-add-if-absent" => times(|| VALUES.add_if_absent("client", &7)),
            "/table-compare-and-set" => times(|| VALUES.compare_and_set("client", &7, &7)),
            "/table-counter" => times(|| COUNTS.get("client")),
            "/table-add" => times(|| COUNTS.add("client", 1)),
            "/table-window" => {
                times(|| table::Windows::new("windows").allow("client", 50, Duration::from_millis(800)));
            }
            "/table-bucket" => {
                let rate = table::Rate { tokens: 50, per: Duration::from_secs(1), burst: 50 };
                times(|| table::Buckets::new("buckets").take("client", rate));
            }
            "/table-add-distinct" => times(|| ITEMS.add("client", "/items/7")),
            "/table-distinct" => times(|| ITEMS.get("client")),
            "/table-delete" => times(|| VALUES.delete("none")),
            "/table-keep-for" => times(|| VALUES.keep_for("client", Duration::from_secs(9))),
            "/table-count" => times(|| VALUES.count()),
            "/persist-bind" => times(|| persist::bind("web", "ann", MEMBER)),
            "/persist-lookup" => times(|| persist::lookup("web", "ann")),
            "/persist-delete" => times(|| persist::delete("web", "none")),
            "/persist-count" => times(|| persist::count("web")),
            "/pool" => times(|| lb::pool("web")),
            "/set-address" => times(|| sets::address("addresses", IpAddr::from([192, 0, 2, 7]))),
            "/set-address-none" => times(|| sets::address("addresses", IpAddr::from([198, 51, 100, 7]))),
            "/set-text" => times(|| sets::find("words", "shop.example")),
            "/flag" => times(|| flags::is_on("on")),
            "/flag-text" => times(|| flags::text("banner")),
            "/sha256" => times(|| crypto::sha256("0123456789abcdef0123456789abcdef")),
            "/sign" => times(|| crypto::sign("secret", "user=5")),
            "/seal" => times(|| crypto::seal("secret", "user=5", "session")),
            "/token" => times(|| crypto::verify_token("secret", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", 60)),
            "/members" => times(|| lb::members("web")),
            _ => {}
        }
        next()
    }
}

fn times<T>(call: impl Fn() -> T) {
    for _ in 0..100 {
        black_box(call());
    }
}
