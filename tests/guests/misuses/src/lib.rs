//! Misuses what operators set and bind: sets, flags and keys, as the request's path says.

use std::hint::black_box;

use shunt_sdk::prelude::*;

/// A set, a flag and a key that the pack does not declare.
const UNDECLARED: &str = "nowhere";

struct Misuses;

#[rule]
impl Misuses {
    fn on_request(&self, request: &Request) -> request::Verdict {
        match request.path().as_str() {
            "/key-unknown" => {
                black_box(crypto::sign(UNDECLARED, "x"));
            }
            "/key-public" => {
                black_box(crypto::seal("issuer", "x", ""));
            }
            "/hash-much" => {
                black_box(crypto::sha256(vec![0; (1 << 20) + 1]));
            }
            "/flag-unknown" => {
                black_box(flags::is_on(UNDECLARED));
            }
            "/flag-type" => {
                black_box(flags::integer("on"));
            }
            "/set-unknown" => {
                black_box(sets::find(UNDECLARED, "x"));
            }
            "/set-kind" => {
                black_box(sets::address("words", IpAddr::from([192, 0, 2, 1])));
            }
            "/set-long" => {
                black_box(sets::find("words", &"x".repeat(65_537)));
            }
            _ => {}
        }
        next()
    }
}
