//! Packet virtuals in a configuration: what `shunt check` says of them, without privileges and without
//! an interface of that name.

use shunt_tests::daemon::Folder;
use shunt_tests::program::{self, Ended};
use shunt_tests::{packs, stored};

fn check(folder: &Folder) -> Ended {
    program::ended(program::command().arg("check").arg(folder.config()))
}

/// One of each kind, of which the packet virtual has this rule.
fn configure(folder: &Folder, rule: &str) {
    folder.configure(&format!(
        "[[virtual]]\nname = \"resolvers\"\nlisten = \"203.0.113.53:53\"\nprotocol = \"packet\"\n\
         transport = \"any\"\ninterfaces = [\"eth0\"]\npool = \"resolvers\"\n{rule}\n\
         [[virtual]]\nname = \"web\"\nlisten = \"127.0.0.1:8080\"\nprotocol = \"http\"\npool = \"resolvers\"\n\n\
         [[pool]]\nname = \"resolvers\"\nmembers = [{{ address = \"10.0.0.1:53\" }}]\n\n\
         [[snat-pool]]\nname = \"leased\"\naddresses = [\"10.10.1.1-10.10.1.4\"]\n"
    ));
}

fn rule(pack: &str, rest: &str) -> String {
    let pack = packs::guest(pack);
    format!("[[virtual.rule]]\nname = \"r\"\npack = \"{}\"\n{rest}\n", pack.display())
}

#[test]
fn both_kinds_are_counted() {
    let folder = Folder::new();
    configure(&folder, "");
    let told = check(&folder).good();
    assert!(told.contains("nothing uses SNAT pool `leased`"), "{told}");
    assert!(told.ends_with("is right: 2 virtuals, 1 pool, 0 rules; 1 warning\n"), "{told}");
}

#[test]
fn a_slot_stands_for_a_snat_pool() {
    let folder = Folder::new();
    let slots = "slots = { main = \"resolvers\", other = \"resolvers\", out = \"leased\" }";
    configure(&folder, &rule("packets", slots));
    assert!(check(&folder).good().contains("1 rule"));
    configure(&folder, &rule("packets", "slots = { main = \"resolvers\", other = \"resolvers\" }"));
    let refused = check(&folder).refused(1);
    assert!(refused.contains("slot \"out\" (the SNAT pool) is not bound to a SNAT pool"), "{refused}");
}

#[test]
fn hooks_that_packets_never_fire_are_refused() {
    let folder = Folder::new();
    configure(&folder, &rule("steer", "slots = { primary = \"resolvers\", canary = \"resolvers\" }"));
    let refused = check(&folder).refused(1);
    assert!(refused.contains("the rule exports on-request, which its virtual never calls"), "{refused}");
}

#[test]
fn what_does_not_fit_is_told_at_both_places() {
    let folder = Folder::new();
    folder.configure(
        "[[virtual]]\nname = \"resolvers\"\nlisten = \"203.0.113.53:53\"\nprotocol = \"packet\"\n\
         interfaces = [\"eth0\"]\nmode = \"l2dsr\"\npool = \"resolvers\"\n\n\
         [[virtual]]\nname = \"out\"\nlisten = \"203.0.113.54:53\"\nprotocol = \"packet\"\n\
         interfaces = [\"eth0\"]\nmode = \"snat\"\npool = \"resolvers\"\n\n\
         [[pool]]\nname = \"resolvers\"\nmembers = [{ address = \"10.0.0.1:5353\" }]\n",
    );
    let path = folder.path().display().to_string();
    stored::compare("packet-config.txt", &check(&folder).refused(1), &[(&path, "FOLDER")]);
}
