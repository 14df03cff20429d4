//! Read head: what is refused before anything else looks at it, and what hop-by-hop means.

use http::uri::PathAndQuery;
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
        let settings = &self.view.virtual_.settings;
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
        let host_needed = request.version >= Version::HTTP_11;
        let requested = fields::prepare_request(
            &mut request.headers,
            host_needed,
            &self.connection.forwarding,
            settings.forwarded,
        )?;
        if !host_needed && !request.headers.contains_key(header::HOST) {
            // HTTP/1.1 towards the member needs one; the address that the client came to is what it meant.
            if let Ok(host) = HeaderValue::from_str(&self.connection.flow.vip.to_string()) {
                request.headers.insert(header::HOST, host);
            }
        }
        self.upgrade = requested.upgrade;
        Ok(())
    }
}

/// RFC 9112 section 3.2.2: the authority of an absolute form stands in place of `Host`.
fn absolute_to_origin(request: &mut http::request::Parts) -> Result<(), Problem> {
    let uri = std::mem::take(&mut request.uri).into_parts();
    let host = uri.authority.as_ref().and_then(|it| HeaderValue::from_str(it.as_str()).ok());
    let host = host.ok_or(Problem::BadRequest("the target names no host"))?;
    request.headers.insert(header::HOST, host);
    let path = uri.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    request.uri = Uri::from(path);
    Ok(())
}
