//! Rules through the command line: load, list, go back, take out; and everything that is refused.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::{address, packs, program, site, stored};

/// A virtual whose own pool is `default`, with one rule that may send to `web`.
struct Shop {
    daemon: Daemon,
    listen: SocketAddr,
    _origins: [Origin; 2],
}

impl Shop {
    /// `settings` is the rest of `[[virtual.rule]]`.
    fn start(pack: &Path, settings: &str) -> Shop {
        let origins = [Origin::named("default"), Origin::named("web")];
        let listen = address::free();
        let config = Shop::config(listen, &origins, pack, settings);
        Shop { daemon: Daemon::start(&config), listen, _origins: origins }
    }

    fn config(listen: SocketAddr, origins: &[Origin; 2], pack: &Path, settings: &str) -> String {
        [
            "[process]\nworkers = 2\n\n",
            &site::virtual_("shop", listen, "default", ""),
            &site::rule("main", pack, &format!("slots = {{ web = \"web\" }}\n{settings}")),
            &site::pool("default", "", &[origins[0].address()]),
            &site::pool("web", "", &[origins[1].address()]),
        ]
        .concat()
    }

    fn get(&self, path: &str) -> String {
        Client::connect(self.listen).get(path).text()
    }

    fn load(&self, pack: &Path) -> program::Ended {
        self.daemon.shunt(&["rule", "load", "shop/main", &pack.to_string_lossy(), "--accept-grants"])
    }

    fn rule(&self) -> Value {
        self.daemon.status()["virtuals"][0]["rules"][0].clone()
    }

    /// Loads what is refused, and makes sure that the rule that runs does so on.
    fn refused(&self, pack: &Path, kind: &str) -> String {
        let before = self.rule()["versions"].clone();
        let json = self
            .daemon
            .shunt(&["rule", "load", "shop/main", &pack.to_string_lossy(), "--accept-grants", "-o", "json"])
            .refused(1);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["error"]["kind"], kind, "{json:#}");
        assert_eq!(self.rule()["versions"], before, "a version was added");
        assert_eq!(self.get("/"), "web");
        json["error"]["message"].as_str().unwrap().to_owned()
    }
}

#[test]
fn versions_come_and_go_while_it_runs() {
    let plain = packs::guest("plain");
    let shop = Shop::start(&plain, "");
    let newer = packs::guest_version("plain", "1.0.1", shop.daemon.folder());
    let digest = |pack: &Path| {
        let answer = shop.daemon.shunt(&["rule", "list", "-o", "json"]).json();
        let versions = answer["rules"][0]["versions"].as_array().unwrap().clone();
        let version = if pack == plain { "1.0.0" } else { "1.0.1" };
        versions.iter().find(|it| it["version"] == version).unwrap()["digest"].as_str().unwrap()[..12]
            .to_owned()
    };
    let (first, mut story) = (digest(&plain), String::new());
    assert_eq!((shop.get("/").as_str(), shop.get("/else").as_str()), ("web", "default"));

    let mut tell = |arguments: &[&str]| {
        let ended = shop.daemon.shunt(arguments);
        let shown = arguments.join(" ");
        // The table of hooks has times in it.
        let stdout = ended.stdout.split_once("\n\n").map_or(ended.stdout.as_str(), |(versions, _)| versions);
        let said = [stdout, &ended.stderr].concat();
        story.push_str(&format!("$ shunt {shown}\n{}\n[{}]\n\n", said.trim_end(), ended.code.unwrap()));
    };
    let path = newer.to_string_lossy();
    tell(&["rule", "load", "shop/main", &path]);
    tell(&["rule", "list"]);
    tell(&["rule", "load", "shop/main", &path]);
    tell(&["rule", "rollback", "shop/main"]);
    tell(&["rule", "rollback", "shop/main"]);
    tell(&["rule", "unload", "shop/main"]);
    tell(&["rule", "unload", "shop/main"]);
    assert_eq!(shop.get("/"), "default", "without its rule");
    tell(&["rule", "list"]);
    tell(&["rule", "rollback", "shop/main"]);
    assert_eq!(shop.get("/"), "web");
    tell(&["rule", "rollback", "shop/main"]);
    tell(&["rule", "load", "shop/main", &path]);
    tell(&["rule", "rollback", "shop/main"]);
    tell(&["rule", "rollback", "shop/main", "--to", "3"]);
    tell(&["rule", "rollback", "shop/main"]);
    tell(&["rule", "rollback", "shop/main", "--to", "9"]);
    tell(&["rule", "rollback", "shop/none"]);
    tell(&["rule", "rollback", "none/main"]);
    let second = digest(&newer);
    let folder = shop.daemon.folder().path().display().to_string();
    let names = [(folder.as_str(), "FOLDER"), (&first, "DIGEST-ONE"), (&second, "DIGEST-TWO")];
    let story = story.lines().map(|line| ageless(line) + "\n").collect::<String>();
    stored::compare_tables("rules.txt", &story, &names);
}

/// A row of a table, without how long ago something was.
fn ageless(line: &str) -> String {
    let age = line.find(" ago").and_then(|end| Some(line[..end].rfind("  ")? + 2..end));
    age.map_or_else(|| line.to_owned(), |age| [&line[..age.start], "AGE", &line[age.end..]].concat())
}

#[test]
fn what_is_no_pack_is_refused_and_says_why() {
    let shop = Shop::start(&packs::guest("plain"), "");
    let folder = Folder::new();
    let good = std::fs::read(packs::guest("plain")).unwrap();
    // The command reads the pack before it asks the daemon; the daemon reads what others send.
    let text = shop.refused(&folder.write("script.wasm", "#!/bin/sh"), "pack");
    assert!(text.contains("the file is not WebAssembly"), "{text}");
    let text = shop.refused(&folder.write("short.wasm", &good[..good.len() / 2]), "pack");
    assert!(text.contains("truncated"), "{text}");
    // An empty module: magic and version 1.
    let text = shop.refused(&folder.write("module.wasm", b"\0asm\x01\0\0\0"), "pack");
    assert!(text.contains("build the pack by `shunt rule build`"), "{text}");
    // An empty component: version 13, layer 1.
    let text = shop.refused(&folder.write("bare.wasm", b"\0asm\x0d\0\x01\0"), "pack");
    assert!(text.contains("no `shunt:pack` section"), "{text}");
    let text = shop.refused(&folder.path().join("gone.wasm"), "pack");
    assert!(text.contains("cannot read") && text.contains("gone.wasm"), "{text}");
    let unbuilt = folder.path().join("unbuilt");
    std::fs::create_dir(&unbuilt).unwrap();
    std::fs::write(unbuilt.join("pack.toml"), "[pack]\nname = \"u\"\nversion = \"1.0.0\"\nwit = \"0.1\"\n")
        .unwrap();
    let text = shop.refused(&unbuilt, "pack");
    assert!(text.contains("is not built") && text.contains("shunt rule build"), "{text}");
    // Whole, but its code is damaged in the middle: only the compiler finds that out, or the parser.
    let mut damaged = good;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    let ended = shop.load(&folder.write("damaged.wasm", damaged));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(shop.get("/"), "web");
}

#[test]
fn a_component_of_another_world_is_refused() {
    let shop = Shop::start(&packs::guest("plain"), "");
    // A component with a manifest and nothing else: it has no hook, and one with an import that Shunt does not have.
    let manifest = "[pack]\nname = \"other\"\nversion = \"1.0.0\"\nwit = \"0.1\"\n\n[slots]\nweb = \"x\"\n";
    let section = |id: u8, content: &[u8]| [&[id], &leb(content.len())[..], content].concat();
    let custom = section(0, &[&[10], &b"shunt:pack"[..], manifest.as_bytes()].concat());
    // Type section: one instance type without exports. Import section: `wasi:cli/environment@0.2.0` of it.
    let types = section(7, &[1, 0x42, 0]);
    let name = b"wasi:cli/environment@0.2.0";
    let imports = section(10, &[&[1, 0, u8::try_from(name.len()).unwrap()], &name[..], &[5, 0]].concat());
    let preamble = &b"\0asm\x0d\0\x01\0"[..];
    let folder = Folder::new();
    let text =
        shop.refused(&folder.write("wasi.wasm", [preamble, &types, &imports, &custom].concat()), "component");
    assert!(text.contains("wasi:cli/environment@0.2.0"), "{text}");
    let text = shop.refused(&folder.write("empty.wasm", [preamble, &custom].concat()), "component");
    assert!(text.contains("hook"), "{text}");
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

#[test]
fn slots_that_do_not_fit_are_refused() {
    let shop = Shop::start(&packs::guest("plain"), "");
    // It has slots `primary` and `canary` and none called `web`.
    let text = shop.refused(&packs::guest("steer"), "slots");
    for says in ["no slot \"web\"", "slot \"primary\"", "slot \"canary\"", "is not bound to a pool"] {
        assert!(text.contains(says), "no {says:?} in {text}");
    }
}

#[test]
fn a_rule_that_does_not_want_its_settings_is_refused() {
    let plain = packs::guest("plain");
    let shop = Shop::start(&plain, "");
    let hostile = packs::guest("hostile");
    let reload = |settings: &str| {
        let origins = &shop._origins;
        shop.daemon.folder().configure(&Shop::config(shop.listen, origins, &hostile, settings));
        let refused = shop.daemon.shunt(&["reload", "--accept-grants"]).refused(1);
        assert_eq!(shop.get("/"), "web", "{refused}");
        refused
    };
    let text = reload("settings = { load = \"refuse\" }");
    assert!(text.contains("the rule refuses its settings: no licence for this virtual"), "{text}");
    assert!(text.contains("settings = { load"), "it stands at its key: {text}");
    let text = reload("settings = { load = \"panic\" }");
    assert!(text.contains("the rule fails to load: on-load: panic"), "{text}");
    let text = reload("settings = { load = \"loop\" }");
    assert!(text.contains("the rule fails to load: on-load: timeout"), "{text}");
    // Sixteen MiB of page faults take long on a busy machine.
    let text = reload("settings = { load = \"memory\" }\nbudget = { time = \"1s\" }");
    assert!(text.contains("the rule fails to load: on-load: memory"), "{text}");
    let text = reload("settings = { laod = \"ok\", load = 5 }");
    assert!(text.contains("laod") && text.contains("load"), "{text}");
}

#[test]
fn faults_are_counted_and_named() {
    let shop =
        Shop::start(&packs::guest("hostile"), "on-fault = \"continue\"\nbudget = { time = \"200ms\" }");
    for (path, kind) in
        [("/panic", "panic"), ("/loop", "timeout"), ("/recursion", "stack"), ("/slot", "verdict")]
    {
        assert_eq!(shop.get(path), "default", "on-fault says continue");
        let faults = shop.rule()["hooks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["hook"] == "on-request")
            .unwrap()["faults"]
            .clone();
        assert_eq!(faults[kind], 1, "{faults}");
        // A good call in between: the breaker counts those in a row.
        assert_eq!(shop.get("/ok"), "web");
    }
    let list = shop.daemon.shunt(&["rule", "list"]).good();
    assert!(list.contains("1 panic, 1 stack, 1 timeout, 1 verdict"), "{list}");
    let metrics = shop.daemon.shunt(&["status"]).good();
    assert!(metrics.contains("shop/main"), "{metrics}");
}

#[test]
fn a_version_that_was_hot_loaded_outlives_a_reload_until_its_pack_changes() {
    let folder = Folder::new();
    let origins = [Origin::named("default"), Origin::named("web")];
    let listen = address::free();
    let pack = folder.write("rule.wasm", std::fs::read(packs::guest("plain")).unwrap());
    let config = Shop::config(listen, &origins, &pack, "");
    let daemon = Daemon::start(&config);
    let shop = Shop { daemon, listen, _origins: origins };
    let newer = packs::guest_version("plain", "1.0.1", &folder);
    shop.load(&newer).good();
    shop.daemon.shunt(&["reload"]).good();
    assert_eq!(shop.rule()["running"], 2);
    // The operator puts another pack in the configured place.
    let newest = packs::guest_version("plain", "1.0.2", &folder);
    std::fs::copy(newest, &pack).unwrap();
    shop.daemon.shunt(&["reload"]).good();
    let rule = shop.rule();
    assert_eq!((&rule["running"], &rule["versions"][2]["version"]), (&json!(3), &json!("1.0.2")));
    assert_eq!(shop.get("/"), "web");
}

/// The packs that come with Shunt are what their sources build. `SHUNT_BLESS=1` puts the built ones in their place.
#[test]
fn packs_that_come_with_shunt_are_built_from_the_examples() {
    for name in ["headers", "https-redirect", "maintenance"] {
        let built = std::fs::read(packs::example(name)).unwrap();
        let names = |text: &str| built.windows(text.len()).any(|part| part == text.as_bytes());
        // Else the same sources would give another pack on another machine.
        for folder in [packs::root().to_str().unwrap(), "lib/rustlib/src", "registry/src"] {
            assert!(!names(folder), "{name} names {folder}, a folder of the machine that built it");
        }
        let committed = packs::root().join("host/rules/builtin").join(name).with_extension("wasm");
        if std::env::var_os("SHUNT_BLESS").is_some() {
            std::fs::write(&committed, &built).unwrap();
        }
        let same = std::fs::read(&committed).unwrap() == built;
        assert!(
            same,
            "{} is not what rules-examples/{name} builds: SHUNT_BLESS=1 renews it",
            committed.display()
        );
    }
}

#[test]
fn packs_that_come_with_shunt_are_named_by_their_prefix() {
    let listen = [address::free(), address::free()];
    let config = |pack: &str| {
        format!(
            "[[virtual]]\nname = \"plain\"\nlisten = [\"{}\", \"{}\"]\nprotocol = \"http\"\n\n\
             [[virtual.rule]]\nname = \"main\"\npack = \"{pack}\"\n",
            listen[0], listen[1]
        )
    };
    let daemon = Daemon::start(&config("builtin:https-redirect"));
    for address in listen {
        let answer = Client::connect(address).ask("GET /a?b HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        assert_eq!((answer.status(), answer.get("location")), (308, Some("https://shop.test/a?b")));
    }
    daemon.shunt(&["rule", "load", "plain/main", "builtin:maintenance"]).good();
    assert_eq!(Client::connect(listen[0]).get("/").status(), 503);
    let refused = daemon.shunt(&["rule", "load", "plain/main", "builtin:maintenence"]).refused(1);
    assert!(refused.contains("did you mean builtin:maintenance?"), "{refused}");
    daemon.folder().configure(&config("builtin:redirect"));
    let refused = daemon.shunt(&["reload"]).refused(1);
    assert!(refused.contains("there is no built-in pack `redirect`"), "{refused}");
    // One address fewer, and the other continues.
    daemon.shunt(&["rule", "rollback", "plain/main"]).good();
    daemon
        .folder()
        .configure(&config("builtin:https-redirect").replace(&format!("[\"{}\", ", listen[0]), "["));
    daemon.shunt(&["reload"]).good();
    assert_eq!(Client::connect(listen[1]).get("/").status(), 308);
    shunt_tests::daemon::until("the other is closed", || Client::try_connect(listen[0]).is_err());
}
