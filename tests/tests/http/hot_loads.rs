//! Rules that are replaced while requests run: none fails, and nothing is left behind.

use std::os::unix::net::UnixStream;

use shunt_tests::daemon::{Folder, until};
use shunt_tests::load::Load;
use shunt_tests::origin::Origin;
use shunt_tests::packs;
use shunt_tests::raw::Conversation;
use shunt_tests::site::{self, Site};

/// Bytes that each pack has more, which no rule needs: a pack that is not let go of shows.
const PADDING: usize = 256 << 10;

/// A custom section of a component (WebAssembly component model, binary format): its id, its size, its name, its bytes.
fn padding() -> Vec<u8> {
    let name = b"padding";
    let size = 1 + name.len() + PADDING;
    let mut section = vec![0];
    // LEB128 in three bytes.
    section.extend(
        [size & 0x7f | 0x80, size >> 7 & 0x7f | 0x80, size >> 14].map(|it| u8::try_from(it).unwrap()),
    );
    section.push(u8::try_from(name.len()).unwrap());
    section.extend(name);
    section.resize(section.len() + PADDING, 0);
    section
}

/// Pieces of compiled code that the daemon has mapped, beside those of files.
fn code_mappings(site: &Site) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", site.daemon.pid())).unwrap();
    maps.lines().filter(|line| line.contains(" r-xp ") && line.split_whitespace().count() == 5).count()
}

/// Loads as many versions, each compiled again, the first of them to warm up.
///
/// What is resident goes up and down by some 20 MiB, with what threads that compile leave to the allocator: more where the
/// machine is busy. What is kept of a version is code that is mapped, and a pack.
fn load(versions: usize, warm: usize) {
    let origin = Origin::named("a");
    let slots = "slots = { primary = \"web\", canary = \"web\" }";
    let rule = site::rule("main", &packs::guest("steer"), slots);
    let site = Site::configured(|at| {
        let config = site::config(at, "", &(rule + &site::pool("web", "", &[origin.address()])));
        config.replace("workers = 1", "workers = 2")
    });
    let pack = [std::fs::read(packs::guest("steer")).unwrap(), padding()].concat();
    let (old, at) =
        (b"version = \"1.0.0\"", pack.windows(17).position(|it| it == b"version = \"1.0.0\"").unwrap());
    let mut admin = Conversation::new(UnixStream::connect(site.daemon.folder().socket()).unwrap());
    let load = Load::start(site.address, 4);
    let begin = std::time::Instant::now();
    let mut warmed = (0, 0);
    for number in 0..versions {
        let mut pack = pack.clone();
        let version = format!("{}.{}.{}", 1 + number / 100 % 9, number / 10 % 10, number % 10);
        pack[at..at + old.len()].copy_from_slice(format!("version = {version:?}").as_bytes());
        let head = format!(
            "PUT /v1/rules/web/main?allow-downgrade=true HTTP/1.1\r\nHost: admin\r\nContent-Type: application/wasm\r\nContent-Length: {}\r\n\r\n",
            pack.len()
        );
        let answer = admin.ask([head.as_bytes(), &pack].concat());
        assert_eq!(answer.status(), 200, "{version}: {}", answer.text());
        assert!(answer.text().contains(&format!("\"version\":{version:?}")), "{}", answer.text());
        load.go_on(4);
        if number + 1 == warm {
            warmed = (site.resident(), code_mappings(&site));
        }
    }
    let done = load.end();
    let more = site.resident().saturating_sub(warmed.0);
    println!(
        "{versions} versions in {:?}, {done} requests, {} KiB more since the first {warm}",
        begin.elapsed(),
        more >> 10
    );
    assert!(warmed.1 > 0, "compiled code is mapped");
    until("code of old versions is let go of", || code_mappings(&site) <= warmed.1);
    let kept = more / PADDING as u64;
    assert!(kept < (versions - warm) as u64 / 4, "{} KiB more, as many as {kept} packs have", more >> 10);
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
    load(1_000, 100);
}

/// Each worker makes its instance when a version becomes the one that serves, so that no request waits for one.
#[test]
fn instances_are_made_before_the_first_request() {
    let (origin, folder) = (Origin::named("a"), Folder::new());
    let rule = site::rule("main", &packs::guest("plain"), "slots = { web = \"web\" }");
    let site = Site::configured(|at| {
        let config = site::config(at, "", &(rule + &site::pool("web", "", &[origin.address()])));
        config.replace("workers = 1", "workers = 2")
    });
    let calls = |name: &str| {
        let status = site.daemon.status();
        let hooks = status["virtuals"][0]["rules"][0]["hooks"].as_array().unwrap().clone();
        let hook = hooks.iter().find(|it| it["hook"] == name);
        hook.map_or(0, |it| it["calls"].as_u64().unwrap())
    };
    let newer = packs::guest_version("plain", "1.0.1", &folder);
    for version in 1..=2 {
        if version == 2 {
            site.daemon.shunt(&["rule", "load", "web/main", newer.to_str().unwrap()]).good();
        }
        // `on-load` is called once per instance: for the settings where it is attached, and by each worker.
        let made = version * 3;
        until("each worker has its instance", || calls("on-load") == made);
        // A connection each, so that either worker has some.
        for _ in 0..40 {
            assert_eq!(site.client().get("/").text(), "a");
        }
        assert_eq!((calls("on-request"), calls("on-load")), (version * 40, made));
    }
}
