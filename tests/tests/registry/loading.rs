//! Packs of a registry in a daemon: pinned, kept, and refused before they are compiled.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::registry::Registry;
use shunt_tests::{address, packs, program, site};

/// An operator with a virtual whose rule comes from a registry.
pub(crate) struct Operator {
    folder: Folder,
    pub(crate) listen: SocketAddr,
    origin: Origin,
    registry: String,
}

impl Operator {
    /// Who trusts the key in `team.pub` for the team's packs.
    pub(crate) fn new(registry: &Registry, key: &Path) -> Operator {
        let folder = Folder::new();
        folder.write("team.pub", std::fs::read(key).unwrap());
        let (listen, origin) = (address::free(), Origin::named("web"));
        Operator { folder, listen, origin, registry: registry.name() }
    }

    pub(crate) fn config(&self, pack: &str) -> String {
        let registry = &self.registry;
        let rule = site::rule("main", Path::new(pack), "");
        let head = format!(
            "[packs]\ncache = \"packs\"\ninsecure-registries = [{registry:?}]\n\n[[pack-policy]]\n\
             match = \"{registry}/team/*\"\nkeys = [\"team.pub\"]\n\n[process]\nworkers = 1\n\n"
        );
        let pool = site::pool("web", "", &[self.origin.address()]);
        [head, site::virtual_("shop", self.listen, "web", ""), rule, pool].concat()
    }

    fn shunt(&self, words: &[&str]) -> program::Ended {
        program::ended(program::command().args(words).current_dir(self.folder.path()))
    }

    fn lock(&self) -> program::Ended {
        self.shunt(&["pack", "lock", "--config", "shunt.toml"])
    }

    /// The same on a terminal of its own (script of util-linux), and what is seen there.
    fn lock_on_terminal(&self) -> String {
        let command = format!("{} pack lock --config shunt.toml", program::path().display());
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm").current_dir(self.folder.path());
        program::ended(&mut script).good()
    }

    /// Starts the daemon in this folder, which is its own from then on.
    fn start(self) -> (Daemon, Origin) {
        (Daemon::start_in(self.folder), self.origin)
    }
}

/// All files below a folder, with what is in them; but not compiled code, which is written when there is time.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.ends_with("compiled") {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else {
                let content = std::fs::read(&path).unwrap();
                found.insert(path, content);
            }
        }
    }
    found
}

/// A team that builds versions of `maintenance`.
struct Makers {
    folder: Folder,
    registry: String,
}

impl Makers {
    fn new(registry: &Registry) -> Makers {
        let makers = Makers { folder: Folder::new(), registry: registry.name() };
        for key in ["team", "other"] {
            makers.pack(&["keygen", key]);
        }
        makers
    }

    fn pack(&self, words: &[&str]) -> String {
        let mut command = program::command();
        command.env("DOCKER_CONFIG", self.folder.path()).arg("pack").args(words);
        program::ended(command.current_dir(self.folder.path())).good()
    }

    /// Builds a version, which says something else, so that it has a component of its own.
    fn build(&self, version: &str) -> PathBuf {
        self.build_with(version, |_| {})
    }

    fn build_with(&self, version: &str, change: impl FnOnce(&Path)) -> PathBuf {
        let file = format!("{version}.pack.tar");
        packs::pack_file("maintenance", &file, &self.folder, |place| {
            let toml = std::fs::read_to_string(place.join("pack.toml")).unwrap();
            let toml = toml.replace("version = \"1.0.0\"", &format!("version = \"{version}\""));
            std::fs::write(place.join("pack.toml"), toml).unwrap();
            change(place);
        })
    }

    fn push(&self, file: &Path, key: &str) {
        let file = file.to_str().unwrap();
        self.pack(&["sign", file, "--key", key]);
        let at = format!("{}/team/maintenance", self.registry);
        self.pack(&["push", file, &at, "--insecure-registry", &self.registry]);
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("team.pub")
    }
}

fn version(daemon: &Daemon) -> Value {
    let rule = daemon.status()["virtuals"][0]["rules"][0].clone();
    let versions = rule["versions"].as_array().unwrap();
    versions.iter().find(|version| version["number"] == rule["running"]).unwrap().clone()
}

#[test]
fn references_are_pinned_and_the_registry_may_go() {
    let Some(mut registry) = Registry::start() else { return };
    let makers = Makers::new(&registry);
    let [first, second] = ["1.0.0", "1.0.1"].map(|version| makers.build(version));
    makers.push(&first, "team.key");
    let operator = Operator::new(&registry, &makers.key());
    let range = format!("{}/team/maintenance:1.0", registry.name());
    operator.folder.configure(&operator.config(&range));

    let refused = operator.shunt(&["check", "shunt.toml"]).refused(1);
    assert!(
        refused.contains("shunt.lock does not have")
            && refused.contains("`shunt pack lock --config shunt.toml`"),
        "{refused}"
    );
    let refused = operator.shunt(&["run", "--config", "shunt.toml"]).refused(1);
    assert!(
        refused.contains("is pinned to no pack; pin it by `shunt pack lock --config shunt.toml`"),
        "{refused}"
    );
    let told = operator.lock().good();
    assert!(told.starts_with(&format!("+ {range}\n    maintenance 1.0.0 sha256:")), "{told}");
    let may = "    may respond in a member's place\n    signed by team.pub\n";
    assert!(told.contains(may), "{told}");
    assert!(told.ends_with("shunt.lock: 1 reference, 1 change\n"), "{told}");
    let lock = std::fs::read_to_string(operator.folder.path().join("shunt.lock")).unwrap();
    assert!(
        lock.contains("version = \"1.0.0\"") && lock.contains(&format!("reference = \"{range}\"")),
        "{lock}"
    );
    assert_eq!(operator.lock().good(), "shunt.lock: 1 reference, as it was\n");
    // A person sees that it works, and nothing of that when it is done.
    let seen = operator.lock_on_terminal();
    assert!(seen.contains("lock ["), "{seen:?}");
    assert!(seen.ends_with("shunt.lock: 1 reference, as it was\r\n"), "{seen:?}");
    operator.shunt(&["check", "shunt.toml"]).good();

    // One that says of a pack what it is not.
    for (from, to) in
        [("version = \"1.0.0\"", "version = \"1.0.5\""), ("name = \"maintenance\"", "name = \"other\"")]
    {
        operator.folder.write("shunt.lock", lock.replace(from, to));
        let refused = operator.shunt(&["check", "shunt.toml"]).refused(1);
        assert!(refused.contains(&format!("the lock says that {range} is ")), "{refused}");
        assert!(
            refused.contains("and the pack of that digest is maintenance 1.0.0; compare, then"),
            "{refused}"
        );
    }
    operator.folder.write("shunt.lock", &lock);

    // A cache that others can use, or of another user: that of Shunt's user is right as it is.
    let mode = |mode: u32| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(operator.folder.path().join("packs"), mode).unwrap();
    };
    mode(0o755);
    let refused = operator.shunt(&["check", "shunt.toml"]).refused(1);
    assert!(refused.contains("has mode 0755, and others can use it"), "{refused}");
    mode(0o700);
    if shunt_lab::needs::root("to give a folder to another user") {
        let own = |uid: u32| {
            std::os::unix::fs::chown(operator.folder.path().join("packs"), Some(uid), None).unwrap();
        };
        own(65_534);
        let warned = operator.shunt(&["check", "shunt.toml"]).good();
        assert!(
            warned.contains("is not checked: the cache packs is of user 65534, and this check of user 0"),
            "{warned}"
        );
        own(0);
    }

    // A tag of a later version that was pointed to an older pack, whose signatures are good.
    let link = |tag: &str| registry.tag("team/maintenance", tag);
    std::fs::create_dir_all(link("1.0.9").parent().unwrap()).unwrap();
    std::fs::copy(link("1.0.0"), link("1.0.9")).unwrap();
    let refused = operator.lock().refused(1);
    assert!(refused.contains("the tag stands for maintenance 1.0.0: it was pointed"), "{refused}");
    std::fs::remove_dir_all(link("1.0.9").ancestors().nth(2).unwrap()).unwrap();

    // A damaged lock is written again.
    operator.folder.write("shunt.lock", &lock[..lock.len() / 2]);
    operator.shunt(&["check", "shunt.toml"]).refused(1);
    let told = operator.lock().good();
    assert!(told.starts_with("damaged: the lock before, which is shunt.lock.damaged now"), "{told}");
    assert_eq!(std::fs::read_to_string(operator.folder.path().join("shunt.lock")).unwrap(), lock);

    // Another configuration of the same lock disagrees with it.
    let other = operator.folder.write("other.toml", operator.config("builtin:maintenance"));
    std::fs::copy(operator.folder.path().join("shunt.lock"), operator.folder.path().join("other.lock"))
        .unwrap();
    let refused = operator.shunt(&["check", other.to_str().unwrap()]).refused(1);
    assert!(refused.contains("which the configuration does not name"), "{refused}");

    // A tag that moves changes nothing until it is locked again.
    makers.push(&second, "team.key");
    let (config, listen) = (operator.config(&range), operator.listen);
    let (daemon, _origin) = operator.start();
    assert_eq!(version(&daemon)["version"], "1.0.0");
    assert_eq!(version(&daemon)["source"], range.as_str());
    assert_eq!(version(&daemon)["signers"][0]["file"], "team.pub");
    assert_eq!(Client::connect(listen).get("/").status(), 503);
    daemon.reload(&config);
    assert_eq!(version(&daemon)["version"], "1.0.0");
    let at = daemon.folder().config();
    let lock = || program::run(&["pack", "lock", "--config", at.to_str().unwrap()]);
    let told = lock().good();
    assert!(told.contains("maintenance 1.0.1") && told.contains("before: maintenance 1.0.0"), "{told}");
    daemon.reload(&config);
    assert_eq!(version(&daemon)["version"], "1.0.1");

    // The registry goes: what is in the cache is enough for a reload, a check and a start.
    registry.stop();
    daemon.reload(&config);
    let refused = lock().refused(1);
    assert!(
        refused.contains("cannot connect to") && refused.contains("the lock stays as it was"),
        "{refused}"
    );
    program::run(&["check", at.to_str().unwrap()]).good();
    let shown = daemon.shunt(&["rule", "show", "shop/main"]).good();
    assert!(
        shown.contains(&format!("from       {range}")) && shown.contains("signed by  team.pub"),
        "{shown}"
    );
    let copy = Folder::new();
    let from = daemon.folder().path().join(".");
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(copy.path()).status();
    assert!(copied.unwrap().success());
    drop(daemon);
    let daemon = Daemon::start_in(copy);
    assert_eq!(version(&daemon)["version"], "1.0.1");
    // What is in no cache cannot be had, and the rest runs on.
    std::fs::remove_dir_all(daemon.folder().path().join("packs/packs")).unwrap();
    let warned = program::run(&["check", daemon.folder().config().to_str().unwrap()]).good();
    assert!(warned.contains("is not in the cache; `shunt pack lock --config"), "{warned}");
    daemon.folder().configure(&config);
    let refused = daemon.shunt(&["reload"]).refused(1);
    assert!(refused.contains("cannot connect to"), "{refused}");
    assert_eq!(version(&daemon)["version"], "1.0.1");
}

/// Whatever someone did to a pack in the registry or on its way, it is refused before it is compiled, and nothing is left.
#[test]
fn what_was_tampered_with_is_refused_before_it_is_compiled() {
    let Some(registry) = Registry::start() else { return };
    let makers = Makers::new(&registry);
    let [old, new, foreign] = ["1.0.0", "1.1.0", "1.2.0"].map(|version| makers.build(version));
    makers.push(&old, "team.key");
    makers.push(&new, "team.key");
    makers.push(&foreign, "other.key");
    // Signed, and a case of it fails on this host.
    let failing = makers.build_with("1.3.0", |place| {
        let case =
            "[[case]]\nname = \"all is well\"\nrequest = { path = \"/\" }\nexpect = { verdict = \"next\" }\n";
        std::fs::write(place.join("cases/wrong.toml"), case).unwrap();
    });
    makers.push(&failing, "team.key");
    let operator = Operator::new(&registry, &makers.key());
    let at = format!("{}/team/maintenance", registry.name());
    operator.folder.configure(&operator.config(&format!("{at}:1.1.0")));
    operator.lock().good();
    let (daemon, _origin) = operator.start();
    let cache = daemon.folder().path().join("packs");
    let (before, running) = (contents(&cache), version(&daemon));
    let unchanged = |what: &str| {
        assert!(contents(&cache) == before, "{what} left something in the cache");
        assert_eq!(version(&daemon), running, "{what} runs");
    };
    let load = |reference: &str| {
        let refused =
            daemon.shunt(&["rule", "load", "shop/main", "--pack", reference, "-o", "json"]).refused(1);
        let error = serde_json::from_str::<Value>(&refused).unwrap()["error"].clone();
        (error["kind"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
    };

    let (kind, text) = load(&format!("{at}:1.2.0"));
    assert!(kind == "trust" && text.contains("team.pub: has not signed"), "{kind} {text}");
    unchanged("a pack that another signed");
    let (kind, text) = load(&format!("{at}:1"));
    let says = "which `shunt pack lock` alone resolves; name a version: 1.3.0 is the highest within it";
    assert!(kind == "registry" && text.contains(says), "{kind} {text}");
    let (kind, text) = load(&format!("{at}:1.0.0"));
    assert!(kind == "downgrade" && text.contains("older than 1.1.0"), "{kind} {text}");
    unchanged("an old pack");
    // The old one again, under the tag of the new one, and under a tag that says no version.
    let link = |tag: &str| registry.tag("team/maintenance", tag);
    let good = std::fs::read(link("1.1.0")).unwrap();
    std::fs::create_dir_all(link("latest").parent().unwrap()).unwrap();
    for (version, kind) in [("1.0.0", "downgrade"), ("1.2.0", "trust")] {
        for moved in ["1.1.0", "latest"] {
            std::fs::copy(link(version), link(moved)).unwrap();
        }
        let (moved, text) = load(&format!("{at}:1.1.0"));
        assert!(moved == "registry" && text.contains("was pointed to another version"), "{moved} {text}");
        assert_eq!(load(&format!("{at}:latest")).0, kind);
    }
    unchanged("a manifest that was exchanged");
    std::fs::write(link("1.1.0"), good).unwrap();

    // A byte of each thing that the registry has.
    let bytes = std::fs::read(&old).unwrap();
    let mut flipped = 0;
    for blob in registry.blobs() {
        let good = std::fs::read(&blob).unwrap();
        let is_of_old = good.len() > 2 && bytes.windows(good.len()).any(|part| part == good);
        if !is_of_old || String::from_utf8_lossy(&good).contains("\"manifests\"") {
            continue;
        }
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        std::fs::write(&blob, bad).unwrap();
        let refused = daemon.shunt(&[
            "rule",
            "load",
            "shop/main",
            "--pack",
            &format!("{at}:1.0.0"),
            "--allow-downgrade",
            "-o",
            "json",
        ]);
        let refused = refused.refused(1);
        let kind = serde_json::from_str::<Value>(&refused).unwrap()["error"]["kind"].clone();
        assert_eq!(kind, "registry", "{}: {refused}", blob.display());
        unchanged("a changed byte");
        std::fs::write(&blob, good).unwrap();
        flipped += 1;
    }
    assert!(flipped >= 6, "{flipped} things were changed");

    // As files that are sent: what leads out of the archive, ten thousand entries, and what unpacks to 200 MiB.
    let tar = |script: &str| {
        let folder = Folder::new();
        let mut command = std::process::Command::new("sh");
        program::ended(command.args(["-ec", script]).current_dir(folder.path())).good();
        std::fs::read(folder.path().join("out.tar")).unwrap()
    };
    let outside = tar("echo x > x; tar --format=ustar -P --transform='s,x,../../etc/x,' -cf out.tar x");
    let many = tar(
        "mkdir -p blobs/sha256; seq -f 'blobs/sha256/%064.0f' 10000 | xargs touch; tar --format=ustar -cf out.tar blobs/sha256/*",
    );
    let bomb = std::fs::read(packs::bomb(&Folder::new())).unwrap();
    let path = "/v1/rules/shop/main?allow-downgrade=true";
    for (what, body, says) in [
        ("a path", outside, "has an entry"),
        ("entries", many, "more than 256 entries"),
        ("a bomb", bomb, "packs are not compressed"),
    ] {
        let answer = daemon.ask("PUT", path, "application/wasm", &body);
        assert_eq!(answer.status(), 422, "{what}: {}", answer.text());
        assert!(answer.text().contains(says), "{what}: {}", answer.text());
        unchanged(what);
    }
    // Untouched, it may.
    daemon
        .shunt(&["rule", "load", "shop/main", "--pack", &format!("{at}:1.0.0"), "--allow-downgrade"])
        .good();
    assert_eq!(version(&daemon)["version"], "1.0.0");
    // One whose case fails was compiled, and is not kept either.
    let before = contents(&cache.join("packs"));
    let (kind, text) = load(&format!("{at}:1.3.0"));
    assert!(kind == "cases" && text.contains("all is well"), "{kind} {text}");
    assert!(contents(&cache.join("packs")) == before);
}
