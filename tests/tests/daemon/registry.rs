//! A registry that does not answer: what waits for it says so, and ends when the daemon does.

use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;

use shunt_tests::daemon::{Daemon, Folder, Signal};
use shunt_tests::origin::Origin;
use shunt_tests::{address, program, site};

/// A daemon, and its configuration with a rule of a registry that accepts connections and says nothing.
struct Hanging {
    daemon: Daemon,
    _origin: Origin,
    accepted: mpsc::Receiver<std::net::TcpStream>,
    reference: String,
}

impl Hanging {
    fn new() -> Hanging {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let registry = listener.local_addr().unwrap();
        let (kept, accepted) = mpsc::channel();
        // Until the test ends: a connection that is dropped is an answer.
        std::thread::spawn(move || listener.incoming().flatten().try_for_each(|it| kept.send(it)));
        let origin = Origin::named("web");
        let reference = format!("{registry}/team/steer@sha256:{}", "0".repeat(64));
        let head = format!(
            "[packs]\ncache = \"packs\"\ninsecure-registries = [\"{registry}\"]\n\n[[pack-policy]]\nmatch = \"*\"\n\
             unsigned = true\n\n[process]\nworkers = 1\n\n"
        );
        let with = |pack: &str| {
            let rule = site::rule("main", Path::new(pack), "");
            let pool = site::pool("web", "", &[origin.address()]);
            [&head, &site::virtual_("shop", address::free(), "web", ""), &rule, &pool]
                .map(String::as_str)
                .concat()
        };
        let folder = Folder::new();
        folder.configure(&with("builtin:maintenance"));
        let daemon = Daemon::start_in(folder);
        daemon.folder().configure(&with(&reference));
        Hanging { daemon, _origin: origin, accepted, reference }
    }
}

#[test]
fn a_reload_by_a_signal_waits_for_a_registry_and_not_beyond_the_end() {
    let mut hanging = Hanging::new();
    hanging.daemon.signal(Signal::SIGHUP);
    let _connection = hanging.accepted.recv().unwrap();
    hanging.daemon.wait_log("getting a pack from its registry");
    hanging.daemon.signal(Signal::SIGTERM);
    assert_eq!(hanging.daemon.wait().code(), Some(0));
    let log = hanging.daemon.log();
    assert!(log.contains(&hanging.reference), "{log}");
    assert!(
        log.contains("the reload by SIGHUP is refused") && log.contains("this Shunt is draining"),
        "{log}"
    );
}

#[test]
fn a_command_that_waits_for_a_registry_is_told_that_the_daemon_ends() {
    let mut hanging = Hanging::new();
    let socket = hanging.daemon.folder().socket();
    let commands = [
        vec!["reload".to_owned()],
        ["rule", "load", "shop/main", "--pack", &hanging.reference].map(str::to_owned).to_vec(),
    ];
    let waiting = commands.map(|words| {
        let socket = socket.clone();
        std::thread::spawn(move || program::ended(program::command().arg("--socket").arg(socket).args(words)))
    });
    let _connections = [(); 2].map(|()| hanging.accepted.recv().unwrap());
    hanging.daemon.signal(Signal::SIGTERM);
    for waiting in waiting {
        let refused = waiting.join().unwrap().refused(1);
        assert!(refused.contains("this Shunt is draining and accepts no changes"), "{refused}");
    }
    assert_eq!(hanging.daemon.wait().code(), Some(0));
}
