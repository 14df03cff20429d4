use super::*;
use crate::bindings::{on_connect_failed, on_data, on_flow, on_request, on_request_body, on_response};
use crate::{connect_failed, data, flow, request, request_body, response};

fn target(verdict: request::Verdict) -> Target {
    match verdict.into_wire() {
        on_request::Verdict::To(target) => target,
        _ => panic!("steers"),
    }
}

fn answer(verdict: request::Verdict) -> Answer {
    match verdict.into_wire() {
        on_request::Verdict::Respond(answer) => answer,
        _ => panic!("answers"),
    }
}

#[test]
fn a_pool_alone_leaves_the_rest_as_configured() {
    assert_eq!(target(to_pool("a")), Target { pool: Some("a".into()), ..AS_CONFIGURED });
    assert_eq!(target(as_configured().mode(Mode::Nat)), Target { mode: Some(Mode::Nat), ..AS_CONFIGURED });
}

#[test]
fn every_part_of_a_target_is_kept() {
    let address: SocketAddr = "192.0.2.7:80".parse().unwrap();
    let key = PersistKey { key: b"user".to_vec(), timeout_ms: 5_000 };
    assert_eq!(
        target(
            to_pool("a")
                .member(address)
                .mode(Mode::Snat)
                .snat_pool("out")
                .persist_for("user", Duration::from_secs(5))
        ),
        Target {
            pool: Some("a".into()),
            member: Some(to_endpoint(address)),
            mode: Some(Mode::Snat),
            snat_pool: Some("out".into()),
            persist: Some(key),
        }
    );
}

#[test]
fn a_time_that_the_contract_cannot_say_is_brought_near() {
    let timeout = |timeout| target(to_pool("a").persist_for("k", timeout)).persist.map(|key| key.timeout_ms);
    assert_eq!(timeout(Duration::from_nanos(1)), Some(1), "zero would mean as configured");
    assert_eq!(timeout(Duration::MAX), Some(u32::MAX));
    assert_eq!(target(to_pool("a").persist("k")).persist.map(|key| key.timeout_ms), Some(0));
}

#[test]
fn an_answer_keeps_the_order_of_its_fields() {
    let answer = answer(respond(503).header("retry-after", "120").text("soon"));
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.headers,
        [
            ("retry-after".to_owned(), b"120".to_vec()),
            ("content-type".to_owned(), b"text/plain; charset=utf-8".to_vec())
        ]
    );
    assert_eq!(answer.body, b"soon");
}

#[test]
fn a_redirect_says_where() {
    let answer = answer(redirect(308, "https://shop.example/"));
    assert_eq!(
        (answer.status, answer.headers),
        (308, vec![("location".to_owned(), b"https://shop.example/".to_vec())])
    );
}

#[test]
fn every_hook_says_it_in_its_own_words() {
    assert!(matches!(flow::Verdict::into_wire(next()), on_flow::Verdict::Next));
    assert!(matches!(flow::Verdict::into_wire(reject()), on_flow::Verdict::Reject));
    assert!(matches!(flow::drop_flow().into_wire(), on_flow::Verdict::Drop));
    assert!(matches!(data::need(9).into_wire(), on_data::Verdict::Need(9)));
    assert!(matches!(data::need(usize::MAX).into_wire(), on_data::Verdict::Need(u32::MAX)));
    assert!(matches!(data::Verdict::into_wire(reject()), on_data::Verdict::Reject));
    assert!(matches!(data::replace("x").into_wire(), on_data::Verdict::Replace(bytes) if bytes == b"x"));
    assert!(matches!(
        data::pass_as(2, "x").into_wire(),
        on_data::Verdict::Pass(part) if part.length == 2 && part.replacement.as_deref() == Some(b"x")
    ));
    assert!(matches!(request::need_body(9).into_wire(), on_request::Verdict::NeedBody(9)));
    assert!(matches!(
        replace_body::<request_body::OnRequestBody>("x").into_wire(),
        on_request_body::Verdict::Replace(body) if body == b"x"
    ));
    assert!(matches!(connect_failed::Verdict::into_wire(retry()), on_connect_failed::Verdict::Retry));
    assert!(matches!(
        response::Verdict::into_wire(respond(502)),
        on_response::Verdict::Replace(answer) if answer.status == 502
    ));
}
