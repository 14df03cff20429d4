//! Rules that are replaced while requests run: none fails, and nothing is left behind.

use std::os::unix::net::UnixStream;

use shunt_tests::load::Load;
use shunt_tests::origin::Origin;
use shunt_tests::packs;
use shunt_tests::raw::Conversation;
use shunt_tests::site::{self, Site};

/// Loads as many versions, each compiled anew, the first of them to warm up.
fn load(versions: usize, warm: usize, drift: u64) {
    let origin = Origin::named("a");
    let slots = "slots = { primary = \"web\", canary = \"web\" }";
    let rule = site::rule("main", &packs::guest("steer"), slots);
    let site = Site::configured(|at| {
        let config = site::config(at, "", &(rule + &site::pool("web", "", &[origin.address()])));
        config.replace("workers = 1", "workers = 2")
    });
    let pack = std::fs::read(packs::guest("steer")).unwrap();
    let (old, at) =
        (b"version = \"1.0.0\"", pack.windows(17).position(|it| it == b"version = \"1.0.0\"").unwrap());
    let mut admin = Conversation::new(UnixStream::connect(site.daemon.folder().socket()).unwrap());
    let load = Load::start(site.address, 4);
    let begin = std::time::Instant::now();
    let mut warmed = 0;
    for number in 0..versions {
        let mut pack = pack.clone();
        let version = format!("{}.{}.{}", 1 + number / 100 % 9, number / 10 % 10, number % 10);
        pack[at..at + old.len()].copy_from_slice(format!("version = {version:?}").as_bytes());
        let head = format!(
            "PUT /v1/rules/web/main HTTP/1.1\r\nHost: admin\r\nContent-Type: application/wasm\r\nContent-Length: {}\r\n\r\n",
            pack.len()
        );
        let answer = admin.ask([head.as_bytes(), &pack].concat());
        assert_eq!(answer.status(), 200, "{version}: {}", answer.text());
        assert!(answer.text().contains(&format!("\"version\":{version:?}")), "{}", answer.text());
        load.go_on(4);
        if number + 1 == warm {
            warmed = site.resident();
        }
    }
    let (done, more) = (load.end(), site.resident().saturating_sub(warmed) >> 10);
    println!(
        "{versions} versions in {:?}, {done} requests, {more} KiB more since the first {warm}",
        begin.elapsed()
    );
    assert!(more < drift, "{more} KiB more after {versions} versions than after {warm}");
    let status = site.daemon.status();
    let web = &status["virtuals"][0];
    assert_eq!((&web["connections"], &web["errors"]), (&4.into(), &0.into()));
    assert_eq!(web["requests"], done, "every request was answered, and no other was made");
    let rule = &web["rules"][0];
    assert_eq!(rule["versions"].as_array().map(Vec::len), Some(8), "old versions are let go of");
    let request = rule["hooks"].as_array().unwrap().iter().find(|it| it["hook"] == "on-request").unwrap();
    assert_eq!(
        (&request["calls"], &request["faults"]),
        (&done.into(), &serde_json::json!({})),
        "none went round the rule"
    );
}

#[test]
fn a_thousand_versions_under_load() {
    load(1_000, 100, 8 * 1024);
}
