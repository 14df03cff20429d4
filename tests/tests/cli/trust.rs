//! What may run: policies and signatures, versions that are older than what ran, grants that grow, cases that fail.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::{address, packs, program, site};

/// A virtual with the rule `main` from this pack.
struct Shop {
    origin: Origin,
    listen: SocketAddr,
    /// Keys of the rule.
    keys: &'static str,
    folder: Folder,
}

impl Shop {
    fn new(keys: &'static str) -> Shop {
        Shop { origin: Origin::named("web"), listen: address::free(), keys, folder: Folder::new() }
    }

    fn config(&self, pack: &Path, more: &str) -> String {
        [
            more,
            "\n[process]\nworkers = 1\n\n",
            &site::virtual_("shop", self.listen, "web", ""),
            &site::rule("main", pack, self.keys),
            &site::pool("web", "", &[self.origin.address()]),
        ]
        .concat()
    }

    fn keygen(&self, name: &str) {
        program::ended(program::command().args(["pack", "keygen", name]).current_dir(self.folder.path()))
            .good();
    }

    fn sign(&self, pack: &Path, key: &str) {
        let mut command = program::command();
        command.args(["pack", "sign", text(pack), "--key", key]).current_dir(self.folder.path());
        program::ended(&mut command).good();
    }
}

const SLOTS: &str = "slots = { web = \"web\" }";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn load(daemon: &Daemon, pack: &Path, more: &[&str]) -> program::Ended {
    daemon.shunt(&[&["rule", "load", "shop/main", text(pack)], more].concat())
}

fn runs(daemon: &Daemon) -> Value {
    let rule = daemon.status()["virtuals"][0]["rules"][0].clone();
    let versions = rule["versions"].as_array().unwrap();
    versions.iter().find(|version| version["number"] == rule["running"]).unwrap().clone()
}

fn asks_for(more: &str) -> impl Fn(&str) -> String {
    let more = format!("\n[capabilities]\n{more}\n");
    move |manifest| manifest.to_owned() + &more
}

#[test]
fn policies_decide_which_packs_run() {
    let shop = Shop::new("");
    let folder = &shop.folder;
    let pack = packs::pack_file("maintenance", "maintenance.pack.tar", folder, |_| {});
    for key in ["team", "ops", "other"] {
        shop.keygen(key);
    }
    let policies = "\
[[pack-policy]]
match = \"./packs/*\"
unsigned = true

[[pack-policy]]
match = \"./maintenance.pack.tar\"
keys = [\"team.pub\", \"ops.pub\"]
";
    let check = |config: &str| {
        folder.configure(config);
        program::run(&["check", text(&folder.config())])
    };
    // One of two, and one that nobody asked for.
    for key in ["team.key", "other.key"] {
        shop.sign(&pack, key);
    }
    let refused = check(&shop.config(&pack, policies)).refused(1);
    for says in [
        "policy \"./maintenance.pack.tar\" (shunt.toml:5) refuses",
        "2 of 2 keys must have signed it, and 1 did",
        "team.pub: signed",
        "ops.pub: has not signed",
    ] {
        assert!(refused.contains(says), "{says:?} is not in {refused}");
    }
    assert!(!refused.contains("other.pub"), "{refused}");
    check(&shop.config(&pack, &policies.replace("\"]\n", "\"]\nthreshold = 1\n"))).good();
    shop.sign(&pack, "ops.key");
    check(&shop.config(&pack, policies)).good();

    folder.configure(&shop.config(&pack, policies));
    let bare = folder.path().join("packs/maintenance.wasm");
    std::fs::create_dir(folder.path().join("packs")).unwrap();
    std::fs::copy(packs::example("maintenance"), &bare).unwrap();
    let elsewhere = folder.write("elsewhere.wasm", std::fs::read(&bare).unwrap());
    let (listen, origin) = (shop.listen, &shop.origin);
    let daemon = Daemon::start_in(shop.folder);
    let version = runs(&daemon);
    assert_eq!(version["policy"], "./maintenance.pack.tar");
    assert_eq!(version["source"], text(&pack));
    assert_eq!(version["pack-digest"].as_str().unwrap().len(), 64);
    let signers: Vec<&Value> = version["signers"].as_array().unwrap().iter().map(|it| &it["file"]).collect();
    assert_eq!(signers, ["team.pub", "ops.pub"]);
    assert_eq!(Client::connect(listen).get("/").status(), 503);

    // Where it stands decides, and what is in it does not.
    load(&daemon, &bare, &[]).good();
    assert_eq!((&runs(&daemon)["policy"], &runs(&daemon)["signers"]), (&json!("./packs/*"), &json!([])));
    let refused = load(&daemon, &elsewhere, &[]).refused(1);
    assert!(
        refused.contains("no policy allows") && refused.contains("./packs/*, ./maintenance.pack.tar"),
        "{refused}"
    );
    let sent = daemon.ask("PUT", "/v1/rules/shop/main", "application/wasm", &std::fs::read(&bare).unwrap());
    assert_eq!(sent.status(), 422);
    assert!(sent.text().contains("no policy allows a pack that was sent"), "{}", sent.text());
    // What comes with Shunt needs no policy, and cannot be claimed.
    load(&daemon, Path::new("builtin:maintenance"), &[]).good();
    let claimed = daemon.ask(
        "PUT",
        "/v1/rules/shop/main?path=builtin:headers",
        "application/wasm",
        &std::fs::read(&bare).unwrap(),
    );
    assert_eq!(claimed.status(), 400, "{}", claimed.text());
    assert_eq!(runs(&daemon)["source"], "builtin:maintenance");
    drop((origin, daemon));
}

#[test]
fn a_key_that_is_none_is_told_at_its_policy() {
    let shop = Shop::new("");
    shop.keygen("team");
    let folder = &shop.folder;
    folder.write("copy.pub", std::fs::read(folder.path().join("team.pub")).unwrap());
    let policies = "[[pack-policy]]\nmatch = \"*\"\nkeys = [\"team.pub\", \"team.key\", \"copy.pub\"]\n";
    folder.configure(&shop.config(Path::new("builtin:maintenance"), policies));
    let refused = program::run(&["check", text(&folder.config())]).refused(1);
    for says in ["team.key: this is a secret key", "copy.pub and team.pub are one key", "shunt.toml:3"] {
        assert!(refused.contains(says), "{says:?} is not in {refused}");
    }
}

#[test]
fn an_older_version_needs_to_be_allowed() {
    let shop = Shop::new(SLOTS);
    let made = Folder::new();
    let [old, new, newest] =
        ["1.9.0", "1.10.0", "1.11.0-rc.1"].map(|version| packs::guest_version("plain", version, &made));
    let kept = "[packs]\ncache = \"packs\"\n";
    shop.folder.configure(&shop.config(&new, kept));
    let [with_old, with_new] = [&old, &new].map(|pack| shop.config(pack, kept));
    let Shop { folder, origin, .. } = shop;
    let daemon = Daemon::start_in(folder);
    let refused = load(&daemon, &old, &[]).refused(1);
    assert!(refused.contains("plain 1.9.0 is older than 1.10.0, which ran here before"), "{refused}");
    load(&daemon, &newest, &[]).good();
    let refused = load(&daemon, &new, &["-o", "json"]).refused(1);
    assert_eq!(serde_json::from_str::<Value>(&refused).unwrap()["error"]["kind"], "downgrade");
    // What this host ran it may go back to.
    daemon.shunt(&["rule", "rollback", "shop/main"]).good();
    daemon.folder().configure(&with_old);
    let refused = daemon.shunt(&["reload"]).refused(1);
    assert!(
        refused.contains("is older than 1.11.0-rc.1") && refused.contains("--allow-downgrade"),
        "{refused}"
    );
    assert_eq!(runs(&daemon)["version"], "1.10.0", "nothing was changed");
    daemon.shunt(&["reload", "--allow-downgrade"]).good();
    assert_eq!(runs(&daemon)["version"], "1.9.0");

    // From now on this is the highest, and over a restart.
    let record = daemon.folder().path().join("packs/highest.toml");
    assert!(std::fs::read_to_string(&record).unwrap().contains("version = \"1.9.0\""));
    load(&daemon, &newest, &[]).good();
    let again = restarted(daemon);
    let told =
        "plain 1.9.0 is older than 1.11.0-rc.1, which ran here before; it runs, because it is configured";
    assert!(again.log().contains(told), "{}", again.log());
    assert_eq!(runs(&again)["version"], "1.9.0", "a start runs what is configured");
    again.folder().configure(&with_new);
    let refused = again.shunt(&["reload"]).refused(1);
    assert!(refused.contains("plain 1.10.0 is older than 1.11.0-rc.1"), "{refused}");
    drop(origin);
}

/// Ends a daemon, and starts another in a copy of its folder.
fn restarted(mut daemon: Daemon) -> Daemon {
    daemon.signal(shunt_tests::daemon::Signal::SIGTERM);
    daemon.wait();
    let folder = Folder::new();
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(daemon.folder().path().join("."))
        .arg(folder.path())
        .status();
    assert!(copied.unwrap().success());
    Daemon::start_in(folder)
}

#[test]
fn what_asks_for_more_needs_to_be_accepted() {
    let shop = Shop::new(SLOTS);
    let first = packs::guest("plain");
    let more = packs::guest_manifest("plain", "more.wasm", &shop.folder, asks_for("random = true\nlog = 4"));
    let less = packs::guest_manifest("plain", "less.wasm", &shop.folder, asks_for("random = true"));
    let daemon = Daemon::start(&shop.config(&first, ""));
    let refused = load(&daemon, &more, &[]).refused(1);
    let asks = "plain 1.0.0 asks for more than plain 1.0.0, which runs here";
    for says in [asks, "--accept-grants", "get random numbers", "4 lines to the log"] {
        assert!(refused.contains(says), "{says:?} is not in {refused}");
    }
    let loaded = load(&daemon, &more, &["--accept-grants"]).good();
    assert!(loaded.contains("it may now get random numbers"), "{loaded}");
    load(&daemon, &less, &[]).good();
    // Unloaded, it is what ran last that counts.
    daemon.shunt(&["rule", "unload", "shop/main"]).good();
    let refused = load(&daemon, &more, &[]).refused(1);
    assert!(refused.contains("asks for more than plain 1.0.0, which ran here last"), "{refused}");
    daemon.shunt(&["rule", "rollback", "shop/main"]).good();
    daemon.folder().configure(&shop.config(&more, ""));
    let refused = daemon.shunt(&["reload"]).refused(1);
    assert!(
        refused.contains("up to 4 lines to the log in a call") && !refused.contains("random"),
        "{refused}"
    );
    // The configuration may be right as it is.
    assert!(!refused.contains("fix the configuration"), "{refused}");
    let told = daemon.shunt(&["reload", "--accept-grants"]).good();
    assert!(told.contains("may now shop/main: write up to 4 lines to the log in a call"), "{told}");
}

#[test]
fn a_policy_bounds_what_packs_may_ask_for() {
    let shop = Shop::new(SLOTS);
    let pack = packs::guest_manifest("plain", "more.wasm", &shop.folder, asks_for("random = true\nlog = 4"));
    let policy =
        |grants: &str| format!("[[pack-policy]]\nmatch = \"*\"\nunsigned = true\ngrants = {grants}\n");
    let check = |grants: &str| {
        let file = shop.folder.write("site.toml", shop.config(&pack, &policy(grants)));
        program::run(&["check", text(&file)])
    };
    check("{ random = true, log = 4, clock = true }").good();
    let refused = check("{ log = 2 }").refused(1);
    for says in ["asks for more than the policy grants", "get random numbers", "where 2 are allowed"] {
        assert!(refused.contains(says), "{says:?} is not in {refused}");
    }
}

/// A pack whose case fails is as good as its authors say on their host, and not on this one.
#[test]
fn the_cases_of_a_pack_are_played_where_it_is_loaded() {
    let shop = Shop::new("");
    let right = shop.folder.path().join("right.pack.tar");
    let fails = |place: &Path| {
        let case =
            "[[case]]\nname = \"all is well\"\nrequest = { path = \"/\" }\nexpect = { verdict = \"next\" }\n";
        // One component, with two sets of cases.
        packs::build(place, &right);
        std::fs::write(place.join("cases/wrong.toml"), case).unwrap();
    };
    let wrong: PathBuf = packs::pack_file("maintenance", "wrong.pack.tar", &shop.folder, fails);
    let daemon = Daemon::start(&shop.config(&right, ""));
    let refused = load(&daemon, &wrong, &["-o", "json"]).refused(1);
    let error = serde_json::from_str::<Value>(&refused).unwrap()["error"].clone();
    assert_eq!(error["kind"], "cases");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("cases/wrong.toml:1: all is well") && message.contains("expected next"),
        "{message}"
    );
    daemon.folder().configure(&shop.config(&wrong, ""));
    let refused = daemon.shunt(&["reload"]).refused(1);
    assert!(refused.contains("do not pass on this host"), "{refused}");
    assert_eq!(runs(&daemon)["source"], text(&right));
}
