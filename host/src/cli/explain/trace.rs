//! `shunt rule trace`

use shunt_api::explain::{TraceEnd, TraceLine, TracedRequest};
use shunt_runtime::tls::rfc3339;

use super::Sections;
use super::request::{NAME, tell};
use crate::cli::args::TraceArgs;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::format::{count, nanoseconds};
use crate::cli::screen::{Paint, Screen, Tone};

/// Shows requests as they are served, until enough were or the time is up.
///
/// # Errors
/// No daemon answers, or there is no such virtual.
pub(in crate::cli) fn trace(args: &TraceArgs, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let TraceArgs { virtual_name, matching, count, seconds } = args;
    let mut query: Vec<(&str, String)> =
        matching.iter().map(|(what, value)| (what.as_str(), value.clone())).collect();
    query.extend([("count", count.to_string()), ("seconds", seconds.to_string())]);
    let mut unread = None;
    client.follow(&["virtuals", virtual_name, "trace"], &query, |line| {
        match client.read::<TraceLine>(&line) {
            Ok(TraceLine { request: Some(request), .. }) => screen.show(&line, |paint| told(&request, paint)),
            Ok(TraceLine { end: Some(end), .. }) => screen.show(&line, |_| ended(&end)),
            Ok(_) => {}
            Err(failure) => unread = Some(failure),
        }
    })?;
    unread.map_or(Ok(()), Err)
}

fn told(it: &TracedRequest, paint: Paint) -> String {
    let mut text = Sections { text: String::new(), paint, name: NAME };
    let at = rfc3339(i64::try_from(it.at / 1_000).unwrap_or(i64::MAX));
    text.section(&at_once(&at), Tone::Head, [format!("{} at {}", it.client, it.virtual_name)].iter());
    text.section("request", Tone::Head, &it.request);
    for step in &it.steps {
        tell(step, &mut text);
    }
    let from = it.member.as_ref().map_or(", without a member".to_owned(), |member| format!(" from {member}"));
    let (tone, status) = match it.status {
        Some(status) => (if status < 500 { Tone::Good } else { Tone::Bad }, status.to_string()),
        None => (Tone::Bad, "no answer".to_owned()),
    };
    let line = format!("{}{from} in {}", text.paint.on(tone, &status), nanoseconds(it.took));
    text.section("answer", Tone::Head, [line].iter());
    text.line();
    text.text
}

/// The time of a day.
fn at_once(time: &str) -> String {
    time.get(11..19).unwrap_or(time).to_owned()
}

fn ended(end: &TraceEnd) -> String {
    let TraceEnd { reason, shown, missed } = end;
    let why = if reason == "count" { "as many as were asked for" } else { "the time is up" };
    let missed = match missed {
        0 => String::new(),
        missed => format!("; {} came too quickly to be shown", count(*missed, "more request")),
    };
    format!("{} shown, {why}{missed}\n", count(*shown, "request"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample;

    #[test]
    fn what_is_told_of_a_request() {
        let request = TracedRequest {
            at: 1_780_000_000_123,
            virtual_name: "shop".to_owned(),
            client: "192.0.2.7:40000".to_owned(),
            request: vec!["GET /a HTTP/1.1".to_owned()],
            steps: sample::explained_request().steps.split_off(2),
            status: Some(200),
            member: Some("10.0.0.1:80".to_owned()),
            took: 1_234_000,
        };
        let expected = "\
20:26:40          192.0.2.7:40000 at shop
request           GET /a HTTP/1.1
persistence       the client is known by 192.0.2.7: it is bound to no member of pool web
selection         pool web, balance source-hash
                  POOL  MEMBER       WEIGHT  ACTIVE     WHY
                  web   10.0.0.1:80       1       3  →  the hash of the client's address leads to it
                  web   10.0.0.2:80       1       0     down: connection refused
answer            200 from 10.0.0.1:80 in 1.2ms

";
        assert_eq!(told(&request, Paint(false)), expected);
        let end = TraceEnd { reason: "time".to_owned(), shown: 1, missed: 3 };
        assert_eq!(
            ended(&end),
            "1 request shown, the time is up; 3 more requests came too quickly to be shown\n"
        );
    }
}
