//! Sets of rules: from a file, over the admin socket, under load.

use std::fmt::Write as _;

use serde_json::json;
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::load::Load;
use shunt_tests::origin::Origin;
use shunt_tests::site::{self, Site};
use shunt_tests::{address, packs};

/// A virtual that redirects what is in `redirects.txt`.
fn moved(lines: &str) -> (Site, Origin, String) {
    let (origin, address, folder) = (Origin::named("a"), address::free(), Folder::new());
    folder.write("redirects.txt", lines);
    let keys = "sets = { redirects = \"redirects.txt\" }";
    let rule = site::rule("moved", &packs::example("bulk-redirects"), keys);
    let config = site::config(address, "", &(rule + &site::pool("web", "", &[origin.address()])));
    folder.configure(&config);
    (Site { daemon: Daemon::start_in(folder), address }, origin, config)
}

fn set(site: &Site) -> serde_json::Value {
    site.daemon.shunt(&["set", "list", "-o", "json"]).json()["sets"][0].clone()
}

#[test]
fn a_set_is_listed_tested_and_replaced_and_survives_reloads_until_its_file_changes() {
    let (site, _origin, config) = moved("/old /new\n");
    let get = |path: &str| {
        let answer = site.client().get(path);
        (answer.status(), answer.get("location").map(str::to_owned))
    };
    let at = |place: &str| (301, Some(place.to_owned()));
    assert_eq!((get("/old"), get("/other")), (at("/new"), (200, None)));
    let listed = site.daemon.shunt(&["set", "list"]).good();
    assert!(
        listed.contains("web/moved") && listed.contains("redirects") && listed.contains("exact"),
        "{listed}"
    );
    let shown = site.daemon.shunt(&["set", "show", "web/moved", "redirects"]).good();
    assert!(shown.contains("entries  1") && shown.contains("redirects.txt"), "{shown}");

    let other = site.daemon.folder().write("other.txt", "/other /there\n/more /here # a comment\n");
    let load = ["set", "load", "web/moved", "redirects", other.to_str().unwrap()];
    assert!(site.daemon.shunt(&load).good().contains("has 2 entries now"));
    assert_eq!((get("/old"), get("/other")), ((200, None), at("/there")));
    assert_eq!(
        site.daemon.shunt(&["set", "test", "web/moved", "redirects", "/more"]).good(),
        "/more /here\n"
    );
    site.daemon.shunt(&["set", "test", "web/moved", "redirects", "/old"]).refused(1);
    assert_eq!((&set(&site)["loaded"], &set(&site)["entries"]), (&json!(true), &json!(2)));

    site.daemon.reload(&config);
    let other_settings = config.replace("sets =", "settings = { status = 308 }\nsets =");
    site.daemon.reload(&other_settings);
    assert_eq!(get("/other"), (308, Some("/there".to_owned())), "what was loaded survives reloads");
    let pack = packs::example("bulk-redirects");
    site.daemon.shunt(&["rule", "load", "web/moved", pack.to_str().unwrap()]).good();
    assert_eq!(get("/other"), (308, Some("/there".to_owned())), "and another version of the rule");

    site.daemon.folder().write("redirects.txt", "/old /newest\n");
    site.daemon.reload(&other_settings);
    assert_eq!((get("/old"), get("/other")), ((308, Some("/newest".to_owned())), (200, None)));
    assert_eq!(set(&site)["loaded"], false);
}

#[test]
fn lines_that_are_wrong_change_nothing_and_are_told_all_at_once() {
    let (site, _origin, config) = moved("/old /new\n");
    let wrong = site.daemon.folder().write("wrong.txt", "/a 1\n/b 1\n/a 2\n/b 2\n");
    let load = ["set", "load", "web/moved", "redirects", wrong.to_str().unwrap()];
    let refused = site.daemon.shunt(&load).refused(1);
    for line in
        ["wrong.txt:3: \"/a\" has another value in line 1", "wrong.txt:4: \"/b\" has another value in line 2"]
    {
        assert!(refused.contains(line), "{refused}");
    }
    site.daemon.folder().write("redirects.txt", "/old /new\n/old /newer\n");
    let reload = site.daemon.shunt(&["reload"]).refused(1);
    assert!(reload.contains("redirects.txt:2: \"/old\" has another value in line 1"), "{reload}");
    assert_eq!(site.client().get("/old").get("location"), Some("/new"));
    let unknown =
        site.daemon.shunt(&["set", "load", "web/moved", "redirect", wrong.to_str().unwrap()]).refused(1);
    assert!(
        unknown.contains("no set redirect in the rule web/moved") && unknown.contains("redirects"),
        "{unknown}"
    );
    let config = config.replace("sets = { redirects = \"redirects.txt\" }", "");
    site.daemon.folder().configure(&config);
    let unbound = site.daemon.shunt(&["reload"]).refused(1);
    assert!(unbound.contains("is not bound to entries; add sets = { redirects ="), "{unbound}");
}

#[test]
fn a_large_set_is_replaced_under_load() {
    let mut lines = String::new();
    for number in 0..100_000 {
        writeln!(lines, "/old/{number} /new/{number}").unwrap();
    }
    let (site, _origin, _) = moved(&lines);
    let load = Load::start(site.address, 4);
    let file = site.daemon.folder().path().join("redirects.txt");
    for _ in 0..5 {
        site.daemon.shunt(&["set", "load", "web/moved", "redirects", file.to_str().unwrap()]).good();
        load.go_on(4);
    }
    let done = load.end();
    let status = site.daemon.status();
    assert_eq!(
        (&status["virtuals"][0]["requests"], &status["virtuals"][0]["errors"]),
        (&done.into(), &0.into())
    );
    assert_eq!(site.client().get("/old/99999").get("location"), Some("/new/99999"));
}
