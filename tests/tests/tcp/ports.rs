//! Ports that are left toward members, in a network namespace with twenty of them.

use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};
use shunt_lab::{Lab, Shunt};
use shunt_tests::daemon::until;
use shunt_tests::program;

const CONFIG: &str = r#"
[[virtual]]
name = "relay"
listen = "127.0.0.2:8080"
protocol = "tcp"
pool = "relay"

[[pool]]
name = "relay"
source = ["127.0.0.3", "127.0.0.4"]
members = [{ address = "127.0.0.1:7000" }]
"#;

#[test]
fn ports_that_are_left_toward_a_member_are_told() {
    if !shunt_lab::needs::namespaces("a host with few ports") {
        return;
    }
    let lab = Lab::new("few ports").unwrap();
    let host = lab.host("shunt").unwrap();
    host.run("ip link set lo up").unwrap();
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    host.within(|| std::fs::write(range, "40000 40019")).unwrap().unwrap();
    let member = host.within(|| TcpListener::bind("127.0.0.1:7000")).unwrap().unwrap();
    let one = CONFIG.replace(", \"127.0.0.4\"", "");
    let shunt = Shunt::start(&host, &program::path(), CONFIG).unwrap();
    let ports = || {
        let status: Value = serde_json::from_str(&shunt.client(&["status", "-o", "json"]).unwrap()).unwrap();
        status["pools"][0]["members"][0]["ports"].clone()
    };
    let of = |source: &str, in_use: u32| json!({ "source": source, "in-use": in_use, "left": 20 - in_use });
    until("both addresses", || ports() == json!([of("127.0.0.3", 0), of("127.0.0.4", 0)]));
    shunt.reload(&one).unwrap();
    let clients: Vec<_> = (0..19)
        .map(|_| {
            let client = host.within(|| TcpStream::connect("127.0.0.2:8080")).unwrap().unwrap();
            (client, member.accept().unwrap())
        })
        .collect();
    until("them to be told", || ports() == json!([of("127.0.0.3", 19)]));
    until("an event", || shunt.log().contains("member-ports-low"));
    drop(clients);
}
