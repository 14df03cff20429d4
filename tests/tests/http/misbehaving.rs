//! Members and clients that misbehave on command. What the other side sees, and what is counted, stands in tables of the
//! book, which are compared with what happens.

mod clients;
mod members;

use serde_json::Value;
use shunt_tests::daemon::until;
use shunt_tests::site::Site;

const PAGE: &str = include_str!("../../../host/docs/src/misbehaving.md");

/// What is counted, by its name in `shunt status`: of the virtual, and of its only member.
const OF_VIRTUAL: [&str; 4] = ["errors", "http1-stalled", "http2-refused", "http2-stalled"];
const OF_MEMBER: [&str; 1] = ["failures"];

/// Counters that one request, of the `requests` alike, has raised.
fn counted(site: &Site, before: &Value, requests: u64) -> String {
    let status = site.daemon.status();
    let of = |status: &Value, place: &str, name: &str| {
        status.pointer(place).and_then(|it| it[name].as_u64()).unwrap_or_default()
    };
    let places = OF_VIRTUAL.map(|name| ("/virtuals/0", name)).into_iter();
    let places = places.chain(OF_MEMBER.map(|name| ("/pools/0/members/0", name)));
    let raised =
        places.filter_map(|(place, name)| match of(&status, place, name) - of(before, place, name) {
            0 => None,
            raised if raised == requests => Some(format!("`{name}`")),
            raised => Some(format!("`{name}` {raised} of {requests}")),
        });
    let raised: Vec<_> = raised.collect();
    if raised.is_empty() { "nothing".to_owned() } else { raised.join(", ") }
}

/// Waits until the book has this row, with what is counted in the end.
fn compare(site: &Site, before: &Value, requests: u64, cells: &[&str], missing: &mut Vec<String>) {
    let line = || format!("| {} | {} |", cells.join(" | "), counted(site, before, requests));
    let begins = format!("| {} |", cells.join(" | "));
    if PAGE.contains(&begins) {
        until(&format!("{begins} what is counted"), || PAGE.contains(&line()));
    } else {
        until("it is let go", || site.daemon.status()["virtuals"][0]["open"] == 0);
        missing.push(line());
    }
}
