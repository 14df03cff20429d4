//! Monitors against the servers that they are for: each is found up, and logs no error of probes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, Folder, until};
use shunt_tests::program;
use shunt_tests::server::{self, Server};
use shunt_tests::site;

/// More than MariaDB takes of broken connections before it blocks a host.
const PROBES: u32 = 120;
const POOLS: usize = 20;

/// A server that a shell script starts in a folder of its own, where it writes its log to `log`.
struct Real {
    server: Server,
    log: PathBuf,
}

impl Real {
    /// `None`: it is not installed. In the script `ADDRESS`, `HOST` and `PORT` are where it is to listen.
    fn start(program: &str, package: &str, script: &str) -> Option<Real> {
        // Debian keeps servers where the path of an ordinary user does not lead.
        let path = PathBuf::from("/usr/sbin").join(program);
        if !path.is_file() {
            program::other(&[program], &format!("apt-get install {package}"))?;
        }
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: {program} starts as root and takes a user of its own");
            return None;
        }
        let mut log = PathBuf::new();
        let server = Server::start("sh", "start.sh", script, |command, folder| {
            log = folder.path().join("log");
            command.current_dir(folder.path()).arg("start.sh").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        })?;
        Some(Real { server, log })
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Probes a member many times, by the monitors of several pools; what the last probe found.
#[track_caller]
fn found(monitor: &str, member: SocketAddr, keys: &str) -> String {
    let keys = format!(
        "{keys}monitor = {{ {monitor}, interval = \"1s\", timeout = \"1s\", rise = 1, start = \"down\" }}"
    );
    let pools: String =
        (1..POOLS).map(|number| site::pool(&format!("p{number}"), &keys, &[member])).collect();
    let config =
        site::config(address::free(), "", &format!("{}{pools}", site::pool("web", &keys, &[member])));
    let daemon = Daemon::start(&config);
    let all_up = || {
        let status = daemon.status();
        let pools = status["pools"].as_array().unwrap().clone();
        pools.len() == POOLS && pools.iter().all(|pool| pool["members"][0]["health"] == "up")
    };
    until("it is up", all_up);
    let begun = Instant::now();
    // The number of probes follows from the time; nothing is said of how long one takes.
    until("it was probed often", || begun.elapsed() > Duration::from_secs(1) * PROBES / POOLS as u32);
    assert_eq!(daemon.log().matches("member down").count(), 0, "{}", daemon.log());
    daemon.status()["pools"][0]["members"][0]["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
#[ignore = "takes Exim as a member: cargo xtask test members"]
fn exim_greets_and_logs_nothing() {
    let script = "cat > exim.conf <<END
exim_path = /usr/sbin/exim4
spool_directory = $PWD/spool
log_file_path = $PWD/%slog
primary_hostname = mx.example
local_interfaces = HOST
daemon_smtp_ports = PORT
pid_file_path = $PWD/pid
tls_advertise_hosts =
keep_environment =
END
chmod 755 . && mkdir spool && touch mainlog && ln -s mainlog log && chown Debian-exim . spool mainlog && exec exim4 -C $PWD/exim.conf -bdf";
    let Some(real) = Real::start("exim4", "exim4-daemon-light", script) else { return };
    let said = found("service = \"smtp\"", real.server.address, "");
    assert!(said.starts_with("220 mx.example ESMTP Exim"), "{said}");
    let log = real.logged();
    assert!(log.lines().all(|line| line.contains("daemon started")), "{log}");
}

#[test]
#[ignore = "takes vsftpd as a member: cargo xtask test members"]
fn vsftpd_greets() {
    let script = "mkdir empty && printf '%s\\n' listen=YES listen_address=HOST listen_port=PORT background=NO \
anonymous_enable=YES secure_chroot_dir=$PWD/empty xferlog_enable=YES vsftpd_log_file=$PWD/log dual_log_enable=YES \
log_ftp_protocol=YES > ftp.conf && exec vsftpd $PWD/ftp.conf";
    let Some(real) = Real::start("vsftpd", "vsftpd", script) else { return };
    assert_eq!(found("service = \"ftp\"", real.server.address, ""), "220 (vsFTPd 3.0.3)");
    let log = real.logged();
    assert!(log.contains("\"221 Goodbye.\""), "{log}");
}

#[test]
#[ignore = "takes Dovecot as a member: cargo xtask test members"]
fn dovecot_greets_by_both_protocols() {
    for (protocol, other, greeting) in [("imap", "pop3", "* OK"), ("pop3", "imap", "+OK")] {
        let script = format!(
            "cat > dovecot.conf <<END
protocols = {protocol}
listen = HOST
base_dir = $PWD/run
log_path = $PWD/log
ssl = no
service {protocol}-login {{
  inet_listener {protocol} {{
    port = PORT
  }}
  inet_listener {protocol}s {{
    port = 0
  }}
}}
passdb {{
  driver = static
  args = password=x
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/tmp
}}
END
chmod 755 . && exec dovecot -F -c $PWD/dovecot.conf # and not {other}"
        );
        let Some(real) = Real::start("dovecot", &format!("dovecot-{protocol}d"), &script) else { return };
        let said = found(&format!("service = \"{protocol}\""), real.server.address, "");
        assert!(said.starts_with(greeting), "{said}");
        let log = real.logged();
        assert!(!log.contains("Error") && !log.contains("Warning"), "{log}");
    }
}

#[test]
#[ignore = "takes Redis as a member: cargo xtask test members"]
fn redis_answers_and_logs_nothing() {
    let script = "exec redis-server --port PORT --bind HOST --save '' --dir $PWD > log";
    let Some(real) = Real::start("redis-server", "redis-server", script) else { return };
    until("it is ready", || real.logged().contains("Ready to accept"));
    let before = real.logged();
    assert_eq!(found("service = \"redis\"", real.server.address, ""), "+PONG");
    assert_eq!(real.logged(), before);
}

#[test]
#[ignore = "takes Redis as a member: cargo xtask test members"]
fn the_example_tells_a_redis_primary_from_its_replica() {
    let script = "exec redis-server --port PORT --bind HOST --save '' --dir $PWD > log";
    let Some(primary) = Real::start("redis-server", "redis-server", script) else { return };
    let at = primary.server.address;
    let replica = format!("{script} --replicaof {} {}", at.ip(), at.port()).replace(" > log", "") + " > log";
    let Some(replica) = Real::start("redis-server", "redis-server", &replica) else { return };
    until("it follows", || replica.logged().contains("Finished with success"));
    let before = [primary.logged(), replica.logged()];
    let pack = shunt_tests::packs::example("redis-primary");
    let rule = |role: &str| {
        format!("rule = {{ name = \"role\", pack = {pack:?}, settings = {{ role = \"{role}\" }} }}")
    };
    assert_eq!(found(&rule("master"), at, ""), "role:master");
    assert_eq!(found(&rule("slave"), replica.server.address, ""), "role:slave");
    let keys = format!("monitor = {{ {}, interval = \"50ms\" }}", rule("master"));
    let pool = site::pool("web", &keys, &[at, replica.server.address]);
    let daemon = Daemon::start(&site::config(address::free(), "", &pool));
    let told = |index: usize| daemon.status()["pools"][0]["members"][index].clone();
    until("the replica is down", || told(1)["health"] == "down" && told(1)["reason"] == "role:slave");
    assert_eq!(told(0)["health"], "up");
    assert_eq!([primary.logged(), replica.logged()], before);
}

#[test]
#[ignore = "takes PostgreSQL as a member: cargo xtask test members"]
fn postgresql_answers_and_logs_nothing() {
    let script = "bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1); chmod 755 . && mkdir data && touch log && chown postgres data log \
&& echo secret > word && chmod 644 word \
&& runuser -u postgres -- $bin/initdb -D $PWD/data -A scram-sha-256 --pwfile=$PWD/word > /dev/null \
&& exec setpriv --reuid=postgres --regid=postgres --clear-groups $bin/postgres -D $PWD/data -p PORT \
-c listen_addresses=HOST -c unix_socket_directories=$PWD/data -c log_min_messages=info 2> log";
    let Some(real) = Real::start("runuser", "util-linux", script) else { return };
    until("it is ready", || real.logged().contains("ready to accept"));
    let before = real.logged();
    let said = found("service = \"postgresql\", user = \"shunt\"", real.server.address, "");
    assert_eq!(said, "asks for a password");
    assert_eq!(real.logged(), before);
}

#[test]
#[ignore = "takes MariaDB as a member: cargo xtask test members"]
fn mariadb_lets_probes_in_and_blocks_nobody() {
    let script = "chmod 755 . && mkdir data && touch log && chown mysql data log \
&& mariadb-install-db --user=mysql --datadir=$PWD/data > /dev/null 2>&1 \
&& echo \"CREATE USER 'shunt'@'%';\" > users.sql && chmod 644 users.sql \
&& exec mariadbd --no-defaults --user=mysql --datadir=$PWD/data --socket=$PWD/data/socket --bind-address=HOST \
--port=PORT --log-warnings=9 --skip-name-resolve --max-connect-errors=10 --init-file=$PWD/users.sql 2> log";
    let Some(real) = Real::start("mariadbd", "mariadb-server", script) else { return };
    until("it is ready", || real.logged().contains("ready for connections"));
    let before = real.logged();
    // It blocks any host but 127.0.0.1.
    let source = real.server.address.ip();
    let monitor = format!("service = \"mysql\", user = \"shunt\", source = \"{source}\"");
    let said = found(&monitor, real.server.address, "");
    assert!(said.contains("MariaDB"), "{said}");
    assert_eq!(real.logged(), before);
}

#[test]
#[ignore = "takes slapd as a member: cargo xtask test members"]
fn slapd_is_bound_to_and_left() {
    let script = "mkdir data && printf '%s\\n' 'include /etc/ldap/schema/core.schema' 'modulepath /usr/lib/ldap' \
'moduleload back_mdb' 'database mdb' 'suffix \"dc=x\"' \"directory $PWD/data\" > slapd.conf \
&& exec slapd -h ldap://ADDRESS -f $PWD/slapd.conf -d stats 2> log";
    let Some(real) = Real::start("slapd", "slapd", script) else { return };
    assert_eq!(found("service = \"ldap\"", real.server.address, ""), "bind result 0");
    // The first connection is this test's, which waits for the server.
    let log = real.logged();
    assert!(log.contains("UNBIND") && log.matches("connection lost").count() <= 1, "{log}");
}

#[test]
#[ignore = "takes BIND as a member: cargo xtask test members"]
fn bind_answers_and_logs_nothing() {
    // It listens on addresses of interfaces only, of which there is one here.
    let member: SocketAddr = ([127, 0, 0, 1], 20_000 + (std::process::id() % 10_000) as u16).into();
    let script = "cat > named.conf <<END
options { directory \"$PWD\"; listen-on port NUMBER { 127.0.0.1; }; listen-on-v6 { none; }; recursion no;
  pid-file \"$PWD/pid\"; session-keyfile \"$PWD/key\"; };
zone \"example.org\" { type master; file \"$PWD/zone\"; };
controls { };
END
printf '$TTL 60\\n@ SOA ns a 1 1 1 1 1\\n@ NS ns\\nns A 127.0.0.1\\nwww A 127.0.0.1\\n' > zone
named -g -c $PWD/named.conf 2> log & echo $! > own
exec python3 -m http.server -b HOST PORT > /dev/null 2>&1";
    // What is waited for is the other server of the script.
    let script = script.replace("NUMBER", &member.port().to_string());
    let Some(real) = Real::start("named", "bind9", &script) else { return };
    let _end = End(real.log.with_file_name("own"));
    until("it is ready", || real.logged().contains("running"));
    let before = real.logged();
    assert_eq!(found("dns = { name = \"www.example.org\" }", member, ""), "NOERROR, 1 answer");
    let refused = "dns = { name = \"www.example.com\", expect = [\"REFUSED\"] }";
    assert_eq!(found(refused, member, ""), "REFUSED, 0 answers");
    let more: Vec<_> = real.logged().lines().skip(before.lines().count()).map(str::to_owned).collect();
    assert!(more.iter().all(|line| line.contains("priming") || line.contains("managed-keys")), "{more:?}");
}

/// Ends the process whose number is in a file.
struct End(PathBuf);

impl Drop for End {
    fn drop(&mut self) {
        let number = std::fs::read_to_string(&self.0).ok().and_then(|text| text.trim().parse().ok());
        if let Some(number) = number {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(number), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

#[test]
#[ignore = "takes Kamailio as a member: cargo xtask test members"]
fn kamailio_answers_by_both_transports() {
    let script = "cat > sip.cfg <<END
children=1
log_stderror=yes
listen=udp:ADDRESS
listen=tcp:ADDRESS
loadmodule \"tm.so\"
loadmodule \"sl.so\"
request_route {
  if (method==\"OPTIONS\") {
    sl_send_reply(\"200\", \"Keepalive\");
    exit;
  }
}
END
exec kamailio -DD -E -f $PWD/sip.cfg -P $PWD/pid -w $PWD -Y $PWD 2> log";
    let Some(real) = Real::start("kamailio", "kamailio", script) else { return };
    for transport in ["udp", "tcp"] {
        assert_eq!(found(&format!("sip = \"{transport}\""), real.server.address, ""), "200 Keepalive");
    }
    let log = real.logged();
    assert!(!log.contains("ERROR"), "{log}");
}

const HEALTH: &str = "\
import grpc
from concurrent import futures
status = {b'': 1, b'shop': 1, b'bad': 2}
def check(request, context):
    name = request[2:]
    if name not in status:
        context.abort(grpc.StatusCode.NOT_FOUND, 'unknown service')
    return bytes([8, status[name]])
server = grpc.server(futures.ThreadPoolExecutor(2))
handler = grpc.unary_unary_rpc_method_handler(check)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('grpc.health.v1.Health', {'Check': handler}),))
server.add_insecure_port('ADDRESS')
server.start()
server.wait_for_termination()
";

#[test]
#[ignore = "takes grpcio as a member: cargo xtask test members"]
fn grpc_says_whether_it_serves() {
    if server::python().is_none() {
        return;
    }
    let Some(server) = Server::grpc(HEALTH) else { return };
    let keys = "protocol = \"h2\"\n";
    for service in ["", ", service = \"shop\""] {
        assert_eq!(
            found(&format!("grpc = {{ authority = \"h\"{service} }}"), server.address, keys),
            "SERVING"
        );
    }
    for (service, says) in
        [("bad", "the service says NOT_SERVING"), ("gone", "status 5 of gRPC: unknown service")]
    {
        let keys = format!("{keys}monitor = {{ grpc = {{ service = \"{service}\" }}, interval = \"50ms\" }}");
        let daemon =
            Daemon::start(&site::config(address::free(), "", &site::pool("web", &keys, &[server.address])));
        until("it is down", || daemon.status()["pools"][0]["members"][0]["reason"] == says);
    }
}

/// A program that checks, and what it is told of the member.
#[test]
fn a_program_checks_members() {
    let folder = Folder::new();
    let script = folder.write(
        "check.sh",
        "#!/bin/sh\nenv | sort > \"$1\"\necho \"$SHUNT_MEMBER_ADDRESS:$SHUNT_MEMBER_PORT is tired\"\nexit 3\n",
    );
    let told = folder.path().join("told");
    let member = address::free();
    let keys = format!(
        "monitor = {{ exec = [\"/bin/sh\", \"{}\", \"{}\"], interval = \"100ms\", timeout = \"90ms\" }}",
        script.display(),
        told.display()
    );
    let daemon = Daemon::start(&site::config(address::free(), "", &site::pool("web", &keys, &[member])));
    let reason = format!("exit status: 3: {member} is tired");
    until("it is down", || daemon.status()["pools"][0]["members"][0]["reason"] == reason.as_str());
    let told = std::fs::read_to_string(told).unwrap();
    let names: Vec<_> = told.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(
        names.into_iter().filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name)).collect::<Vec<_>>(),
        ["PATH", "SHUNT_MEMBER_ADDRESS", "SHUNT_MEMBER_PORT", "SHUNT_TIMEOUT_MS"]
    );
}
