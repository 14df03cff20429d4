//! Read head: what is refused before anything else looks at it, and what hop-by-hop means.

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header, request};
use http_body::Body as _;
use shunt_config::model::{Forwarded, ProxyKind};
use shunt_rules::Answer;
use shunt_wire::authority::{is_host, split_port};

use crate::http::fields;
use crate::http::phases::{BareOptions, Stop, Transaction};
use crate::http::problem::{ALLOWED, Problem};
use crate::http::target::Form;

impl Transaction {
    /// Checks the head and makes it fit to be sent on.
    ///
    /// # Errors
    /// What the client did wrong, or an answer that is Shunt's own.
    pub(super) fn read_head(&mut self) -> Result<(), Stop> {
        let settings = &self.view.virtual_.settings;
        let connection = &*self.stream.connection;
        let is_trusted = connection.is_trusted;
        let forwarded = match settings.forwarded {
            Forwarded::Replace if is_trusted => Forwarded::Append,
            configured => configured,
        };
        if self.body.is_larger_than_allowed() {
            return Err(Problem::BodyTooLarge.into());
        }
        let to_proxies = settings.proxy == ProxyKind::Forward;
        let request = &mut self.exchange.request;
        let connects = request.method == Method::CONNECT;
        if connects {
            if !to_proxies {
                return Err(Problem::Method.into());
            }
            if !self.body.is_end_stream() {
                // RFC 9110 section 9.3.6: what follows the head is the tunnel's.
                return Err(Problem::BadRequest("CONNECT has no body").into());
            }
            authority_to_host(request)?;
        } else if request.uri.scheme().is_some() || request.uri.authority().is_some() {
            let bare_options = request.extensions.remove::<BareOptions>().is_some();
            let scheme = absolute_to_origin(request, bare_options, to_proxies)?;
            if to_proxies {
                request.extensions.insert(Form::Absolute(scheme));
            }
        }
        if request.uri.path() == "*" && request.method != Method::OPTIONS {
            // RFC 9112 section 3.2.4.
            return Err(Problem::BadRequest("the target * is for OPTIONS").into());
        }
        let http_11 = request.version >= Version::HTTP_11;
        let requested = fields::prepare_request(&mut request.headers, http_11, forwarded, || {
            connection.told.forwarding(connection)
        })?;
        for (name, value) in connection.told.certificate(connection) {
            request.headers.insert(name, value.clone());
        }
        if settings.request_id {
            fields::identify(&mut request.headers, is_trusted);
        }
        if matches!(request.method, Method::OPTIONS | Method::TRACE) {
            count_forward(&request.method, &mut request.headers)?;
        }
        if !http_11 && !request.headers.contains_key(header::HOST) {
            // HTTP/1.1 towards the member needs one; the address that the client came to is what it meant.
            if let Ok(host) = HeaderValue::from_str(&connection.flow.vip.to_string()) {
                request.headers.insert(header::HOST, host);
            }
        }
        self.upgrade = requested.upgrade;
        self.connects = connects;
        self.trailers = requested.trailers;
        if !requested.nominated.is_empty() {
            // Empty until now: the head is read once.
            let _ = self.body_state.nominated.set(requested.nominated);
        }
        Ok(())
    }
}

/// RFC 9112 section 3.2.2: the authority of an absolute form stands for the host. A `Host` that says
/// something else (section 3.2 forbids it) is refused: a reader of the one would not see the other.
/// `bare_options`: the target has neither a path nor a query, and the method is OPTIONS. `any_scheme`: a forward proxy
/// may know other schemes than `http` and `https`. Returns the scheme.
fn absolute_to_origin(
    request: &mut request::Parts,
    bare_options: bool,
    any_scheme: bool,
) -> Result<Scheme, Problem> {
    let uri = std::mem::take(&mut request.uri).into_parts();
    let (Some(scheme), Some(authority)) = (uri.scheme, uri.authority) else {
        return Err(Problem::BadRequest("an authority-form target is for CONNECT"));
    };
    if !any_scheme && scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
        // What a target of another scheme means is that scheme's matter, and no member is asked by it (RFC 9110 section
        // 7.4). As in HTTP/2, where it is malformed.
        return Err(Problem::BadRequest("the scheme of the target is neither http nor https"));
    }
    let authority = authority.as_str().as_bytes();
    if !is_host(authority) {
        // User information is refused with it (RFC 9110 section 4.2.4).
        return Err(Problem::BadRequest("the target has no valid host"));
    }
    let port = match scheme.as_str() {
        "http" | "https" => default_port(scheme == Scheme::HTTPS),
        _ => b"",
    };
    let same = |host: &HeaderValue| is_same_authority_by(port, authority, host.as_bytes());
    if !request.headers.get_all(header::HOST).iter().all(same) {
        return Err(Problem::BadRequest("the target and Host differ"));
    }
    // The member gets what the target says.
    if let Ok(host) = HeaderValue::from_bytes(authority_by(port, authority)) {
        match request.headers.get_mut(header::HOST) {
            Some(first) => *first = host,
            None if request.version < Version::HTTP_11 => {
                request.headers.insert(header::HOST, host);
            }
            // HTTP/1.1 demands one all the same.
            None => {}
        }
    }
    let path = match uri.path_and_query {
        _ if bare_options => PathAndQuery::from_static("*"),
        None => PathAndQuery::from_static("/"),
        Some(path) if path.as_str().starts_with('/') => path,
        // RFC 9112 section 3.2.1: an empty path is sent as `/`, also before a query.
        Some(query) => PathAndQuery::try_from(format!("/{}", query.as_str()))
            .map_err(|_| Problem::BadRequest("the target is too long"))?,
    };
    request.uri = Uri::from(path);
    Ok(scheme)
}

/// RFC 9112 section 3.2.3: the target of CONNECT is a host and a port, and `Host` says the same. `Host` stands for both
/// then, and the form is noted.
fn authority_to_host(request: &mut request::Parts) -> Result<(), Problem> {
    let uri = std::mem::take(&mut request.uri).into_parts();
    let unfit = Problem::BadRequest("the target of CONNECT is not a host and a port");
    let (None, Some(authority), None) = (uri.scheme, uri.authority, uri.path_and_query) else {
        return Err(unfit);
    };
    let target = authority.as_str().as_bytes();
    let (name, port) = split_port(target);
    if !is_host(target) || port.is_none_or(<[u8]>::is_empty) {
        return Err(unfit);
    }
    let same = |host: &HeaderValue| {
        let host = split_port(host.as_bytes());
        // Clients leave the port out, or all of it.
        let port = host.1.filter(|port| !port.is_empty()).or(port);
        host.0.is_empty() || is_same((name, split_port(target).1), (host.0, port))
    };
    if !request.headers.get_all(header::HOST).iter().all(same) {
        return Err(Problem::BadRequest("the target and Host differ"));
    }
    // HTTP/1.1 demands one all the same.
    if request.version != Version::HTTP_11 || request.headers.contains_key(header::HOST) {
        let host = HeaderValue::from_bytes(target).map_err(|_| unfit)?;
        request.headers.insert(header::HOST, host);
    }
    // The tunnel is the protocol that is switched to.
    request.headers.remove(header::UPGRADE);
    request.uri = Uri::from(PathAndQuery::from_static("/"));
    request.extensions.insert(Form::Authority);
    Ok(())
}

/// An authority without the port of its scheme.
pub(crate) fn authority_of(authority: &[u8], https: bool) -> &[u8] {
    authority_by(default_port(https), authority)
}

fn authority_by<'a>(default_port: &[u8], authority: &'a [u8]) -> &'a [u8] {
    let (host, port) = normal(authority, default_port);
    &authority[..host.len() + port.map_or(0, |port| 1 + port.len())]
}

/// Whether the authority of a target and a `Host` beside it say the same.
pub(crate) fn is_same_authority(authority: &[u8], host: &[u8], https: bool) -> bool {
    is_same_authority_by(default_port(https), authority, host)
}

fn is_same_authority_by(default_port: &[u8], authority: &[u8], host: &[u8]) -> bool {
    // A client that leaves it empty says nothing else.
    host.is_empty() || is_same(normal(authority, default_port), normal(host, default_port))
}

fn default_port(https: bool) -> &'static [u8] {
    if https { b"443" } else { b"80" }
}

/// A host and its port, where that is not the one of the scheme (RFC 9110 section 4.2.3).
fn normal<'a>(authority: &'a [u8], default_port: &[u8]) -> (&'a [u8], Option<&'a [u8]>) {
    let (host, port) = split_port(authority);
    (host, port.filter(|port| !port.is_empty() && *port != default_port))
}

/// A name with a final dot is the same name: the dot says that nothing is to be added to it (RFC 3986 section
/// 3.2.2).
fn is_same(one: (&[u8], Option<&[u8]>), other: (&[u8], Option<&[u8]>)) -> bool {
    let bare = |host: &[u8]| host.len() - usize::from(host.ends_with(b"."));
    one.0[..bare(one.0)].eq_ignore_ascii_case(&other.0[..bare(other.0)]) && one.1 == other.1
}

/// RFC 9110 section 7.6.2: who gets `Max-Forwards: 0` answers as the last hop, else counts one less.
fn count_forward(method: &Method, headers: &mut HeaderMap) -> Result<(), Stop> {
    let mut values = headers.get_all(header::MAX_FORWARDS).iter();
    let Some(value) = values.next() else { return Ok(()) };
    let digits = value.as_bytes();
    if values.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Problem::BadRequest("Max-Forwards is not a number").into());
    }
    // More than fits is as good as no limit.
    let left =
        digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    let Some(left) = left.checked_sub(1) else {
        if *method == Method::TRACE {
            // What came is not shown: it may hold what only the server is to see (section 9.3.8).
            return Err(Problem::Method.into());
        }
        let headers = HeaderMap::from_iter([(header::ALLOW, ALLOWED)]);
        let answer = Answer { status: StatusCode::OK, headers, body: bytes::Bytes::new() };
        return Err(Stop::Answer(Box::new(answer)));
    };
    headers.insert(header::MAX_FORWARDS, HeaderValue::from(left));
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// What becomes of a target in absolute form; `None`: it is refused.
    fn origin(method: &str, target: &str, host: Option<&str>) -> Option<(String, Option<String>)> {
        let request = Request::builder().method(method).uri(target);
        let request = match host {
            Some(host) => request.header("host", host),
            None => request.version(Version::HTTP_10),
        };
        let mut request = request.body(()).unwrap().into_parts().0;
        let bare_options = method == "OPTIONS" && target == "http://h";
        absolute_to_origin(&mut request, bare_options, false).ok()?;
        let host = request.headers.get("host").map(|host| host.to_str().unwrap().to_owned());
        Some((request.uri.to_string(), host))
    }

    #[test]
    fn absolute_targets_become_paths() {
        for (method, target, path) in [
            ("GET", "http://h", "/"),
            ("GET", "http://h/", "/"),
            ("GET", "http://h/a?b", "/a?b"),
            ("GET", "http://h?x=1", "/?x=1"),
            ("GET", "http://h?", "/?"),
            ("GET", "http://h??", "/??"),
            ("GET", "http://h//a", "//a"),
            ("GET", "https://h?/a", "/?/a"),
            ("OPTIONS", "http://h?x", "/?x"),
            ("OPTIONS", "http://h/", "/"),
            // RFC 9112 section 3.2.4.
            ("OPTIONS", "http://h", "*"),
        ] {
            let found = origin(method, target, Some("h"));
            assert_eq!(found, Some((path.to_owned(), Some("h".to_owned()))), "{method} {target}");
        }
    }

    #[test]
    fn the_target_says_which_host() {
        for (authority, host, expected) in [
            ("h", "h", "h"),
            ("h", "H", "h"),
            ("H", "h:80", "H"),
            ("h:80", "h", "h"),
            ("h:", "h", "h"),
            ("h", "h:", "h"),
            ("h.", "h", "h."),
            ("h", "h.", "h"),
            ("h.:80", "h", "h."),
            ("h", "", "h"),
            ("h:81", "", "h:81"),
            ("h:81", "h.:81", "h:81"),
            ("[::1]:80", "[::1]", "[::1]"),
        ] {
            let found = origin("GET", &format!("http://{authority}/"), Some(host));
            assert_eq!(found, Some(("/".to_owned(), Some(expected.to_owned()))), "{authority} {host:?}");
        }
        let old = |target: &str| origin("GET", target, None).and_then(|(_, host)| host);
        assert_eq!(old("http://h:80/").as_deref(), Some("h"));
        assert_eq!(old("https://h:443/").as_deref(), Some("h"));
        assert_eq!(old("https://h:80/").as_deref(), Some("h:80"));
    }

    #[test]
    fn targets_that_are_no_such_or_differ_from_the_host_are_refused() {
        for (authority, host) in [
            ("h", "i"),
            ("h", "h:81"),
            ("h:81", "h"),
            ("h:443", "h"),
            ("h", "h.."),
            ("h", "h:80:80"),
            ("h:abc", "h:abc"),
            ("user@h", "h"),
            ("user@h", ""),
            ("user@h", "user@h"),
        ] {
            assert_eq!(
                origin("GET", &format!("http://{authority}/"), Some(host)),
                None,
                "{authority} {host}"
            );
        }
        assert_eq!(origin("GET", "http://user@h/", None), None, "nor in HTTP/1.0");
        assert_eq!(origin("GET", "h:80", Some("h:80")), None);
        for scheme in ["ftp", "ws", "wss", "urn", "httpx", "h"] {
            assert_eq!(origin("GET", &format!("{scheme}://h/"), Some("h")), None, "{scheme}");
        }
        assert!(origin("GET", "HTTP://h/", Some("h")).is_some(), "RFC 3986 section 3.1");
    }

    #[test]
    fn forward_proxies_may_know_other_schemes() {
        let request = Request::get("ftp://h:80/a").version(Version::HTTP_10).body(()).unwrap();
        let mut request = request.into_parts().0;
        assert_eq!(absolute_to_origin(&mut request, false, true).unwrap().as_str(), "ftp");
        assert_eq!(request.uri, "/a");
        assert_eq!(request.headers["host"], "h:80");
    }

    /// RFC 9112 section 3.2.3.
    #[test]
    fn the_target_of_connect_is_a_host_and_a_port() {
        let connect = |target: &str, version, host: Option<&str>| {
            let mut request = Request::connect(target).version(version);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let mut request = request.body(()).unwrap().into_parts().0;
            authority_to_host(&mut request).ok()?;
            assert_eq!(request.uri, "/");
            Some(request.headers.get("host").map(|host| host.to_str().unwrap().to_owned()))
        };
        let v11 = |target: &str, host: &str| connect(target, Version::HTTP_11, Some(host)).flatten();
        for host in ["h:443", "H:443", "h", "", "h:", "h."] {
            assert_eq!(v11("h:443", host).as_deref(), Some("h:443"), "{host:?}");
        }
        assert_eq!(v11("[::1]:443", "[::1]:443").as_deref(), Some("[::1]:443"));
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(connect("h:443", version, None).flatten().as_deref(), Some("h:443"));
        }
        assert_eq!(connect("h:443", Version::HTTP_11, None), Some(None), "HTTP/1.1 demands a Host");
        for (target, host) in [
            ("h:443", "i:443"),
            ("h:443", "h:80"),
            ("h", "h"),
            ("h:", "h"),
            ("user@h:443", "h:443"),
            ("http://h:443/", "h:443"),
            ("/", "h"),
            ("*", "h"),
        ] {
            assert_eq!(v11(target, host), None, "{target} {host}");
        }
    }

    #[test]
    fn forwards_are_counted_down() {
        let counted = |method: Method, values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("max-forwards", HeaderValue::from_static(value));
            }
            let result = count_forward(&method, &mut headers);
            match result {
                Ok(()) => Ok(headers.get("max-forwards").map(|left| left.to_str().unwrap().to_owned())),
                Err(Stop::Answer(answer)) => Err(answer.status.as_u16()),
                Err(Stop::Problem(Problem::Method)) => Err(405),
                Err(Stop::Problem(_) | Stop::Reset | Stop::Apart) => Err(400),
            }
        };
        let left = |left: &str| Ok(Some(left.to_owned()));
        assert_eq!(counted(Method::OPTIONS, &[]), Ok(None));
        assert_eq!(counted(Method::OPTIONS, &["1"]), left("0"));
        assert_eq!(counted(Method::TRACE, &["010"]), left("9"));
        assert_eq!(counted(Method::OPTIONS, &["99999999999999999999"]), left("18446744073709551614"));
        for zero in ["0", "00"] {
            assert_eq!(counted(Method::OPTIONS, &[zero]), Err(200));
            assert_eq!(counted(Method::TRACE, &[zero]), Err(405));
        }
        for wrong in [&[""][..], &["-1"], &["+1"], &["x"], &["1, 2"], &["1 2"], &["0", "1"], &["1", "1"]] {
            assert_eq!(counted(Method::OPTIONS, wrong), Err(400), "{wrong:?}");
        }
    }
}
