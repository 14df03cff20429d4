//! HTTP/2 with clients and with members.

mod floods;
mod flow;
mod life;
mod members;
mod misbehaviour;
mod peers;
mod requests;
mod tools;
mod websocket;

use shunt_tests::origin::Origin;
use shunt_tests::site::Site;

/// A site whose clients begin with the preface of HTTP/2.
fn site(keys: &str, origin: &Origin) -> Site {
    let http2 = if keys.contains("http2") { "" } else { "http2 = { start = \"prior-knowledge\" }\n" };
    Site::with(&format!("{http2}{keys}"), &[origin])
}
