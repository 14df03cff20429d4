//! Read head: what is refused before anything else looks at it, and what hop-by-hop means.

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Uri, Version, header};

use crate::http::fields;
use crate::http::phases::Transaction;
use crate::http::problem::Problem;

impl Transaction {
    /// Checks the head and makes it fit to be sent on.
    ///
    /// # Errors
    /// What the client did wrong.
    pub(super) fn read_head(&mut self, ordinal: u64) -> Result<(), Problem> {
        if let Some(refusal) = self.connection.findings.refusal(ordinal) {
            return Err(Problem::Framing(refusal));
        }
        let forwarded = self.view.virtual_.settings.forwarded;
        if self.body.is_larger_than_allowed() {
            return Err(Problem::BodyTooLarge);
        }
        let request = &mut self.exchange.request;
        if request.method == Method::CONNECT {
            return Err(Problem::Method);
        }
        if request.uri.scheme().is_some() || request.uri.authority().is_some() {
            absolute_to_origin(request)?;
        }
        let http_11 = request.version >= Version::HTTP_11;
        let requested = fields::prepare_request(&mut request.headers, http_11, forwarded, || {
            self.connection.forwarding()
        })?;
        if !http_11 && !request.headers.contains_key(header::HOST) {
            // HTTP/1.1 towards the member needs one; the address that the client came to is what it meant.
            if let Ok(host) = HeaderValue::from_str(&self.connection.flow.vip.to_string()) {
                request.headers.insert(header::HOST, host);
            }
        }
        self.upgrade = requested.upgrade;
        Ok(())
    }
}

/// RFC 9112 section 3.2.2: the authority of an absolute form stands for the host. A `Host` that says
/// something else (section 3.2 forbids it) is refused: whoever looks at the one would not see the other.
fn absolute_to_origin(request: &mut http::request::Parts) -> Result<(), Problem> {
    let uri = std::mem::take(&mut request.uri).into_parts();
    let (Some(scheme), Some(authority)) = (uri.scheme, uri.authority) else {
        return Err(Problem::BadRequest("a target of this form is for CONNECT"));
    };
    let default_port: &[u8] = if scheme == Scheme::HTTPS { b":443" } else { b":80" };
    let bare = |host: &[u8]| host.strip_suffix(default_port).unwrap_or(host).to_ascii_lowercase();
    let named = bare(authority.as_str().as_bytes());
    if request.headers.get_all(header::HOST).iter().any(|host| bare(host.as_bytes()) != named) {
        return Err(Problem::BadRequest("the target and Host differ"));
    }
    if request.version < Version::HTTP_11
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers.entry(header::HOST).or_insert(host);
    }
    let path = uri.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    request.uri = Uri::from(path);
    Ok(())
}
