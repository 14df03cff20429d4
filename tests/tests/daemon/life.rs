//! A daemon's life: start, what keeps it from starting, signals, the end.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use shunt_lab::needs;
use shunt_tests::daemon::{Daemon, Folder, Signal, until};
use shunt_tests::origin::{Origin, ok};
use shunt_tests::raw::Client;
use shunt_tests::{address, packs, program, root, site};

/// One virtual and one pool with one member.
fn config(listen: std::net::SocketAddr, member: std::net::SocketAddr) -> String {
    site::config(listen, "", &site::pool("web", "", &[member]))
}

#[test]
fn it_says_when_it_is_ready_and_ends_in_order() {
    let origin = Origin::named("web");
    let listen = address::free();
    let mut daemon = Daemon::start(&config(listen, origin.address()));
    let socket = daemon.folder().socket();
    assert_eq!(
        daemon.ready,
        format!("shunt 0.1.0 ready: 1 virtual, 1 pool, 1 worker, admin socket {}", socket.display())
    );
    assert_eq!(Client::connect(listen).get("/").text(), "web");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o7777, 0o600);

    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert!(!socket.exists(), "its socket goes with it");
    assert!(Client::try_connect(listen).is_err());
}

#[test]
fn sigterm_lets_what_is_under_way_finish() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.mark("asked");
        call.await_mark("answer")?;
        call.send(ok("whole"))
    });
    let listen = address::free();
    let mut daemon = Daemon::start(&config(listen, origin.address()));
    let mut client = Client::connect(listen);
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    origin.wait_mark("asked");

    daemon.signal(Signal::SIGTERM);
    daemon.wait_log("draining");
    until("the listener is closed", || Client::try_connect(listen).is_err());
    // It can be watched, and takes no changes.
    let status = daemon.status();
    assert_eq!((&status["draining"], &status["virtuals"][0]["open"]), (&true.into(), &1.into()));
    assert!(daemon.shunt(&["status"]).good().lines().next().unwrap().ends_with(", draining"));
    let member = origin.address().to_string();
    for words in [
        &["reload"][..],
        &["member", "drain", "web", &member],
        &["rule", "unload", "shop/main"],
        &["rule", "rollback", "shop/main"],
    ] {
        let refused = daemon.shunt(words).refused(1);
        assert!(
            refused.starts_with("error: this Shunt is draining and accepts no changes\nhelp: "),
            "{refused}"
        );
    }
    daemon.signal(Signal::SIGHUP);
    daemon.wait_log("Shunt ignores SIGHUP while it starts or ends");
    assert!(daemon.runs(), "it waits for the request");
    origin.tell("answer");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "whole"));
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert!(!daemon.folder().socket().exists(), "its socket goes with it");
}

#[test]
fn a_successor_takes_the_socket_over_from_one_that_drains() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.mark("asked");
        call.await_mark("answer")?;
        call.send(ok("whole"))
    });
    let listen = address::free();
    let text = config(listen, origin.address());
    let mut first = Daemon::start(&text);
    let mut client = Client::connect(listen);
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    origin.wait_mark("asked");
    first.signal(Signal::SIGTERM);
    until("the listener is closed", || Client::try_connect(listen).is_err());

    let socket = first.folder().socket();
    let folder = Folder::new();
    folder.configure(&format!("{text}\n[admin]\nsocket = \"{}\"\n", socket.display()));
    let second = Daemon::start_in(folder);
    let taken = format!("taking over the admin socket of a process that drains pid={}", first.pid());
    assert!(second.log().contains(&taken), "{}", second.log());
    origin.tell("answer");
    assert_eq!(client.answer().status(), 200);
    assert_eq!(first.wait().code(), Some(0), "{}", first.log());
    // The socket is the successor's, and stays.
    assert_eq!(first.status()["draining"], false);
}

#[test]
fn signals_that_mean_nothing_are_told_and_end_nothing() {
    let origin = Origin::named("web");
    let listen = address::free();
    let daemon = Daemon::start(&config(listen, origin.address()));
    for (signal, name) in [
        (Signal::SIGUSR1, "SIGUSR1"),
        (Signal::SIGUSR2, "SIGUSR2"),
        (Signal::SIGALRM, "SIGALRM"),
        (Signal::SIGIO, "SIGIO"),
        (Signal::SIGVTALRM, "SIGVTALRM"),
        (Signal::SIGPROF, "SIGPROF"),
        (Signal::SIGPWR, "SIGPWR"),
        (Signal::SIGSTKFLT, "SIGSTKFLT"),
    ] {
        daemon.signal(signal);
        daemon.wait_log(&format!("Shunt ignores {name}: SIGHUP reloads, SIGTERM ends"));
    }
    daemon.signal(Signal::SIGPIPE);
    assert_eq!(Client::connect(listen).get("/").text(), "web");
    assert_eq!(daemon.status()["epoch"], 1);
}

#[test]
fn the_socket_of_the_command_line_is_made_in_place_of_the_configured() {
    let folder = Folder::new();
    folder.configure(&config(address::free(), address::free()));
    let other = folder.path().join("other.sock");
    let daemon = Daemon::try_start_with(folder, |command| _ = command.arg("--socket").arg(&other)).unwrap();
    assert!(daemon.ready.ends_with(&format!("admin socket {}", other.display())), "{}", daemon.ready);
    assert!(!daemon.folder().socket().exists());
    program::ended(program::command().arg("--socket").arg(&other).arg("reload")).good();
}

#[test]
fn sighup_makes_a_socket_anew_that_is_gone() {
    let daemon = Daemon::start(&config(address::free(), address::free()));
    let socket = daemon.folder().socket();
    fs::remove_file(&socket).unwrap();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_log("the admin socket was gone and has been made again");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o7777, 0o600);
    until("it is reloaded", || daemon.status()["epoch"] == 2);
    // With its folder, too, as cleaners of /run do.
    daemon.signal(Signal::SIGHUP);
    until("it is reloaded", || daemon.status()["epoch"] == 3);
    assert_eq!(daemon.log().matches("has been made again").count(), 1, "one that is there stays");
}

#[test]
fn a_second_signal_ends_at_once() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.mark("asked");
        call.until_end();
        Ok(())
    });
    let listen = address::free();
    let mut daemon = Daemon::start(&config(listen, origin.address()));
    let mut client = Client::connect(listen);
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    origin.wait_mark("asked");
    daemon.signal(Signal::SIGTERM);
    daemon.wait_log("draining");
    daemon.signal(Signal::SIGINT);
    assert_eq!(daemon.wait().code(), Some(1), "what was cut is not a success");
}

#[test]
fn the_drain_time_is_a_limit() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.mark("asked");
        call.until_end();
        Ok(())
    });
    let listen = address::free();
    let text = config(listen, origin.address()).replace("20s", "100ms");
    let mut daemon = Daemon::start(&text);
    let mut client = Client::connect(listen);
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    origin.wait_mark("asked");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(daemon.log().contains("still open after `process.drain`"), "{}", daemon.log());
}

#[test]
fn sighup_reloads_or_changes_nothing() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let listen = address::free();
    let daemon = Daemon::start(&config(listen, blue.address()));
    daemon.folder().configure(&config(listen, green.address()).replace("pool = \"web\"", "pol = \"web\""));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_log("nothing was changed");
    assert!(daemon.log().contains("shunt.toml:10:1"), "{}", daemon.log());
    assert_eq!(Client::connect(listen).get("/").text(), "blue");

    daemon.folder().configure(&config(listen, green.address()));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_log("reloaded");
    assert_eq!(Client::connect(listen).get("/").text(), "green");
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let folder = Folder::new();
    drop(UnixListener::bind(folder.socket()).unwrap());
    folder.configure(&config(address::free(), address::free()));
    let daemon = Daemon::start_in(folder);
    assert!(UnixStream::connect(daemon.folder().socket()).is_ok());
    assert!(
        daemon.log().contains("replacing the admin socket of a process that has ended"),
        "{}",
        daemon.log()
    );
}

#[test]
fn killed_it_can_be_started_again() {
    let listen = address::free();
    let text = config(listen, address::free());
    let folder = Folder::new();
    folder.configure(&text);
    let socket = folder.socket();
    let mut first = Daemon::start_in(folder);
    first.signal(Signal::SIGKILL);
    first.wait();
    assert!(socket.exists());
    let folder = Folder::new();
    folder.configure(&format!("{text}\n[admin]\nsocket = \"{}\"\n", socket.display()));
    let second = Daemon::start_in(folder);
    assert!(second.ready.contains("ready"));
}

#[test]
fn a_second_daemon_takes_nothing_from_the_first() {
    let origin = Origin::named("first");
    let listen = address::free();
    let first = Daemon::start(&config(listen, origin.address()));
    let folder = Folder::new();
    let socket = first.folder().socket();
    folder.configure(&format!(
        "{}\n[admin]\nsocket = \"{}\"\n",
        config(address::free(), address::free()),
        socket.display()
    ));
    let refused = Daemon::try_start(folder).err().unwrap().refused(1);
    let says = format!(
        "error: another Shunt (process {}) serves on {}; end it first",
        first.pid(),
        socket.display()
    );
    assert!(refused.contains(&says), "{refused}");
    assert_eq!(first.status()["epoch"], 1);
    assert_eq!(Client::connect(listen).get("/").text(), "first");
}

#[test]
fn a_file_in_the_place_of_the_socket_is_kept() {
    let folder = Folder::new();
    let notes = folder.write("admin.sock", "mine");
    folder.configure(&config(address::free(), address::free()));
    let path = folder.path().to_owned();
    let refused = Daemon::try_start(folder).err().unwrap().refused(1);
    assert!(
        refused.contains(&format!("{}/admin.sock exists and is not a socket", path.display())),
        "{refused}"
    );
    drop(notes);
}

#[test]
fn a_port_in_use_is_named() {
    let listen = address::free();
    let holder = TcpListener::bind(listen).unwrap();
    let folder = Folder::new();
    folder.configure(&config(listen, address::free()));
    let socket = folder.socket();
    let refused = Daemon::try_start(folder).err().unwrap().refused(1);
    assert!(refused.contains("virtual web") && refused.contains(&listen.to_string()), "{refused}");
    assert!(refused.contains("in use"), "{refused}");
    assert!(refused.contains("Shunt does not start"), "{refused}");
    assert!(!socket.exists(), "nothing is left behind");
    drop(holder);
}

#[test]
fn two_daemons_do_not_share_a_port() {
    let origin = Origin::named("first");
    let listen = address::free();
    let _first = Daemon::start(&config(listen, origin.address()));
    let folder = Folder::new();
    folder.configure(&config(listen, address::free()));
    let refused = Daemon::try_start(folder).err().unwrap().refused(1);
    assert!(refused.contains("in use"), "{refused}");
    for _ in 0..8 {
        assert_eq!(Client::connect(listen).get("/").text(), "first");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = Folder::new();
    folder.write("file", "");
    let text = config(address::free(), address::free());
    folder.configure(&format!("{text}\n[admin]\nsocket = \"file/admin.sock\"\n"));
    let refused = Daemon::try_start(folder).err().unwrap().refused(1);
    assert!(refused.contains("cannot make the folder") && refused.contains("`admin.socket`"), "{refused}");
}

#[test]
fn a_full_disk_for_the_socket_is_told_and_nothing_is_lost() {
    if !needs::root("to mount a file system that is full") {
        return;
    }
    let folder = Folder::new();
    let full = root::FullFileSystem::mount(&folder.path().join("full"));
    let text = config(address::free(), address::free());
    let socket = full.path().join("admin.sock");
    folder.configure(&format!("{text}\n[admin]\nsocket = \"{}\"\n", socket.display()));
    let config = folder.config();
    let before = fs::read(&config).unwrap();
    let ended = program::ended(program::command().args(["run", "--config"]).arg(&config));
    let refused = ended.refused(1);
    assert!(
        refused.contains(&format!("cannot make the admin socket {}: No space left", socket.display())),
        "{refused}"
    );
    assert!(refused.contains("free some space there"), "{refused}");
    assert_eq!(fs::read(&config).unwrap(), before);

    // As soon as there is room it starts.
    full.make_room();
    let daemon = Daemon::start_in(folder);
    assert!(daemon.ready.contains("ready"));
    drop(daemon);
}

#[test]
fn another_user_is_not_let_in() {
    if !needs::root("to be another user") {
        return;
    }
    let daemon = Daemon::start(&config(address::free(), address::free()));
    let folder = daemon.folder().path();
    // As careless as it can be: everybody may open the folder and the socket.
    fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    let mut command = root::as_nobody(folder);
    command.arg("--socket").arg(daemon.folder().socket()).arg("status");
    let mut ask = || program::ended(&mut command);
    let refused = ask().refused(3);
    assert!(refused.contains("permission denied"), "{refused}");

    fs::set_permissions(daemon.folder().socket(), Permissions::from_mode(0o666)).unwrap();
    let refused = ask().refused(3);
    assert!(
        refused.contains("sent no response") && refused.contains("as the daemon's user or as root"),
        "{refused}"
    );
    daemon.wait_log("refused at the admin socket uid=65534");
}

#[test]
fn a_filter_of_the_log_that_is_none_is_wrong_usage() {
    let folder = Folder::new();
    folder.configure(&config(address::free(), address::free()));
    for (text, why) in [
        ("shunt=loud", "there is no level `loud`"),
        ("verbose", "there is no level `verbose`; did you mean `debug`?"),
        ("shnt=debug", "nothing logs under `shnt`; did you mean `shunt`?"),
    ] {
        let mut command = program::command();
        command.env("SHUNT_LOG", text).args(["run", "-c"]).arg(folder.config());
        let refused = program::ended(&mut command).refused(2);
        assert!(refused.starts_with(&format!("error: SHUNT_LOG={text}: {why}\n")), "{refused}");
        assert!(refused.contains("help: write a level (off, error, warn, info, debug, trace)"), "{refused}");
    }
}

#[test]
fn too_few_open_files_are_told() {
    let folder = Folder::new();
    folder.configure(&config(address::free(), address::free()));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -n 64; exec \"$0\" run --config \"$1\""])
        .arg(program::path())
        .arg(folder.config());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    let daemon = Daemon::try_start_as(folder, shell).unwrap();
    daemon.wait_log("the limit of open files is 64, and virtual web alone may have");
    assert!(daemon.log().contains("LimitNOFILE="), "{}", daemon.log());
}

#[test]
fn what_a_restart_would_change_is_shown() {
    let (origin, pack) = (Origin::named("web"), packs::guest("plain"));
    let folder = Folder::new();
    let rule = site::rule("main", &pack, "slots = { web = \"web\" }");
    let pools = site::pool("web", "", &[origin.address()]);
    folder.configure(&site::config(address::free(), "", &(rule + &pools)));
    let newer = packs::guest_version("plain", "1.0.1", &folder);
    let daemon = Daemon::start_in(folder);
    let differences = || {
        let status = daemon.status();
        let all = status["differences"].as_array().unwrap().iter();
        all.map(|it| format!("{} {}", it["what"].as_str().unwrap(), it["how"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(differences(), Vec::<String>::new());
    let member = origin.address().to_string();
    daemon.shunt(&["member", "drain", "web", &member]).good();
    daemon.shunt(&["rule", "load", "web/main", &newer.to_string_lossy()]).good();
    let rule = "web/main runs version 2 (plain 1.0.1), which is not the configured pack";
    let drained = format!("{member} in pool web is draining");
    assert_eq!(differences(), [rule, &drained]);
    let text = daemon.shunt(&["status"]).good();
    assert!(text.contains(&format!("a restart would change this:\n  {rule}\n  {drained}\n")), "{text}");

    daemon.shunt(&["rule", "rollback", "web/main"]).good();
    daemon.shunt(&["member", "enable", "web", &member]).good();
    let unloaded = daemon.shunt(&["rule", "unload", "web/main"]).good();
    assert!(
        unloaded.starts_with(
            "web/main is unloaded: requests of web go to pool web; what the rule refused is let through\n"
        ),
        "{unloaded}"
    );
    assert_eq!(differences(), ["web/main is unloaded, and the configuration has it"]);
    daemon.shunt(&["rule", "rollback", "web/main"]).good();
    let config = daemon.folder().config();
    fs::write(&config, fs::read_to_string(&config).unwrap() + "# more\n").unwrap();
    assert_eq!(differences(), [format!("{} has changed since it was read", config.display())]);
    daemon.shunt(&["reload"]).good();
    assert_eq!(differences(), Vec::<String>::new());
}
