//! Pack files through the command line: built, shown, compared, signed, verified and loaded; and what is refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::{address, packs, program, site, stored};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs `shunt pack` in a folder.
fn pack(folder: &Folder, arguments: &[&str]) -> program::Ended {
    program::ended(program::command().arg("pack").args(arguments).current_dir(folder.path()))
}

#[test]
fn a_pack_is_built_shown_signed_and_verified() {
    let folder = Folder::new();
    let file = packs::file("canary", &folder);
    let mut story = String::new();
    let mut tell = |arguments: &[&str]| {
        let ended = pack(&folder, arguments);
        let said = [ended.stdout, ended.stderr].concat();
        let shown = arguments.join(" ");
        story.push_str(&format!("$ shunt pack {shown}\n{}\n[{}]\n\n", said.trim_end(), ended.code.unwrap()));
    };
    for name in ["team", "team", "ops"] {
        tell(&["keygen", name]);
    }
    tell(&["inspect", "canary.pack.tar"]);
    tell(&["verify", "canary.pack.tar", "--key", "team.pub"]);
    tell(&["sign", "canary.pack.tar", "--key", "team.key"]);
    tell(&["sign", "canary.pack.tar", "--key", "team.key"]);
    tell(&["verify", "canary.pack.tar", "--key", "team.pub"]);
    tell(&["verify", "canary.pack.tar", "--key", "team.pub", "--key", "ops.pub"]);
    tell(&["verify", "canary.pack.tar", "--key", "team.pub", "--key", "ops.pub", "--threshold", "1"]);
    tell(&["verify", "canary.pack.tar", "--key", "team.pub", "--threshold", "2"]);
    tell(&["verify", "canary.pack.tar", "--key", "team.pub", "--key", "team.pub"]);
    tell(&["sign", "canary.pack.tar", "--key", "team.pub"]);
    tell(&["verify", "canary.pack.tar", "--key", "team.key"]);
    let shown = pack(&folder, &["inspect", "canary.pack.tar", "--key", "team.pub", "-o", "json"]).json();
    assert_eq!(shown["signatures"][0]["validity"], "valid");
    let facts = [&shown["digest"], &shown["component"]["digest"], &shown["signatures"][0]["key"]];
    let facts = facts.map(|fact| fact.as_str().unwrap().to_owned());
    let ops = pack(&folder, &["verify", "canary.pack.tar", "--key", "ops.pub"]).refused(1);
    let ops = ops.split("key sha256:").nth(1).unwrap()[..64].to_owned();
    let names = [
        (facts[0].as_str(), "PACK"),
        (&facts[1], "COMPONENT"),
        (&facts[2], "KEY-OF-TEAM"),
        (&format!("sha256:{ops}"), "KEY-OF-OPS"),
    ];
    stored::compare_tables("packs.txt", &story, &names);
    let mode = |name: &str| folder.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("team.key"), 0o600);

    // Built again it is the same, and keeps its signature.
    let signed = std::fs::read(&file).unwrap();
    packs::file("canary", &folder);
    assert_eq!(std::fs::read(&file).unwrap(), signed);
}

/// As ssh has it.
#[test]
fn a_secret_key_that_others_can_read_signs_nothing() {
    let folder = Folder::new();
    let file = packs::file("canary", &folder);
    pack(&folder, &["keygen", "team"]).good();
    let before = std::fs::read(&file).unwrap();
    let sign = |mode: u32| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path().join("team.key"), mode).unwrap();
        pack(&folder, &["sign", "canary.pack.tar", "--key", "team.key"])
    };
    for mode in [0o644, 0o640, 0o604] {
        let refused = sign(mode).refused(1);
        assert!(refused.contains(&format!("team.key has mode {mode:04o}, and others may know")), "{refused}");
        assert!(refused.contains("`chmod 0600 team.key`"), "{refused}");
        assert!(std::fs::read(&file).unwrap() == before);
    }
    sign(0o400).good();
}

/// Who runs Shunt may keep its configuration elsewhere, and link to it.
#[test]
fn a_lock_that_is_a_link_stays_one() {
    let folder = Folder::new();
    folder.configure(super::check::RIGHT);
    // Of a reference that the configuration had once.
    let entry = format!("reference = \"r.example/a:1\"\ndigest = \"sha256:{}\"\n", "0".repeat(64));
    let kept = folder.write("kept.lock", format!("[[pack]]\n{entry}name = \"a\"\nversion = \"1.0.0\"\n"));
    let link = folder.path().join("shunt.lock");
    std::os::unix::fs::symlink("kept.lock", &link).unwrap();
    let told = pack(&folder, &["lock", "--config", "shunt.toml"]).good();
    assert!(told.starts_with("- r.example/a:1"), "{told}");
    assert!(link.is_symlink() && !std::fs::read_to_string(kept).unwrap().contains("r.example"));
}

#[test]
fn other_folders_homes_and_modes_give_the_same_pack() {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap();
    let of_home =
        |name: &str, default: &str| std::env::var_os(name).map_or_else(|| home.join(default), PathBuf::from);
    let (cargo_home, rustup_home) = (of_home("CARGO_HOME", ".cargo"), of_home("RUSTUP_HOME", ".rustup"));
    let build = |at: &str, umask: &str, is_elsewhere: bool| {
        let folder = Folder::new();
        let place = folder.path().join(at);
        std::fs::create_dir_all(&place).unwrap();
        let run = |words: &[&str]| {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")]);
            command.arg(program::command().get_program());
            command.current_dir(&place).env("CARGO_TARGET_DIR", packs::root().join("target/guests"));
            if is_elsewhere {
                // What crates.io gave is there already; only where it stands is another place.
                let other = folder.path().join("home/.cargo");
                std::fs::create_dir_all(&other).unwrap();
                for name in ["registry", "config.toml"] {
                    let (there, here) = (cargo_home.join(name), other.join(name));
                    if there.exists() && !here.exists() {
                        std::os::unix::fs::symlink(there, here).unwrap();
                    }
                }
                command.env("HOME", folder.path().join("home")).env("CARGO_HOME", other);
                command.env("RUSTUP_HOME", &rustup_home);
            }
            program::ended(command.args(words).args(["-o", "json"])).json()
        };
        run(&["rule", "new", "steer"]);
        let built = run(&["pack", "build", "steer"]);
        assert_eq!(built["file"], "steer/dist/steer-0.1.0.pack.tar");
        std::fs::read(place.join("steer/dist/steer-0.1.0.pack.tar")).unwrap()
    };
    let one = build(".", "022", false);
    assert!(one == build("further/down", "077", false), "the files differ by folder");
    assert!(one == build("home/of/another", "077", true), "the files differ by home");
}

#[test]
fn openssl_and_tar_read_what_is_signed() {
    let folder = Folder::new();
    let file = packs::file("canary", &folder);
    pack(&folder, &["keygen", "team"]).good();
    pack(&folder, &["sign", text(&file), "--key", "team.key"]).good();
    let shown = pack(&folder, &["inspect", text(&file), "-o", "json"]).json();
    let (digest, key) = (shown["digest"].as_str().unwrap(), shown["signatures"][0]["key"].as_str().unwrap());
    let sh = |script: &str| {
        let mut command = std::process::Command::new("sh");
        program::ended(command.args(["-ec", script]).current_dir(folder.path())).good()
    };
    sh("tar xf canary.pack.tar");
    assert_eq!(sh("cd blobs/sha256 && for blob in *; do echo $blob $blob; done | sha256sum -c --quiet"), "");
    let id = sh("openssl pkey -pubin -in team.pub -outform DER | sha256sum");
    assert_eq!(format!("sha256:{}", id.split(' ').next().unwrap()), key);
    sh(&format!("printf 'shunt pack signature v1\\n%s\\n' {digest} > statement"));
    let index: Value = serde_json::from_str(&sh("cat index.json")).unwrap();
    let blob = |digest: &Value| {
        let path = digest.as_str().unwrap().replace("sha256:", "blobs/sha256/");
        serde_json::from_str::<Value>(&std::fs::read_to_string(folder.path().join(path)).unwrap()).unwrap()
    };
    let manifest = blob(&index["manifests"][2]["digest"]);
    assert_eq!(manifest["subject"]["digest"], digest);
    let document = blob(&manifest["layers"][0]["digest"]);
    folder.write("signature", document["signature"].as_str().unwrap());
    sh("base64 -d signature > signature.bin");
    let told =
        sh("openssl pkeyutl -verify -pubin -inkey team.pub -rawin -in statement -sigfile signature.bin");
    assert!(told.contains("Signature Verified Successfully"), "{told}");
}

#[test]
fn packs_are_compared_as_by_diff() {
    let folder = Folder::new();
    let file = packs::file("canary", &folder);
    let same = pack(&folder, &["diff", text(&file), text(&file)]);
    assert_eq!((same.code, same.stdout.as_str(), same.stderr.as_str()), (Some(0), "", ""));
    let other = pack(&folder, &["diff", text(&file), "builtin:headers"]);
    assert_eq!((other.code, other.stderr.as_str()), (Some(1), ""));
    for line in [
        "~ name: canary -> headers\n",
        "+ hook on-response\n",
        "+ may random: get random numbers\n",
        "- slot canary: the new version\n",
        "- setting percent: integer, 0 to 255, required\n",
        "~ code\n",
        "\nthe new one asks for more:\n",
        "\n  change all fields of responses but credentials\n",
    ] {
        assert!(other.stdout.contains(line), "{line:?} is not in {}", other.stdout);
    }
    let json = pack(&folder, &["diff", text(&file), "builtin:headers", "-o", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["differ"], &json["old"]["name"]), (&json!(true), &json!("canary")));
    assert_eq!(json["asks-for-more"][0], "get random numbers");
    pack(&folder, &["diff", text(&file), "gone.pack.tar"]).refused(2);
}

#[test]
fn a_daemon_takes_a_pack_file_and_refuses_a_changed_one() {
    let folder = Folder::new();
    let file = packs::file("maintenance", &folder);
    let listen = address::free();
    let origin = Origin::named("web");
    let config = |pack: &Path| {
        [
            &site::virtual_("shop", listen, "web", "")[..],
            &site::rule("main", pack, ""),
            &site::pool("web", "", &[origin.address()]),
        ]
        .concat()
    };
    let daemon = Daemon::start(&config(&file));
    assert_eq!(Client::connect(listen).get("/").status(), 503);
    daemon.shunt(&["rule", "load", "shop/main", text(&file)]).good();
    let mut bytes = std::fs::read(&file).unwrap();
    let component = bytes.windows(4).position(|part| part == b"\0asm").unwrap();
    bytes[component + 100] ^= 1;
    let changed = folder.write("changed.pack.tar", bytes);
    let refused = daemon.shunt(&["rule", "load", "shop/main", text(&changed)]).refused(1);
    assert!(refused.contains("are not those of this digest"), "{refused}");
    daemon.folder().configure(&config(&changed));
    let refused = daemon.shunt(&["reload"]).refused(1);
    assert!(refused.contains("are not those of this digest"), "{refused}");
    let toml = folder.write("site.toml", config(&changed));
    let refused = program::run(&["check", text(&toml)]).refused(1);
    assert!(refused.contains("get the pack from its author again"), "{refused}");
    assert_eq!(Client::connect(listen).get("/").status(), 503, "the one that ran runs on");
}

/// A file that would unpack to a thousand times its size is not unpacked, and nothing is left of it.
#[test]
fn what_is_compressed_is_refused() {
    let folder = Folder::new();
    let (good, bomb) = (packs::file("maintenance", &folder), packs::bomb(&folder));
    pack(&folder, &["keygen", "team"]).good();
    let listen = address::free();
    let config = |pack: &Path| {
        let pool = site::pool("web", "", &[address::free()]);
        [&site::virtual_("shop", listen, "web", "")[..], &site::rule("main", pack, ""), &pool].concat()
    };
    let daemon = Daemon::start(&config(&good));
    let toml = folder.write("site.toml", config(&bomb));
    let files = |folder: &Folder| std::fs::read_dir(folder.path()).unwrap().count();
    let before = (files(&folder), files(daemon.folder()), peak_kib(&daemon));

    let file = text(&bomb);
    let told = |what: &str, said: &str| {
        let says = "is compressed by gzip, and packs are not compressed; unpack it by `gunzip`";
        assert!(said.contains(says), "{what}: {said}");
    };
    for command in [
        &["inspect", file][..],
        &["verify", file, "--key", "team.pub"],
        &["sign", file, "--key", "team.key"],
        &["diff", text(&good), file],
        &["push", file, "registry.invalid/team/x"],
    ] {
        let code = if command[0] == "diff" { 2 } else { 1 };
        told(command[0], &pack(&folder, command).refused(code));
    }
    told("check", &program::run(&["check", text(&toml)]).refused(1));
    told("load", &daemon.shunt(&["rule", "load", "shop/main", file]).refused(1));
    let sent = daemon.ask("PUT", "/v1/rules/shop/main", "application/wasm", &std::fs::read(&bomb).unwrap());
    assert_eq!(sent.status(), 422);
    told("sent", &sent.text());
    daemon.folder().configure(&config(&bomb));
    told("reload", &daemon.shunt(&["reload"]).refused(1));

    let peak = peak_kib(&daemon);
    assert!(peak < before.2 + (64 << 10), "the daemon took {} KiB, and {peak} KiB", before.2);
    assert_eq!((files(&folder), files(daemon.folder())), (before.0, before.1));
    assert_eq!(Client::connect(listen).get("/").status(), 503, "the one that ran runs on");
}

/// The most memory that it had (proc_pid_status: VmHWM).
fn peak_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn what_cannot_be_signed_says_why() {
    let folder = Folder::new();
    pack(&folder, &["keygen", "team"]).good();
    std::fs::copy(packs::guest("plain"), folder.path().join("plain.wasm")).unwrap();
    let refused = pack(&folder, &["sign", "plain.wasm", "--key", "team.key"]).refused(1);
    assert!(refused.contains("is no pack file") && refused.contains("shunt pack build"), "{refused}");
    let refused = pack(&folder, &["inspect", "plain.wasm", "--key", "gone.pub"]).refused(1);
    assert!(refused.contains("cannot read gone.pub"), "{refused}");
    let refused = pack(&folder, &["verify", "plain.wasm", "--socket", "x", "--key", "team.pub"]).refused(2);
    assert!(refused.contains("`shunt pack verify` does not use the daemon"), "{refused}");
    let shown = pack(&folder, &["inspect", "plain.wasm", "-o", "json"]).json();
    assert_eq!((&shown["digest"], &shown["signatures"]), (&Value::Null, &json!([])));
}
