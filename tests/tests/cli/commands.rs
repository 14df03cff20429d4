//! What the commands print, and what they end with.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::{address, program, site, stored};

#[test]
fn help_is_as_stored() {
    let mut text = String::new();
    for words in [
        &["--help"][..],
        &["run", "--help"],
        &["rule", "--help"],
        &["rule", "load", "--help"],
        &["member", "--help"],
    ] {
        text.push_str(&format!("$ shunt {}\n{}\n", words.join(" "), program::run(words).good()));
    }
    // What clap leaves at the end of lines says nothing.
    let text = text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>();
    stored::compare("help.txt", &text, &[]);
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    for words in [
        &[][..],
        &["reboot"],
        &["rule", "load"],
        &["rule", "load", "no-slash", "pack"],
        &["member", "drain", "web", "10.0.0.1"],
        &["status", "-o", "xml"],
    ] {
        program::run(words).refused(2);
    }
    let text = program::run(&["check", "--config", "c.toml"]).refused(2);
    assert!(
        text.contains("help: `shunt check` takes the path of a configuration without an option"),
        "{text}"
    );
    let text = program::run(&["rule", "load", "shop/canary", "nope"]).refused(1);
    assert!(text.contains("help: name the folder of a pack that was built"), "{text}");
    let text = program::run(&["rule", "rollback", "shop"]).refused(2);
    assert!(text.contains("write VIRTUAL/RULE, as `shunt rule list` shows it"), "{text}");
    for (words, help) in [
        (
            &["member", "drain", "web", "10.0.0.1"][..],
            "help: write an address and a port, such as 10.0.0.1:80",
        ),
        (&["flow", "list", "--member", "10.0.0.1"], "help: write an address and a port, such as 10.0.0.1:80"),
        (&["flow", "show", "first"], "help: write the id as `shunt flow list` shows it"),
        (&["flow", "delete", "first"], "help: write the id as `shunt flow list` shows it"),
    ] {
        let text = program::run(words).refused(2);
        assert!(text.contains(help), "{words:?}: {text}");
    }
}

#[test]
fn wrong_usage_is_json_where_json_is_asked_for() {
    for (words, message) in [
        (&["-o", "json"][..], "a command is missing"),
        (&["reboot", "-o", "json"], "unrecognized subcommand 'reboot'"),
        (&["rule", "rollback", "shop", "--output=json"], "invalid value 'shop' for '<VIRTUAL/RULE>'"),
        (&["explain", "tcp", "-o", "json"], "a packet is given as PROTOCOL SOURCE DESTINATION"),
        (
            &["check", "--socket", "x", "-ojson"],
            "`shunt check` does not use the daemon, so it has no `--socket`",
        ),
    ] {
        let ended = program::run(words);
        assert_eq!(ended.stdout, "", "{words:?}");
        let refused: serde_json::Value = serde_json::from_str(&ended.refused(2)).unwrap();
        assert_eq!(refused["error"]["kind"], "usage");
        let told = refused["error"]["message"].as_str().unwrap();
        assert!(told.starts_with(message), "{told}");
        let help = refused["error"]["help"].as_str().unwrap();
        assert!(!help.contains('\n'), "one sentence: {help}");
    }
    // Help and the version are no refusals.
    assert!(program::run(&["--version", "-o", "json"]).good().starts_with("shunt "));
}

#[test]
fn the_socket_is_named_by_the_option_the_environment_or_the_default() {
    let daemon =
        Daemon::start(&site::config(address::free(), "", &site::pool("web", "", &[address::free()])));
    let socket = daemon.folder().socket();
    let status = |change: &dyn Fn(&mut Command)| {
        let mut command = program::command();
        command.arg("status");
        change(&mut command);
        program::ended(&mut command)
    };
    let named = |it: &mut Command, path: &Path| _ = it.env("SHUNT_SOCKET", path);
    status(&|it| named(it, &socket)).good();
    status(&|it| {
        named(it, Path::new("/nowhere"));
        it.arg("--socket").arg(&socket);
    })
    .good();
    let refused = status(&|it| named(it, Path::new("/nowhere/admin.sock"))).refused(3);
    assert!(refused.contains("/nowhere/admin.sock"), "{refused}");
}

#[test]
fn no_daemon_is_said_to_be_none() {
    let folder = Folder::new();
    let path = folder.path().display().to_string();
    let socket = folder.socket();
    let ask = |words: &[&str]| program::ended(program::command().arg("--socket").arg(&socket).args(words));
    let mut text = ask(&["status"]).refused(3);
    // Left behind by one that was killed.
    drop(UnixListener::bind(&socket).unwrap());
    text.push_str(&ask(&["reload"]).refused(3));
    text.push_str(&ask(&["rule", "list", "-o", "json"]).refused(3));
    stored::compare("no-daemon.txt", &text, &[(&path, "FOLDER")]);
}

#[test]
fn what_is_no_shunt_is_found_out() {
    let folder = Folder::new();
    let listener = UnixListener::bind(folder.socket()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let mut held = [0; 1024];
            assert!(stream.read(&mut held).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        });
        let ended = program::ended(program::command().arg("--socket").arg(folder.socket()).arg("status"));
        let text = ended.refused(1);
        assert!(text.contains("cannot read the response of"), "{text}");
    });
}

#[test]
fn tables_of_what_runs() {
    let origin = Origin::named("web");
    let (listen, member, down) = (address::free(), origin.address(), address::free());
    let daemon = Daemon::start(&format!(
        "[process]\nworkers = 2\n\n[[virtual]]\nname = \"shop\"\nlisten = \"{listen}\"\nprotocol = \"http\"\n\
         pool = \"web\"\n\n[[pool]]\nname = \"web\"\nbalance = \"least-connections\"\n\
         members = [{{ address = \"{member}\", weight = 2 }}]\n\n\
         [[pool]]\nname = \"spare\"\nmembers = [{{ address = \"{down}\" }}]\n\
         monitor = {{ tcp = true, interval = \"20ms\" }}\n"
    ));
    daemon.wait_log("member down");
    assert_eq!(Client::connect(listen).get("/").text(), "web");
    let (listen, member, down) = (listen.to_string(), member.to_string(), down.to_string());
    let mut text = String::new();
    let mut tell = |words: &[&str]| {
        let ended = daemon.shunt(words);
        let said = [ended.stdout, ended.stderr].concat();
        text.push_str(&format!(
            "$ shunt {}\n{}\n[{}]\n\n",
            words.join(" "),
            said.trim_end(),
            ended.code.unwrap()
        ));
    };
    tell(&["pool", "list"]);
    tell(&["rule", "list"]);
    tell(&["member", "drain", "web", &member]);
    tell(&["member", "disable", "spare", &down]);
    tell(&["pool", "list"]);
    tell(&["member", "enable", "web", &member]);
    tell(&["member", "enable", "web", "192.0.2.1:80"]);
    tell(&["member", "enable", "wbe", &member]);
    tell(&["rule", "unload", "shop/none"]);
    let status = daemon.shunt(&["status"]).good();
    let (first, tables) = status.split_once('\n').unwrap();
    assert!(first.starts_with("shunt 0.1.0, up ") && first.ends_with("s, 2 workers, epoch 1"), "{first}");
    text.push_str(&format!("$ shunt status\n{tables}"));
    stored::compare_tables("tables.txt", &text, &[(&listen, "LISTEN"), (&member, "MEMBER"), (&down, "DOWN")]);
}

#[test]
fn json_is_what_the_admin_interface_sends() {
    let daemon = Daemon::start(&format!(
        "[[virtual]]\nname = \"shop\"\nlisten = \"{}\"\nprotocol = \"http\"\n",
        address::free()
    ));
    let status = daemon.shunt(&["-o", "json", "status"]).json();
    assert_eq!(status["virtuals"][0]["name"], "shop");
    assert_eq!(daemon.shunt(&["pool", "list", "-o", "json"]).json(), serde_json::json!({ "pools": [] }));
    assert_eq!(daemon.shunt(&["pool", "list"]).good(), "no pools\n");
    let refused = daemon.shunt(&["member", "drain", "web", "192.0.2.1:80", "-o", "json"]).refused(1);
    let refused: serde_json::Value = serde_json::from_str(&refused).unwrap();
    assert_eq!(refused["error"]["kind"], "not-found");
}

#[test]
fn a_pipe_that_is_closed_is_no_trouble() {
    let mut child = program::command().arg("--help").stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().code().is_some(), "no signal, no panic");
}

#[test]
fn the_smallest_rule_stays_small() {
    let bytes = std::fs::metadata(shunt_tests::packs::guest("plain")).unwrap().len();
    assert!(bytes <= 14_000, "{bytes} bytes of a rule that does next to nothing");
}

#[test]
fn a_new_pack_builds_and_passes_its_cases() {
    let folder = Folder::new();
    let run = |words: &[&str]| {
        let mut command = program::command();
        command.current_dir(folder.path());
        command.env("CARGO_TARGET_DIR", shunt_tests::packs::root().join("target/guests"));
        program::ended(command.args(words))
    };
    let text = run(&["rule", "new", "my-rule"]).good();
    assert!(text.ends_with("next: shunt rule test my-rule\n"), "{text}");
    assert!(text.contains("the SDK: its sources, in vendor/sdk: "), "{text}");
    let named = run(&["rule", "new", "named", "--sdk", "https://example.org/shunt", "-o", "json"]).json();
    assert_eq!(named["sdk"], "git");
    let refused = run(&["rule", "new", "other", "--sdk", "my-rule"]).refused(1);
    assert!(refused.contains("my-rule has no shunt-sdk"), "{refused}");
    let text = run(&["rule", "test", "my-rule"]).good();
    assert!(text.ends_with("passed, 0 failed\n") && text.starts_with("ok  "), "{text}");
    assert!(folder.path().join("my-rule/dist/my-rule.wasm").is_file());
    let built = run(&["rule", "build", "my-rule", "-o", "json"]).json();
    assert_eq!((&built["name"], &built["file"]), (&"my-rule".into(), &"my-rule/dist/my-rule.wasm".into()));
    let bytes = built["bytes"].as_u64().unwrap();
    assert!(bytes <= 20_480, "{bytes} bytes of a rule with a setting and a message");

    // For the machine itself, as editors build it.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline"]).current_dir(folder.path().join("my-rule"));
    cargo.env("CARGO_TARGET_DIR", shunt_tests::packs::root().join("target/guests"));
    let built = cargo.output().unwrap();
    assert!(built.status.success() && built.stderr.is_empty(), "{}", String::from_utf8_lossy(&built.stderr));

    let refused = run(&["rule", "new", "my-rule"]).refused(1);
    assert!(refused.contains("exists already"), "{refused}");
    let refused = run(&["rule", "new", "My_Rule"]).refused(1);
    assert!(refused.contains("is not a name for a pack"), "{refused}");
    let refused = run(&["rule", "build", "none"]).refused(1);
    assert!(refused.contains("pack.toml"), "{refused}");

    // A case that expects something else, and a rule that does not compile.
    let cases = folder.path().join("my-rule/cases/canary.toml");
    let wrong = std::fs::read_to_string(&cases).unwrap().replace("pool = \"primary\"", "pool = \"canary\"");
    std::fs::write(&cases, wrong).unwrap();
    let ended = run(&["rule", "test", "my-rule"]);
    assert!(ended.stdout.contains("no  my-rule/cases/canary.toml:3: "), "{}", ended.stdout);
    assert!(ended.stdout.contains("expected") && ended.stdout.contains(", 1 failed\n"), "{}", ended.stdout);
    assert!(ended.refused(1).contains("error: 1 case failed"));

    let source = folder.path().join("my-rule/src/lib.rs");
    let good = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, good.replace("to_pool(\"canary\")", "to_pool(\"canry\")")).unwrap();
    let refused = run(&["rule", "build", "my-rule"]).refused(1);
    let wrong = ": pack.toml declares no slot \"canry\"; did you mean \"canary\"?";
    assert!(refused.contains("src/lib.rs:"), "{refused}");
    assert!(refused.contains(wrong), "{refused}");
    std::fs::write(&source, &good).unwrap();

    let manifest = folder.path().join("my-rule/Cargo.toml");
    let cargo = std::fs::read_to_string(&manifest).unwrap();
    let gone = cargo.replace("[dependencies]", "[dependencies]\ngone = { path = \"gone\" }");
    std::fs::write(&manifest, gone).unwrap();
    let refused = run(&["rule", "build", "my-rule"]).refused(1);
    assert!(refused.contains("error: cannot fetch the dependencies of the rule"), "{refused}");
    std::fs::write(&manifest, cargo).unwrap();

    std::fs::write(&source, "fn rule( {").unwrap();
    let refused = run(&["rule", "build", "my-rule"]).refused(1);
    assert!(
        refused.contains("src/lib.rs:1") && refused.contains("error: the rule does not compile"),
        "{refused}"
    );
}

/// With messages on the screen, where Shunt does not see them.
#[test]
fn a_compiler_without_the_target_of_rules_says_what_to_add() {
    let folder = Folder::new();
    let said = program::ended(Command::new("rustc").args(["--print", "sysroot"])).good();
    let (real, bare) = (Path::new(said.trim_end()), folder.path().join("sysroot"));
    let libraries = bare.join("lib/rustlib");
    std::fs::create_dir_all(&libraries).unwrap();
    for entry in std::fs::read_dir(real.join("lib/rustlib")).unwrap().map(Result::unwrap) {
        if entry.file_name() != "wasm32-unknown-unknown" {
            std::os::unix::fs::symlink(entry.path(), libraries.join(entry.file_name())).unwrap();
        }
    }
    let script = format!("#!/bin/sh\nexec {:?} --sysroot {:?} \"$@\"\n", real.join("bin/rustc"), bare);
    let rustc = folder.write("rustc", script);
    std::fs::set_permissions(&rustc, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = |words: &[&str]| {
        let mut command = program::command();
        command.env("RUSTC", &rustc).env("CARGO_TARGET_DIR", folder.path().join("target"));
        program::ended(command.args(words).current_dir(folder.path()))
    };
    run(&["rule", "new", "far"]).good();
    let refused = run(&["rule", "build", "far"]).refused(1);
    assert!(refused.contains("run `rustup target add wasm32-unknown-unknown`"), "{refused}");
}
