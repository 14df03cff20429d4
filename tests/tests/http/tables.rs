//! What rules remember: counted by all workers together, kept over reloads and versions, in the hands of operators.

use std::thread;

use shunt_tests::origin::Origin;
use shunt_tests::packs;
use shunt_tests::raw::Client;
use shunt_tests::site::{self, Site, rule};

/// How many of so many requests are let through, sent by clients at the same time.
fn let_through(site: &Site, clients: usize, each: usize) -> usize {
    let address = site.address;
    let client = move || {
        let mut client = Client::connect(address);
        let statuses = (0..each).map(|_| client.get("/").status());
        statuses.filter(|status| *status == 200).count()
    };
    let clients: Vec<_> = (0..clients).map(|_| thread::spawn(client)).collect();
    clients.into_iter().map(|it| it.join().expect("a client without a failure")).sum()
}

#[test]
fn a_limit_is_exact_over_all_workers_reloads_and_versions() {
    let origin = Origin::named("a");
    let pack = packs::example("rate-limit");
    let config = |at, limit: u32| {
        let rule = rule("limit", &pack, &format!("settings = {{ limit = {limit}, window-ms = 86400000 }}"));
        let config = site::config(at, "", &(rule + &site::pool("web", "", &[origin.address()])));
        config.replace("workers = 1", "workers = 2")
    };
    let site = Site::configured(|at| config(at, 500));
    assert_eq!(let_through(&site, 8, 100), 500);
    site.daemon.reload(&config(site.address, 650));
    assert_eq!(let_through(&site, 8, 25), 150, "what was counted before the reload counts");
    let pack = pack.to_str().expect("a path");
    drop(site.daemon.shunt(&["rule", "load", "web/limit", pack]).good());
    assert_eq!(let_through(&site, 4, 10), 0, "and what another version counted");
    let answer = site.client().get("/");
    assert_eq!((answer.status(), answer.get("ratelimit")), (429, Some("\"client\";r=0")));
    assert!(answer.get("retry-after").and_then(|it| it.parse::<u32>().ok()).is_some_and(|it| it > 80_000));

    let listed = site.daemon.shunt(&["table", "list", "web/limit", "windows", "-o", "json"]).json();
    assert_eq!(
        (&listed["entries"][0]["key"], &listed["entries"][0]["value"]),
        (&"127.0.0.1".into(), &"650".into())
    );
    let told = site.daemon.shunt(&["table", "delete", "web/limit", "windows", "127.0.0.1"]).good();
    assert_eq!(told, "127.0.0.1 of web/limit windows is deleted; it was 650\n");
    assert_eq!(let_through(&site, 2, 5), 10, "the client begins anew");
}

#[test]
fn operators_read_and_change_entries() {
    let origin = Origin::named("a");
    let rule = rule("box", &packs::example("penalty-box"), "");
    let pool = site::pool("web", "", &[origin.address()]);
    let site = Site::configured(|at| site::config(at, "", &(rule + &pool)));
    let shunt = |words: &[&str]| site.daemon.shunt(&[&["table"], words].concat());
    let status = || site.client().get("/").status();
    assert_eq!(status(), 200);
    let set = shunt(&["set", "web/box", "blocked", "127.0.0.1", "0x01"]).good();
    assert_eq!(set, "127.0.0.1 of web/box blocked is 0x01\n");
    assert_eq!(
        (status(), shunt(&["get", "web/box", "blocked", "127.0.0.1"]).good().as_str()),
        (429, "0x01\n")
    );

    let tables = shunt(&["list", "-o", "json"]).json()["tables"].clone();
    let blocked = &tables[0];
    assert_eq!(
        (&blocked["rule"], &blocked["name"], &blocked["entries"]),
        (&"web/box".into(), &"blocked".into(), &1.into())
    );
    assert_eq!(site.daemon.status()["virtuals"][0]["rules"][0]["tables"], tables);
    let metrics = site.daemon.ask("GET", "/v1/metrics", "text/plain", b"").text();
    assert!(
        metrics.contains("shunt_rule_table_entries{rule=\"web/box\",table=\"blocked\"} 1.0\n"),
        "{metrics}"
    );

    for address in 0..25 {
        drop(shunt(&["set", "web/box", "blocked", &format!("192.0.2.{address}"), "0x01"]).good());
    }
    let (mut found, mut after) = (0, None);
    loop {
        let mut words = vec!["list", "web/box", "blocked", "--limit", "10", "-o", "json"];
        words.extend(after.iter().flat_map(|it: &String| ["--after", it.as_str()]));
        let page = shunt(&words).json();
        found += page["entries"].as_array().expect("a list").len();
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(found, 26);
    assert_eq!(
        shunt(&["clear", "web/box", "blocked"]).good(),
        "web/box blocked is empty; it had 26 entries\n"
    );
    assert_eq!(status(), 200);

    for (words, says) in [
        (
            &["get", "web/box", "blocked", "127.0.0.1"][..],
            "there is no entry 127.0.0.1 in table blocked of rule web/box",
        ),
        (&["get", "web/box", "blocked", "here"], "\"here\" is not an address"),
        (&["get", "web/box", "blokced", "127.0.0.1"], "there is no table blokced of rule web/box"),
        (&["get", "web/bxo", "blocked", "127.0.0.1"], "there is no rule web/bxo that runs"),
        (&["set", "web/box", "failures", "127.0.0.1", "1"], "is made by its rule alone; delete it instead"),
        (&["list", "web/box", "blocked", "--after", "x"], "\"x\" is no place in a table"),
    ] {
        let refused = shunt(words);
        assert!(refused.code != Some(0) && refused.stderr.contains(says), "{words:?}: {refused:?}");
    }
}

#[test]
fn bindings_that_a_rule_makes_are_those_of_the_pool() {
    let slots = "slots = { primary = \"web\", other = \"web\" }\n".to_owned();
    let rule = rule("surface", &packs::guest("surface"), &(slots + &packs::surface_bindings()));
    // The rule answers in its place.
    let pool = site::pool("web", "", &["192.0.2.1:80".parse().expect("an address")]);
    let site = Site::configured(|at| site::config(at, "", &(rule + &pool)));
    let answer = site.client().get("/persist?ann").text();
    assert_eq!(answer, "None [true, true, false] Some(192.0.2.1:80) 2 [true, false]");
    let bindings =
        site.daemon.shunt(&["persistence", "list", "web", "-o", "json"]).json()["bindings"].clone();
    assert_eq!(bindings.as_array().map(Vec::len), Some(1), "{bindings}");
    let (of, key, member) = (&bindings[0]["of"], &bindings[0]["key"], &bindings[0]["member"]);
    assert_eq!((of, key, member), (&"virtual web".into(), &"ann".into(), &"192.0.2.1:80".into()));
}
