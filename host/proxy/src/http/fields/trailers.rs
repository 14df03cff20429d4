//! Which fields may stand behind a body (RFC 9110 section 6.5.1).

use http::header::{self, HeaderMap, HeaderName};

use super::client_certificate::is_told;
use super::{HTTP2_SETTINGS, KEEP_ALIVE, LOOKED_FOR, PROXY_CONNECTION, looks_alike};

/// Removes the fields that have no meaning behind a body or a dangerous one: a receiver that joins them with the head would
/// take them for what was checked there. `nominated`: those that `Connection` named in the head (section 7.6.1).
pub(crate) fn prepare_trailers(trailers: &mut HeaderMap, nominated: &[HeaderName]) {
    let unfit = |name: &&HeaderName| {
        !may_trail(name) || looks_alike(name.as_str(), &LOOKED_FOR) || nominated.contains(*name)
    };
    let names: Vec<_> = trailers.keys().filter(unfit).cloned().collect();
    for name in names {
        trailers.remove(name);
    }
}

/// Whether a field is none of those for message framing, routing, authentication, request modifiers, response
/// controls and content format (RFC 9110 section 6.5.1), and nothing that Shunt says of the client.
fn may_trail(name: &HeaderName) -> bool {
    const UNFIT: [HeaderName; 46] = [
        // Framing and the connection.
        header::CONNECTION,
        header::CONTENT_LENGTH,
        HTTP2_SETTINGS,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        // Routing, and who the client is.
        header::FORWARDED,
        header::HOST,
        header::MAX_FORWARDS,
        header::VIA,
        // Authentication and state.
        header::AUTHORIZATION,
        header::COOKIE,
        header::ORIGIN,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::REFERER,
        header::SET_COOKIE,
        header::WWW_AUTHENTICATE,
        // Request modifiers.
        header::ACCEPT,
        header::ACCEPT_CHARSET,
        header::ACCEPT_ENCODING,
        header::ACCEPT_LANGUAGE,
        header::EXPECT,
        header::IF_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
        header::IF_UNMODIFIED_SINCE,
        header::PRAGMA,
        header::RANGE,
        header::USER_AGENT,
        // Response controls.
        header::AGE,
        header::CACHE_CONTROL,
        header::DATE,
        header::EXPIRES,
        header::LOCATION,
        header::RETRY_AFTER,
        header::VARY,
        header::WARNING,
        // Content format.
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
    ];
    !UNFIT.contains(name) && !name.as_str().starts_with("x-forwarded-") && !is_told(name.as_str())
}
