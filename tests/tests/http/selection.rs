//! Rules that are told which member was chosen, and that want another.

use serde_json::Value;
use shunt_tests::origin::Origin;
use shunt_tests::packs;
use shunt_tests::site::{self, Site, rule};

/// Pools `web` and `other`, and the guest with these settings.
fn between(web: &[&Origin], other: &Origin, settings: &str, keys: &str, of_rule: &str) -> Site {
    let members: Vec<_> = web.iter().map(|it| it.address()).collect();
    let pools = site::pool("web", "", &members) + &site::pool("other", "", &[other.address()]);
    let of_rule = format!("slots = {{ other = \"other\" }}\nsettings = {{ {settings} }}\n{of_rule}");
    let rule = rule("selects", &packs::guest("selects"), &of_rule);
    Site::configured(|at| site::config(at, keys, &(rule + &pools)))
}

fn list(name: &str, origins: &[&Origin]) -> String {
    let addresses: Vec<_> = origins.iter().map(|it| format!("\"{}\"", it.address())).collect();
    format!("{name} = [{}]", addresses.join(", "))
}

/// How often members of the pool `web` were vetoed.
fn vetoed(site: &Site) -> u64 {
    let status = site.daemon.status();
    let pools = status["pools"].as_array().expect("a list");
    let web = pools.iter().find(|it| it["name"] == "web").expect("the pool");
    let members = web["members"].as_array().expect("a list");
    members.iter().map(|it| it["vetoed"].as_u64().expect("a number")).sum()
}

fn calls(site: &Site) -> u64 {
    let rule: Value = site.daemon.status()["virtuals"][0]["rules"][0].clone();
    let hooks = rule["hooks"].as_array().expect("a list");
    let hook = hooks.iter().find(|it| it["hook"] == "on-selected").expect("the hook");
    hook["calls"].as_u64().expect("a number")
}

#[test]
fn a_vetoed_member_gets_nothing_and_the_request_is_told_of_its_member() {
    let origins = ["a", "b", "c"].map(Origin::named);
    let [a, b, c] = origins.each_ref();
    let site = between(&[a, b, c], c, &list("veto", &[a]), "", "");
    let mut client = site.client();
    let mut served: Vec<_> = (0..6).map(|_| client.get("/").text()).collect();
    served.sort();
    served.dedup();
    assert_eq!(served, ["b", "c"]);
    let request = b.requests().remove(0);
    let member = b.address().to_string();
    assert_eq!(request.get("x-member"), Some(member.as_str()));
    assert_eq!(request.get("x-reason"), Some("Reason::Balance"));
    assert!(vetoed(&site) > 0 && calls(&site) == 6 + vetoed(&site));
    site.daemon.wait_log("it is not wanted");
}

#[test]
fn three_vetoes_choose_again_and_the_fourth_ends_the_choice() {
    let origins = ["a", "b", "c", "d", "e", "f"].map(Origin::named);
    let [a, b, c, d, e, f] = origins.each_ref();
    let site = between(&[a, b, c, d], f, &list("veto", &[a, b, c]), "", "");
    assert_eq!(site.client().get("/").text(), "d");
    assert_eq!(vetoed(&site), 3);
    let site = between(&[a, b, c, d, e], f, &list("veto", &[a, b, c, d]), "", "");
    let answer = site.client().get("/");
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert_eq!((vetoed(&site), calls(&site)), (4, 4));
    // Where none is left before.
    let site = between(&[a, b], f, &list("veto", &[a, b]), "", "");
    assert_eq!(site.client().get("/").status(), 503);
    assert_eq!(vetoed(&site), 2);
}

#[test]
fn another_pool_serves_and_is_not_asked_again() {
    let origins = ["a", "b", "other"].map(Origin::named);
    let [a, b, other] = origins.each_ref();
    let settings = list("elsewhere", &[a, b, other]);
    let site = between(&[a, b], other, &settings, "", "");
    let mut client = site.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "other");
    }
    assert_eq!(calls(&site), 3);
}

/// The veto is the rule's, so the client need not wait for its member, and is bound anew.
#[test]
fn a_client_that_is_bound_to_a_vetoed_member_is_bound_to_another() {
    let origins = ["a", "b", "c"].map(Origin::named);
    let [a, b, c] = origins.each_ref();
    for when_down in ["reselect", "refuse"] {
        let keys = format!("persistence = {{ source = true, when-down = \"{when_down}\" }}");
        let config = |site: &Site, settings: &str| {
            let pool =
                site::pool("web", "", &[a.address(), b.address()]) + &site::pool("other", "", &[c.address()]);
            let of_rule = format!("slots = {{ other = \"other\" }}\nsettings = {{ {settings} }}");
            site::config(site.address, &keys, &(rule("selects", &packs::guest("selects"), &of_rule) + &pool))
        };
        let site = between(&[a, b], c, "", &keys, "");
        let bound = site.client().get("/").text();
        let (unwanted, other) = if bound == "a" { (a, "b") } else { (b, "a") };
        site.daemon.reload(&config(&site, &list("veto", &[unwanted])));
        assert_eq!(site.client().get("/").text(), other);
        site.daemon.reload(&config(&site, ""));
        for _ in 0..3 {
            assert_eq!(site.client().get("/").text(), other, "{when_down}");
        }
    }
}

#[test]
fn what_a_fault_comes_to_is_the_operators() {
    let origins = ["a", "other"].map(Origin::named);
    let [a, other] = origins.each_ref();
    let broken = format!("broken = \"{}\"", a.address());
    for (on_fault, status, text) in [
        ("", 500, ""),
        ("on-fault = \"continue\"", 200, "a"),
        ("on-fault = { pool = \"other\" }", 200, "other"),
    ] {
        let site = between(&[a], other, &broken, "", on_fault);
        let answer = site.client().get("/");
        assert_eq!(answer.status(), status, "{on_fault}");
        assert!(answer.text().contains(text), "{on_fault}");
    }
}
