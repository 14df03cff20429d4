//! How a request would be handled, by what runs or by a configuration that does not.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Uri};
use shunt_api::explain::ExplainedRequest;
use shunt_api::requests::AskedRequest;
use shunt_config::Document;
use shunt_proxy::explain::{Query, Spoken, Unasked, explain};
use shunt_runtime::Snapshot;
use shunt_runtime::registry::Registry;
use tokio::sync::Mutex;

use super::history::Running;
use super::next::Builder;
use super::plan::{Compiled, Plan, apart};
use super::rules::Histories;
use super::{Aborted, ApplyError, Control, off_thread};

impl From<Aborted> for Unasked {
    fn from(Aborted(why): Aborted) -> Unasked {
        Unasked::System(why)
    }
}

/// Explains a request by what runs. Nothing waits for it.
///
/// # Errors
/// There is no such request, or no virtual that serves it.
pub async fn explain_http(
    control: &Mutex<Control>,
    asked: &AskedRequest,
) -> Result<ExplainedRequest, Unasked> {
    let query = query(asked)?;
    let snapshot = control.lock().await.snapshot.load_full();
    let mut explained = off_thread(move || explain(&snapshot, &query, true)).await?;
    control.lock().await.tell_reasons(&mut explained);
    Ok(explained)
}

/// Explains a request by the configuration of a file, of which nothing runs: every member counts as up, no client is
/// bound, and nothing is in flight.
///
/// # Errors
/// The configuration cannot be used; within: there is no such request, or no virtual that serves it.
pub fn explain_http_of(
    path: &Path,
    asked: &AskedRequest,
) -> Result<Result<ExplainedRequest, Unasked>, ApplyError> {
    let query = match query(asked) {
        Ok(query) => query,
        Err(why) => return Ok(Err(why)),
    };
    let snapshot = snapshot_of(path)?;
    Ok(explain(&snapshot, &query, false))
}

/// What a configuration would run.
fn snapshot_of(path: &Path) -> Result<Arc<Snapshot>, ApplyError> {
    let document = Document::read(path).map_err(ApplyError::Config)?;
    let shown = Arc::new(ArcSwap::from_pointee(Snapshot::empty()));
    let plan = apart(&shown)?.plan(document, &mut Compiled::default())?;
    let Plan { config, rules: planned, tls, pages, cookie_keys, .. } = plan;
    let mut rules = Histories::new();
    for (name, plan) in planned {
        let history = rules.entry(name).or_default();
        let Some((loaded, attachment, using)) = plan.run else { continue };
        let number = history.add(loaded, 0);
        history.run(Running { number, attachment, using });
    }
    let (before, mut registry) = (Snapshot::empty(), Registry::new(1, [0; 2]));
    let (snapshot, _) = Builder::new(&before, &rules, &mut registry).build(&config, tls, pages, cookie_keys);
    // Rules look at pools there.
    shown.store(Arc::new(snapshot));
    Ok(shown.load_full())
}

impl Control {
    /// Says of members that are down what their monitors say.
    fn tell_reasons(&self, explained: &mut ExplainedRequest) {
        let members = explained.steps.iter_mut().flat_map(|step| &mut step.members);
        for member in members.filter(|it| it.standing == "down") {
            let address = member.member.parse::<SocketAddr>().ok();
            if let Some(reason) = address.and_then(|it| self.monitors.reason(&member.pool, it)) {
                member.why = format!("down: {reason}");
            }
        }
    }
}

/// The port of a client of which only the address is said: of the dynamic ones (RFC 6335 section 6).
const PORT: u16 = 50_000;

/// # Errors
/// What a client cannot ask for.
fn query(asked: &AskedRequest) -> Result<Query, Unasked> {
    let AskedRequest { url, method, headers, body, version, from, to } = asked;
    let no = |why: String| Unasked::NotARequest(why);
    let uri: Uri = url.parse().map_err(|error| no(format!("{url:?} is not a URL: {error}")))?;
    let parts = uri.into_parts();
    let https = match (&parts.scheme, &parts.authority) {
        (Some(scheme), Some(_)) if *scheme == Scheme::HTTP => false,
        (Some(scheme), Some(_)) if *scheme == Scheme::HTTPS => true,
        _ => return Err(no(format!("{url:?} is not a URL with http:// or https:// and a host"))),
    };
    let authority = parts.authority.ok_or_else(|| no(format!("{url:?} has no host")))?;
    let body = body.clone().map(Bytes::from).unwrap_or_default();
    let method = match method {
        Some(method) => {
            Method::from_bytes(method.as_bytes()).map_err(|_| no(format!("{method:?} is no method")))?
        }
        None if body.is_empty() => Method::GET,
        None => Method::POST,
    };
    let field = |line: &String| match line.split_once(':') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err(no(format!("{line:?} is no field; write it as `name: value`"))),
    };
    let address = |text: &String| {
        let whole = text.parse::<SocketAddr>();
        whole.or_else(|_| text.parse::<IpAddr>().map(|it| SocketAddr::new(it, PORT))).map_err(|_| {
            no(format!("{text:?} is neither an address nor an address and port; write 192.0.2.7 or [2001:db8::7]:40000"))
        })
    };
    let place = |text: &String| {
        text.parse::<SocketAddr>().map_err(|_| {
            no(format!("{text:?} is not an address and port; write 203.0.113.1:80 or [2001:db8::1]:80"))
        })
    };
    let version = match version.as_deref() {
        None => None,
        Some("1.1") => Some(Spoken::Http1),
        Some("2") => Some(Spoken::Http2),
        Some(other) => return Err(no(format!("{other:?} is no version of HTTP here; use 1.1 or 2"))),
    };
    Ok(Query {
        https,
        authority,
        target: parts.path_and_query.unwrap_or(PathAndQuery::from_static("/")),
        method,
        headers: headers.iter().map(field).collect::<Result<_, _>>()?,
        body,
        version,
        from: from.as_ref().map(address).transpose()?,
        to: to.as_ref().map(place).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Two virtuals, of which one binds clients by a cookie.
    const CONFIG: &str = r#"
[[virtual]]
name = "shop"
listen = "127.0.0.1:8080"
protocol = "http"
pool = "web"
limits = { body = "8B" }

[[virtual]]
name = "bound"
listen = "127.0.0.1:8081"
protocol = "http"
pool = "spare"
persistence = { cookie = "SHUNT" }

[[pool]]
name = "web"
balance = "source-hash"
members = [{ address = "192.0.2.11:80" }, { address = "192.0.2.12:80", weight = 0 }]

[[pool]]
name = "spare"
members = [{ address = "192.0.2.21:80" }]
"#;

    fn asked(url: &str) -> AskedRequest {
        AskedRequest { url: url.to_owned(), ..AskedRequest::default() }
    }

    fn told(asked: &AskedRequest) -> Result<ExplainedRequest, Unasked> {
        told_by(CONFIG, asked)
    }

    fn told_by(config: &str, asked: &AskedRequest) -> Result<ExplainedRequest, Unasked> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shunt.toml");
        fs::write(&path, config).unwrap();
        explain_http_of(&path, asked).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_request_is_explained_to_its_member() {
        let asked = AskedRequest {
            headers: vec!["Cookie: secret=1".to_owned(), "X-A: b".to_owned()],
            ..asked("http://shop.example:8080/a?b")
        };
        let it = told(&asked).unwrap();
        assert_eq!(
            (&*it.virtual_name, it.live, it.client_is_assumed, it.vip_is_assumed),
            ("shop", false, true, true)
        );
        assert_eq!(it.request[..2], ["GET /a?b HTTP/1.1", "host: shop.example:8080"]);
        assert_eq!(it.outcome.action, "send", "{it:#?}");
        assert_eq!(
            (it.outcome.pool.as_deref(), it.outcome.member.as_deref()),
            (Some("web"), Some("192.0.2.11:80"))
        );
        assert!(it.outcome.sent.contains(&"x-a: b".to_owned()), "{:?}", it.outcome.sent);
        assert!(!format!("{it:?}").contains("secret"), "{it:?}");
        let selection = it.steps.iter().find(|it| it.phase == "selection").unwrap();
        let standings: Vec<&str> = selection.members.iter().map(|it| it.standing.as_str()).collect();
        assert_eq!(standings, ["hash", "weight-zero"]);
    }

    #[test]
    fn what_shunt_answers_is_explained() {
        let too_large =
            AskedRequest { body: Some("nine byte".to_owned()), ..asked("http://127.0.0.1:8080/") };
        let it = told(&too_large).unwrap();
        assert_eq!((&*it.outcome.action, it.outcome.status), ("answer", Some(413)), "{it:#?}");
        let it = told(&asked("http://127.0.0.1:8081/")).unwrap();
        let response = it.steps.iter().find(|it| it.phase == "response").unwrap();
        assert_eq!(response.found, ["binds the client by the cookie SHUNT"], "{it:#?}");
        let refused =
            AskedRequest { headers: vec!["Host: a b".to_owned()], ..asked("http://127.0.0.1:8080/") };
        assert_eq!(told(&refused).unwrap().outcome.status, Some(400));
        let http2 = AskedRequest { version: Some("2".to_owned()), ..asked("http://127.0.0.1:8080/") };
        assert_eq!(told(&http2).unwrap().outcome.action, "close");
    }

    #[test]
    fn a_transparent_virtual_takes_requests_to_any_address() {
        let redirected = r#"
[[virtual]]
name = "redirected"
listen = "127.0.0.1:3128"
protocol = "http"
transparent = true
pool = "web"
"#;
        let it = told_by(&format!("{redirected}{CONFIG}"), &asked("http://203.0.113.9/")).unwrap();
        assert_eq!(
            (&*it.virtual_name, &*it.vip, &*it.client),
            ("redirected", "203.0.113.9:80", "192.0.2.1:50000")
        );
    }

    #[test]
    fn explain_leaves_the_level_of_the_log() {
        let level = tracing::level_filters::LevelFilter::current;
        let before = level();
        told(&asked("http://127.0.0.1:8080/")).unwrap();
        assert_eq!(level(), before);
    }

    #[test]
    fn what_is_no_request_to_a_virtual_is_refused_with_a_remedy() {
        let refused = |asked: &AskedRequest| match told(asked) {
            Err(Unasked::NoVirtual { message, help }) => format!("{message}; {help}"),
            Err(Unasked::NotARequest(why) | Unasked::System(why)) => why,
            Ok(it) => panic!("{it:#?}"),
        };
        for (url, expected) in [
            (
                "http://127.0.0.1:9/",
                "no proxy virtual listens on 127.0.0.1:9; those that serve requests: shop on",
            ),
            ("http://shop.example/", "no proxy virtual listens on port 80"),
            ("https://127.0.0.1:8080/", "virtual shop speaks no TLS; write http:// in place of https://"),
            ("ftp://127.0.0.1/", "is not a URL with http:// or https:// and a host"),
            ("/", "is not a URL with"),
        ] {
            let text = refused(&asked(url));
            assert!(text.contains(expected), "{url}: {text}");
        }
        let families =
            AskedRequest { from: Some("2001:db8::7".to_owned()), ..asked("http://127.0.0.1:8080/") };
        assert!(refused(&families).contains("different IP families"));
    }
}
