use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use shunt_api::rules::Times;

use super::*;
use crate::admin::sample;

#[test]
fn every_operation_is_served_and_nothing_else() {
    let served: BTreeSet<_> =
        routes().into_iter().map(|(method, path, _)| (method.as_str().to_owned(), path)).collect();
    let described: BTreeSet<_> =
        openapi::OPERATIONS.iter().map(|it| (it.method.to_owned(), it.path)).collect();
    assert_eq!(served, described);
}

/// What is sent is read as the same.
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(sent: &T) {
    let json = serde_json::to_value(sent).unwrap();
    assert_eq!(serde_json::from_value::<T>(json).unwrap(), *sent);
}

#[test]
fn clients_read_what_is_sent() {
    let mut status = sample::status();
    let packets = status.packets.iter_mut().flat_map(|it| &mut it.virtuals).flat_map(|it| &mut it.rules);
    for rule in status.virtuals.iter_mut().flat_map(|it| &mut it.rules).chain(packets) {
        // For the metrics, which are no JSON.
        rule.hooks.iter_mut().for_each(|hook| hook.times = Times::default());
    }
    comes_back(&status);
    comes_back(&sample::flow());
    comes_back(&sample::explained());
    comes_back(&sample::explained_request());
    let refusal = bad_request("no").help("yes").json();
    assert_eq!(refusal, json!({ "error": { "kind": "bad-request", "message": "no", "help": "yes" } }));
}

#[test]
fn a_client_reads_what_an_older_daemon_sends_and_a_newer_one() {
    let sent = json!({ "version": "0.0.9", "epoch": 3, "shadows": [], "pools": [{ "name": "web" }] });
    let status: Status = serde_json::from_value(sent).unwrap();
    assert_eq!((status.epoch, status.pools[0].name.as_str(), status.packets), (3, "web", None));
}
