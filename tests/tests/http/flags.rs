//! Flags of rules: set and reset while requests run.

use serde_json::json;
use shunt_tests::load::Load;
use shunt_tests::origin::Origin;
use shunt_tests::packs;
use shunt_tests::site::{self, Site};

#[test]
fn a_flag_switches_pools_under_load_and_stays_over_reloads_and_versions() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pack = packs::example("blue-green");
    let rule = site::rule("colour", &pack, "slots = { blue = \"web\", green = \"next\" }");
    let pools = site::pool("web", "", &[blue.address()]) + &site::pool("next", "", &[green.address()]);
    let mut written = String::new();
    let site = Site::configured(|at| {
        written = site::config(at, "", &(rule.clone() + &pools)).replace("workers = 1", "workers = 2");
        written.clone()
    });
    let get = || site.client().get("/").text();
    let load = Load::start(site.address, 4);
    assert_eq!(get(), "blue");
    let set = |value: &str| site.daemon.shunt(&["flag", "set", "web/colour", "green", value]);
    assert_eq!(set("true").good(), "green of web/colour is true now\n");
    assert_eq!(get(), "green", "the next request finds it, on each worker");
    load.go_on(8);
    let listed = site.daemon.shunt(&["flag", "list"]).good();
    assert!(listed.contains("web/colour  green  true (set)  false"), "{listed}");

    site.daemon.reload(&written);
    site.daemon.reload(&written.replace("slots =", "budget = { time = \"20ms\" }\nslots ="));
    site.daemon.shunt(&["rule", "load", "web/colour", pack.to_str().unwrap()]).good();
    assert_eq!(get(), "green");
    let flag = &site.daemon.status()["virtuals"][0]["rules"][0]["flags"][0];
    assert_eq!((&flag["name"], &flag["value"], &flag["set"]), (&json!("green"), &json!(true), &json!(true)));

    let refused = set("5").refused(1);
    assert!(refused.contains("the flag green is of the type boolean, and \"5\" is not"), "{refused}");
    let unknown = site.daemon.shunt(&["flag", "set", "web/colour", "gren", "true"]).refused(1);
    assert!(
        unknown.contains("no flag gren in the rule web/colour") && unknown.contains("use one of green"),
        "{unknown}"
    );
    let reset = site.daemon.shunt(&["flag", "reset", "web/colour", "green"]).good();
    assert_eq!((reset.as_str(), get().as_str()), ("green of web/colour has its default, false\n", "blue"));
    site.daemon.wait_log("flag-set");
    let _ = load.end();
}

#[test]
fn lines_of_one_rule_are_written_from_the_level_that_is_set() {
    let origin = Origin::named("a");
    let slots = "slots = { primary = \"web\", other = \"web\" }\n".to_owned();
    let rule = site::rule("main", &packs::guest("surface"), &(slots + &packs::surface_bindings()));
    let pool = site::pool("web", "", &[origin.address()]);
    let site = Site::configured(|at| site::config(at, "", &(rule + &pool)));
    let debug = || site.daemon.log().matches("at=\"debug\"").count();
    let log = |level: &str| site.daemon.shunt(&["rule", "log", "web/main", level]).good();
    let ask = || drop(site.client().get("/log"));
    ask();
    assert_eq!(log("debug"), "lines of web/main are written from level debug on\n");
    ask();
    site.daemon.wait_log("at=\"debug\"");
    assert_eq!(log("default"), "lines of web/main are written as others are\n");
    ask();
    site.daemon.wait_log("to=\"default\"");
    assert_eq!(debug(), 1, "{}", site.daemon.log());
}
