//! What can be in the way of a reload, each by its real cause: it is refused as a whole, says what to do, and leaves
//! everything as it was.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Command, Stdio};

use shunt_lab::{Host, Lab, needs};
use shunt_tests::daemon::{Daemon, Folder, until};
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::{address, packs, program, root, site};

/// How often each reload is tried: what one leaves behind is little, and files come and go with connections.
const ROUNDS: usize = 4;

/// Of `nobody`; the kernel's overflow user.
const NOBODY: u32 = 65_534;

/// A daemon that serves.
struct Serving {
    daemon: Daemon,
    listen: SocketAddr,
    good: String,
    /// Where it runs, if not where the test does.
    host: Option<Host>,
    origin: Option<Origin>,
}

impl Serving {
    fn start() -> Serving {
        Serving::by(None, Daemon::start_in)
    }

    fn by(host: Option<Host>, start: impl FnOnce(Folder) -> Daemon + Send) -> Serving {
        let (folder, listen) = (Folder::new(), address::free());
        let begin = || {
            let origin = Origin::named("web");
            let good = site::config(listen, "", &site::pool("web", "", &[origin.address()]));
            folder.configure(&good);
            (start(folder), good, origin)
        };
        let (daemon, good, origin) = within(host.as_ref(), begin);
        Serving { daemon, listen, good, host, origin: Some(origin) }
    }

    /// Reloads what has more virtuals: one that could be had, and these. Gives what was said of them.
    #[track_caller]
    fn refuses(&self, more: &str) -> String {
        let free = address::free();
        let listener = site::virtual_("free", free, "web", "");
        self.daemon.folder().configure(&[&self.good, &listener, more].concat());
        let text = || within(self.host.as_ref(), || Client::connect(self.listen).get("/").text());
        assert_eq!(text(), "web");
        let open = self.open_files();
        let mut said = String::new();
        for _ in 0..ROUNDS {
            said = self.daemon.shunt(&["reload"]).refused(1);
        }
        let status = self.daemon.status();
        assert_eq!(status["epoch"], 1, "{said}");
        assert_eq!(status["virtuals"].as_array().map(Vec::len), Some(1), "{said}");
        assert_eq!(text(), "web", "{said}");
        let refused = within(self.host.as_ref(), || Client::try_connect(free).is_err());
        assert!(refused, "the listener that could be had is open:\n{said}");
        until("what was made is closed", || self.open_files() < open + ROUNDS);
        said
    }

    fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.daemon.pid())).unwrap().count()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It ends by a connection to itself.
        let origin = self.origin.take();
        within(self.host.as_ref(), || drop(origin));
    }
}

fn within<T: Send>(host: Option<&Host>, work: impl FnOnce() -> T + Send) -> T {
    match host {
        Some(host) => host.within(work).unwrap(),
        None => work(),
    }
}

/// A virtual with this rule.
fn ruled(pack: &std::path::Path, keys: &str) -> String {
    site::virtual_("ruled", address::free(), "web", "") + &site::rule("main", pack, keys)
}

#[test]
fn an_address_that_the_host_does_not_have() {
    let serving = Serving::start();
    // From a range for documentation (RFC 5737).
    let said = serving.refuses(&site::virtual_("far", "192.0.2.1:17000".parse().unwrap(), "web", ""));
    assert!(said.contains("virtual far: cannot listen on 192.0.2.1:17000"), "{said}");
    assert!(said.contains("`ip address` lists the addresses"), "{said}");
}

#[test]
fn more_listeners_than_files_may_be_open() {
    let serving = Serving::by(None, |folder| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 64; exec \"$0\" run --config \"$1\""]);
        shell.arg(program::path()).arg(folder.config());
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Daemon::try_start_as(folder, shell).unwrap()
    });
    let more = |number| site::virtual_(&format!("more-{number}"), address::free(), "web", "");
    let said = serving.refuses(&(0..100).map(more).collect::<String>());
    assert!(said.contains("virtual more-99: cannot listen on"), "{said}");
    assert!(said.contains("the limit of open files is reached; raise it (systemd: LimitNOFILE=)"), "{said}");
}

#[test]
fn a_rule_that_fails_to_load() {
    let (serving, hostile) = (Serving::start(), packs::guest("hostile"));
    for (load, says) in [
        ("refuse", "the rule refuses its settings: no licence for this virtual"),
        ("panic", "the rule fails to load: on-load: panic"),
        ("loop", "the rule fails to load: on-load: timeout"),
        ("memory", "the rule fails to load: on-load: memory"),
    ] {
        // Sixteen MiB of page faults take long on a busy machine; only the loop is to run out of time.
        let time = if load == "loop" { "10ms" } else { "1s" };
        let keys = format!(
            "slots = {{ web = \"web\" }}\nbudget = {{ time = \"{time}\" }}\nsettings = {{ load = \"{load}\" }}"
        );
        let said = serving.refuses(&ruled(&hostile, &keys));
        // At the key that is to be changed.
        let key = if load == "refuse" { "settings = {" } else { "pack = " };
        assert!(said.contains(says) && said.contains(key), "{said}");
    }
}

#[test]
fn a_pack_that_cannot_be_read() {
    let (serving, whole) = (Serving::start(), fs::read(packs::guest("plain")).unwrap());
    let keys = "slots = { web = \"web\" }";
    let folder = Folder::new();
    let cut = folder.write("cut.wasm", &whole[..whole.len() / 2]);
    let said = serving.refuses(&ruled(&cut, keys));
    assert!(said.contains("the file is truncated or damaged"), "{said}");
    assert!(said.contains("build or copy it again"), "{said}");
    let gone = folder.path().join("gone.wasm");
    let said = serving.refuses(&ruled(&gone, keys));
    assert!(said.contains(&format!("there is no `{}`", gone.display())), "{said}");
    let said = serving.refuses(&ruled(folder.path(), keys));
    assert!(said.contains("pack.toml"), "{said}");
}

/// A daemon that is not root, with a network of its own.
#[test]
fn what_is_not_permitted() {
    if !needs::namespaces("to be another user in a network namespace") {
        return;
    }
    let lab = Lab::new("a reload that is not permitted").unwrap();
    let host = lab.host("shunt").unwrap();
    host.all(&[
        "sysctl -w net.ipv4.ip_unprivileged_port_start=1024",
        "ip link add spare type veth peer name spare-peer",
        "ip link set spare up",
        "ip link set spare-peer up",
    ])
    .unwrap();
    let programs = Folder::new();
    fs::set_permissions(programs.path(), Permissions::from_mode(0o755)).unwrap();
    let serving = Serving::by(Some(host.clone()), |folder| {
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let mut command = root::as_nobody(programs.path());
        command.args(["run", "--config"]).arg(folder.config());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Daemon::try_start_as(folder, command).unwrap()
    });

    let said = serving.refuses(&site::virtual_("low", "127.0.0.1:80".parse().unwrap(), "web", ""));
    assert!(said.contains("virtual low: cannot listen on 127.0.0.1:80"), "{said}");
    assert!(said.contains("CAP_NET_BIND_SERVICE"), "{said}");

    let closed = programs.write("closed.wasm", fs::read(packs::guest("plain")).unwrap());
    fs::set_permissions(&closed, Permissions::from_mode(0o600)).unwrap();
    let said = serving.refuses(&ruled(&closed, "slots = { web = \"web\" }"));
    assert!(said.contains("Shunt may not read `") && said.contains("closed.wasm`"), "{said}");
    assert!(said.contains("give the user that Shunt runs as the right to read it"), "{said}");

    let packets = "[[virtual]]\nname = \"packets\"\nlisten = \"203.0.113.1:80\"\nprotocol = \"packet\"\n\
                   interfaces = [\"spare\"]\nmode = \"nat\"\npool = \"web\"\n\n";
    let said = serving.refuses(packets);
    assert!(said.contains("not permitted: run as root, or with CAP_"), "{said}");
    assert!(!host.run("ip link show spare").unwrap().contains("xdp"));
}

/// Nothing of a reload is written anywhere, whatever it compiles.
#[test]
fn a_full_disk_is_not_in_its_way() {
    if !needs::root("to mount a file system that is full") {
        return;
    }
    let (origin, folder, place) = (Origin::named("web"), Folder::new(), Folder::new());
    let full = root::FullFileSystem::mount(&place.path().join("full"));
    let pools = site::pool("web", "", &[origin.address()]);
    let listen = address::free();
    folder.configure(&site::config(listen, "", &pools));
    let daemon = Daemon::try_start_with(folder, |command| {
        command.current_dir(full.path());
        for name in ["HOME", "TMPDIR", "XDG_CACHE_HOME"] {
            command.env(name, full.path());
        }
    });
    let daemon = daemon.unwrap();
    let rule = site::rule("main", &packs::guest("plain"), "slots = { web = \"web\" }");
    daemon.reload(&site::config(listen, "", &(rule + &pools)));
    assert_eq!(Client::connect(listen).get("/").text(), "web");
    assert_eq!(daemon.status()["virtuals"][0]["rules"][0]["running"], 1);
    drop(daemon);
}
