//! `shunt explain http`

use http::Method;
use shunt_api::explain::{ExplainedRequest, HostCalled, RequestStep, RuleCalled};
use shunt_api::requests::AskedRequest;

use super::{Sections, members};
use crate::admin::unasked;
use crate::cli::args::RequestArgs;
use crate::cli::client::{Body, Client};
use crate::cli::failure::{Exit, Failure};
use crate::cli::format::{count, nanoseconds};
use crate::cli::screen::{Paint, Screen, Tone};
use crate::control;

/// Traces how a request would be handled.
///
/// # Errors
/// No daemon answers, the configuration cannot be used, or there is no such request.
pub(in crate::cli) fn explain(args: &RequestArgs, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let asked = asked(args);
    let explained = match &args.config {
        Some(path) => {
            let explained = control::explain_http_of(path, &asked)
                .map_err(|error| Failure::not_applied(&error, "the configuration cannot be used"))?;
            explained.map_err(|why| Failure::refused(Exit::Failed, &unasked(why)))?
        }
        None => {
            let body = serde_json::to_value(&asked).map_err(|error| Failure::failed("usage", error))?;
            let answer = client.ask(Method::POST, &["explain", "http"], Body::Json(body))?;
            client.read(&answer)?
        }
    };
    let answer = serde_json::to_value(&explained).map_err(|error| Failure::failed("system", error))?;
    screen.show(&answer, |paint| told(&explained, paint));
    Ok(())
}

/// What is asked, as curl would send it.
fn asked(args: &RequestArgs) -> AskedRequest {
    let RequestArgs { url, method, headers, data, http1, http2, from, to, config: _ } = args;
    let mut headers = headers.clone();
    let says_type = headers.iter().any(|it| it.to_ascii_lowercase().starts_with("content-type:"));
    if data.is_some() && !says_type {
        headers.push("Content-Type: application/x-www-form-urlencoded".to_owned());
    }
    AskedRequest {
        url: url.clone(),
        method: method.clone(),
        headers,
        body: data.clone(),
        version: match (http1, http2) {
            (true, _) => Some("1.1".to_owned()),
            (_, true) => Some("2".to_owned()),
            _ => None,
        },
        from: from.clone(),
        to: to.clone(),
    }
}

/// Members that are shown of a pool.
const MOST_MEMBERS: usize = 24;

/// How wide the names of phases are.
pub(super) const NAME: usize = 17;

fn told(it: &ExplainedRequest, paint: Paint) -> String {
    let mut text = Sections { text: String::new(), paint, name: NAME };
    let assumed =
        |is: bool, flag: &str| if is { format!(" (assumed; {flag} says another)") } else { String::new() };
    let ends = [
        format!("{}{}", it.client, assumed(it.client_is_assumed, "--from")),
        format!("connects to {}{}", it.vip, assumed(it.vip_is_assumed, "--to")),
    ];
    text.section("client", Tone::Head, &ends);
    text.section("request", Tone::Head, &it.request);
    if !it.live {
        let unknown =
            ["of a file: every member counts as up, no client is bound, nothing is in flight".to_owned()];
        text.section("state", Tone::Faint, &unknown);
    }
    text.line();
    for step in &it.steps {
        tell(step, &mut text);
    }
    let outcome = &it.outcome;
    for (name, lines) in [("sent", &outcome.sent), ("answer", &outcome.answer)] {
        if !lines.is_empty() {
            text.line();
            text.section(name, Tone::Head, lines);
        }
    }
    text.line();
    let tone = if outcome.action == "send" { Tone::Good } else { Tone::Bad };
    let verdict = [format!("{}: {}", text.paint.on(tone, &outcome.action), outcome.means)];
    text.section("verdict", Tone::Head, &verdict);
    text.text
}

pub(super) fn tell(step: &RequestStep, text: &mut Sections) {
    if let Some(rule) = &step.rule {
        let tone = if rule.verdict == "fault" { Tone::Bad } else { Tone::Good };
        return text.section(&step.phase, tone, &called(rule));
    }
    text.section(&step.phase, Tone::Good, &step.found);
    if step.members.is_empty() {
        return;
    }
    let (chosen, others): (Vec<_>, Vec<_>) = step.members.iter().cloned().partition(|it| it.chosen);
    let shown: Vec<_> = match step.members.len() {
        ..=MOST_MEMBERS => step.members.clone(),
        _ => chosen.into_iter().chain(others).take(MOST_MEMBERS).collect(),
    };
    let table = members(&shown).render(text.paint);
    text.section("", Tone::Plain, &table.lines().map(str::to_owned).collect::<Vec<_>>());
    if let Some(more @ 1..) = step.members.len().checked_sub(shown.len()) {
        let more = format!("and {}, which `-o json` has", count(more, "more member"));
        text.section("", Tone::Plain, [more].iter());
    }
}

/// A call of a rule: what it said, and beneath it what it asked for.
fn called(rule: &RuleCalled) -> Vec<String> {
    let mut lines = vec![format!("{} says: {} ({})", rule.rule, rule.said, nanoseconds(rule.took))];
    lines.extend(rule.calls.iter().map(asked_for));
    if rule.more_calls > 0 {
        lines.push(format!("  and {} more calls", rule.more_calls));
    }
    lines
}

fn asked_for(call: &HostCalled) -> String {
    let HostCalled { function, arguments, result, changes } = call;
    let verb = if *changes { "changes" } else { "reads" };
    let result = result.as_ref().map(|it| format!(" → {it}")).unwrap_or_default();
    format!("  {verb:<7} {function}({}){result}", arguments.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample;

    #[test]
    fn what_is_told() {
        let explained: ExplainedRequest =
            serde_json::from_value(serde_json::to_value(sample::explained_request()).unwrap()).unwrap();
        let expected = "\
client            192.0.2.7:40000
                  connects to 203.0.113.1:80 (assumed; --to says another)
request           GET /a HTTP/1.1
                  host: shop.example

virtual           shop listens on 203.0.113.1:80, http
on-request        shop/canary says: to primary (pool web) (3.2µs)
                    reads   request.header(\"x-beta\") → none
                    changes request.set-path(\"/b\")
persistence       the client is known by 192.0.2.7: it is bound to no member of pool web
selection         pool web, balance source-hash
                  POOL  MEMBER       WEIGHT  ACTIVE     WHY
                  web   10.0.0.1:80       1       3  →  the hash of the client's address leads to it
                  web   10.0.0.2:80       1       0     down: connection refused

sent              GET /b HTTP/1.1
                  host: shop.example

verdict           send: the request is sent to 10.0.0.1:80 of pool web
";
        assert_eq!(told(&explained, Paint(false)), expected);
    }

    #[test]
    fn of_a_large_pool_some_members_are_shown_and_the_chosen_one_among_them() {
        let mut explained = sample::explained_request();
        let members = &mut explained.steps[3].members;
        let chosen = members.remove(0);
        *members = vec![members[0].clone(); 40];
        members.push(chosen);
        let text = told(&explained, Paint(false));
        assert_eq!(text.matches("connection refused").count(), 23, "{text}");
        assert!(
            text.contains("→  the hash of the client's address")
                && text.contains("and 17 more members, which")
        );
    }

    #[test]
    fn data_is_sent_as_curl_sends_it() {
        let args = RequestArgs {
            url: "http://h/".to_owned(),
            method: None,
            headers: vec!["X-A: b".to_owned()],
            data: Some("a=b".to_owned()),
            http1: false,
            http2: true,
            from: None,
            to: None,
            config: None,
        };
        let asked = asked(&args);
        assert_eq!(asked.headers, ["X-A: b", "Content-Type: application/x-www-form-urlencoded"]);
        assert_eq!((asked.version.as_deref(), asked.body.as_deref()), (Some("2"), Some("a=b")));
    }
}
