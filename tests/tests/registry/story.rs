//! Two teams: one makes a pack and pushes it, the other pulls it, tries it, rolls it out, stops an upgrade until it is
//! accepted, and goes back. The book tells it in `two-teams.md`.

use std::path::Path;

use serde_json::Value;
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::load::Load;
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::registry::Registry;
use shunt_tests::{address, packs, program, site};

/// Someone at a terminal, in a folder.
struct Terminal(Folder);

impl Terminal {
    fn shunt(&self, line: &str) -> program::Ended {
        let mut command = program::command();
        command.env("CARGO_TARGET_DIR", packs::root().join("target/guests"));
        command.env("DOCKER_CONFIG", self.0.path().join("docker")).current_dir(self.0.path());
        program::ended(command.args(line.split(' ')))
    }

    /// Changes a text file.
    fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.0.path().join(file)).unwrap();
        self.0.write(file, change(text));
    }
}

/// The makers publish the version that stands in pack.toml.
fn publish(makers: &Terminal, version: &str, registry: &str) {
    makers.shunt("pack test steer").good();
    makers.shunt("pack build steer").good();
    let file = format!("steer/dist/steer-{version}.pack.tar");
    makers.shunt(&format!("pack sign {file} --key team.key")).good();
    makers.shunt(&format!("pack push {file} {registry}/team/steer --insecure-registry {registry}")).good();
}

fn running(daemon: &Daemon) -> (String, Value) {
    let rule = daemon.status()["virtuals"][0]["rules"][0].clone();
    let versions = rule["versions"].as_array().unwrap();
    let version = versions.iter().find(|version| version["number"] == rule["running"]).unwrap();
    (version["version"].as_str().unwrap().to_owned(), version["signers"][0]["file"].clone())
}

#[test]
fn two_teams_share_a_pack() {
    let Some(server) = Registry::start() else { return };
    let registry = server.name();

    // The makers: a pack that is tested, signed and pushed.
    let makers = Terminal(Folder::new());
    let sdk = packs::root().join("sdk");
    makers.shunt(&format!("rule new steer --sdk {}", sdk.display())).good();
    makers.shunt("pack keygen team").good();
    publish(&makers, "0.1.0", &registry);

    // The operators: they have the public key, and look at the pack before anything of it runs.
    let operators = Terminal(Folder::new());
    operators.0.write("team.pub", std::fs::read(makers.0.path().join("team.pub")).unwrap());
    let reference = format!("{registry}/team/steer:0.1.0 --insecure-registry {registry}");
    let shown = operators.shunt(&format!("pack inspect {reference} --key team.pub")).good();
    for says in ["steer 0.1.0", "canary", "percent", "3 cases", "valid team.pub"] {
        assert!(shown.contains(says), "{says:?} is not in {shown}");
    }

    // They bind its slots, pin it, check it, and run it.
    let (old, new, listen) = (Origin::named("old"), Origin::named("new"), address::free());
    let configured = |percent: u8| {
        let head = format!(
            "[packs]\ncache = \"packs\"\ninsecure-registries = [{registry:?}]\n\n[[pack-policy]]\n\
             match = \"{registry}/team/*\"\nkeys = [\"team.pub\"]\n\n[process]\nworkers = 1\n\n"
        );
        let slots = "slots = { primary = \"web\", canary = \"next\" }\n";
        let rule = site::rule(
            "steer",
            Path::new(&format!("{registry}/team/steer:0")),
            &format!("{slots}settings = {{ percent = {percent} }}"),
        );
        let pools = site::pool("web", "", &[old.address()]) + &site::pool("next", "", &[new.address()]);
        [head, site::virtual_("shop", listen, "web", ""), rule, pools].concat()
    };
    operators.0.configure(&configured(0));
    let told = operators.shunt("pack lock --config shunt.toml").good();
    assert!(told.contains("steer 0.1.0"), "{told}");
    operators.shunt("check shunt.toml").good();
    let daemon = Daemon::start_in(operators.0);
    assert_eq!(Client::connect(listen).get("/").text(), "old");
    let load = Load::start(listen, 4);

    // They roll it out while clients are served.
    daemon.reload(&configured(100));
    assert_eq!(Client::connect(listen).get("/").text(), "new");
    assert_eq!(running(&daemon), ("0.1.0".to_owned(), "team.pub".into()));

    // The makers publish a version that asks for more.
    makers.edit("steer/pack.toml", |text| {
        let text = text.replace("version = \"0.1.0\"", "version = \"0.2.0\"");
        match text.split_once("[capabilities]\n") {
            Some((before, after)) => format!("{before}[capabilities]\nrandom = true\n{after}"),
            None => format!("{text}\n[capabilities]\nrandom = true\n"),
        }
    });
    publish(&makers, "0.2.0", &registry);

    // Nothing changes by itself. Pinned, the operators see what is new, and are stopped until they accept it.
    let config = daemon.folder().config();
    let lock = || program::run(&["pack", "lock", "--config", config.to_str().unwrap()]).good();
    daemon.shunt(&["reload"]).good();
    assert_eq!(running(&daemon).0, "0.1.0");
    let told = lock();
    assert!(told.contains("steer 0.2.0") && told.contains("may now get random numbers"), "{told}");
    let refused = daemon.shunt(&["reload"]).refused(1);
    assert!(
        refused.contains("steer 0.2.0 asks for more than steer 0.1.0, which runs here")
            && refused.contains("--accept-grants"),
        "{refused}"
    );
    assert_eq!(running(&daemon).0, "0.1.0");
    let told = daemon.shunt(&["reload", "--accept-grants"]).good();
    assert!(told.contains("may now shop/steer: get random numbers"), "{told}");
    assert_eq!(running(&daemon).0, "0.2.0");
    load.go_on(100);

    // And there is a way back, which is this host's own.
    daemon.shunt(&["rule", "rollback", "shop/steer"]).good();
    assert_eq!(running(&daemon).0, "0.1.0");
    let pinned = format!("{registry}/team/steer:0.1.0");
    let refused = daemon.shunt(&["rule", "load", "shop/steer", "--pack", &pinned]).refused(1);
    assert!(refused.contains("older than 0.2.0"), "{refused}");
    assert_eq!(Client::connect(listen).get("/").text(), "new");
    assert!(load.end() > 100, "and no request failed");
}
