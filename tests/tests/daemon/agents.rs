//! Agents of members: what they say of weight and state, beside what the operator wants.

use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, until};
use shunt_tests::site;

#[test]
fn an_agent_drains_its_member_and_the_operator_stays_apart() {
    let member = address::free();
    let listener = TcpListener::bind((member.ip(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let words = Arc::new(Mutex::new("up ready 50%\n"));
    let says = Arc::clone(&words);
    std::thread::Builder::new()
        .spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.write_all(says.lock().unwrap().as_bytes());
            }
        })
        .unwrap();
    let keys =
        format!("monitor = {{ agent = {{ port = {port} }}, interval = \"50ms\", rise = 1, fall = 1 }}");
    let daemon = Daemon::start(&site::config(address::free(), "", &site::pool("web", &keys, &[member])));
    let pool = || daemon.status()["pools"][0].clone();
    let reason = || pool()["members"][0]["reason"].as_str().unwrap_or_default().to_owned();
    let says = |text: &'static str| {
        *words.lock().unwrap() = text;
        let shown = format!("the agent says {:?}", text.trim());
        until("it was asked", || reason() == shown);
        let pool = pool();
        let member = &pool["members"][0];
        (member["health"].as_str().unwrap().to_owned(), pool["usable"].as_u64().unwrap())
    };
    let side = |health: &str, usable| (health.to_owned(), usable);
    assert_eq!(says("up ready 50%\n"), side("up", 1));
    assert_eq!(says("drain\n"), side("up", 0));
    assert_eq!(pool()["members"][0]["admin"], "enabled");
    assert_eq!(says("ready\n"), side("up", 1));
    assert_eq!(says("maint # until noon\n"), side("up", 0));
    assert_eq!(says("ready # again\n"), side("up", 1));
    assert_eq!(says("down # disk full\n"), side("down", 0));
    // Without the agent nobody holds it back.
    assert_eq!(says("up drain\n"), side("up", 0));
    daemon.reload(&site::config(address::free(), "", &site::pool("web", "", &[member])));
    until("it is used again", || pool()["usable"] == 1);
}
