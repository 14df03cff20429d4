//! Priority groups.

use std::net::SocketAddr;

use serde_json::{Value, json};
use shunt_tests::origin::Origin;
use shunt_tests::site::{self, Site};

/// A pool whose members have priorities that fall by ten: 30, 20, 10.
fn pool(keys: &str, members: &[SocketAddr]) -> String {
    let member = |(address, priority)| format!("{{ address = \"{address}\", priority = {priority} }}");
    let priorities = (1..=members.len()).rev().map(|it| it * 10);
    let members: Vec<String> = members.iter().zip(priorities).map(member).collect();
    format!("[[pool]]\nname = \"web\"\n{keys}\nmembers = [{}]\n", members.join(", "))
}

fn set(site: &Site, what: &str, member: &Origin) {
    site.daemon.shunt(&["member", what, "web", &member.address().to_string()]).good();
}

/// The names of those who answer four requests.
fn served(site: &Site) -> String {
    let mut client = site.client();
    (0..4).map(|_| client.get("/").text()).collect()
}

/// The priorities of the groups in use.
fn in_use(site: &Site) -> Vec<Value> {
    let status = site.daemon.status();
    let groups = status["pools"][0]["groups"].as_array().unwrap().clone();
    groups.into_iter().filter(|it| it["in-use"] == json!(true)).map(|it| it["priority"].clone()).collect()
}

#[test]
fn lower_groups_stand_in() {
    let origins = ["a", "b", "c"].map(Origin::named);
    let addresses = origins.each_ref().map(Origin::address);
    let site = Site::configured(|listen| site::config(listen, "", &pool("", &addresses)));
    assert_eq!((served(&site), in_use(&site)), ("aaaa".to_owned(), vec![json!(30)]));
    set(&site, "disable", &origins[0]);
    assert_eq!((served(&site), in_use(&site)), ("bbbb".to_owned(), vec![json!(20)]));
    set(&site, "drain", &origins[1]);
    assert_eq!(served(&site), "cccc");
    set(&site, "enable", &origins[0]);
    assert_eq!(served(&site), "aaaa", "the highest is used again at once");

    // Two are wanted: the next group takes part.
    set(&site, "enable", &origins[1]);
    site.daemon.reload(&site::config(site.address, "", &pool("min-members = 2", &addresses)));
    let mut served = served(&site).into_bytes();
    served.sort_unstable();
    assert_eq!((served.as_slice(), in_use(&site)), (b"aabb".as_slice(), vec![json!(30), json!(20)]));
}

#[test]
fn the_operator_fails_back() {
    let origins = ["a", "b"].map(Origin::named);
    let addresses = origins.each_ref().map(Origin::address);
    let config = |listen| site::config(listen, "", &pool("fail-back = \"manual\"", &addresses));
    let site = Site::configured(config);
    set(&site, "disable", &origins[0]);
    assert_eq!(served(&site), "bbbb");
    set(&site, "enable", &origins[0]);
    site.daemon.reload(&format!("{}\n# changed", config(site.address)));
    assert_eq!(served(&site), "bbbb", "also after a reload");
    site.daemon.shunt(&["pool", "fail-back", "web"]).good();
    assert_eq!(served(&site), "aaaa");
}

#[test]
fn priorities_change_while_it_runs() {
    let origins = ["a", "b"].map(Origin::named);
    let addresses = origins.each_ref().map(Origin::address);
    let [high, low] = addresses.map(|it| it.to_string());
    let config = |listen| site::config(listen, "", &pool("fail-back = \"manual\"", &addresses));
    let site = Site::configured(config);
    assert_eq!(served(&site), "aaaa");
    let shown =
        site.daemon.shunt(&["pool", "priority", "web", &format!("{high}=1"), &format!("{low}=2")]).good();
    assert!(shown.lines().any(|line| line.contains(&low) && line.contains("yes")), "{shown}");
    assert_eq!(served(&site), "bbbb", "the groups are reversed");
    site.daemon.reload(&format!("{}\n# changed", config(site.address)));
    assert_eq!(served(&site), "bbbb", "what the operator set stays");
    let differences = site.daemon.status()["differences"].to_string();
    assert!(differences.contains("has priority 1, which is configured as 20"), "{differences}");
    site.daemon.shunt(&["pool", "priority", "web", "--configured"]).good();
    assert_eq!(served(&site), "aaaa");

    // All or nothing.
    let refused = site.daemon.shunt(&["pool", "priority", "web", &format!("{high}=1"), "127.0.0.9:9=2"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert_eq!(served(&site), "aaaa");
    // A configured priority that changes is in force at once, too.
    let reversed = config(site.address).replace("priority = 20", "priority = 5");
    site.daemon.reload(&reversed);
    assert_eq!(served(&site), "bbbb");
}
