//! Where to ask.

use std::fmt;

use http::Uri;

use crate::error::Cause;

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub secure: bool,
    /// As it was written: `registry.example:5000`.
    pub authority: String,
    /// Without brackets.
    pub host: String,
    pub port: u16,
}

impl Origin {
    pub(crate) fn of(authority: &str, secure: bool) -> Result<Origin, Cause> {
        let wrong = || Cause::Location { url: authority.to_owned() };
        let read: http::uri::Authority = authority.parse().map_err(|_| wrong())?;
        // Nobody's name and password are sent to where an answer says.
        if read.host().is_empty() || authority.contains('@') {
            return Err(wrong());
        }
        let host = read.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = read.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Origin { secure, authority: authority.to_ascii_lowercase(), host, port })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub origin: Origin,
    /// Path and query: `/v2/team/canary/tags/list?n=10`.
    pub target: String,
}

impl Url {
    pub(crate) fn new(origin: &Origin, target: impl Into<String>) -> Url {
        Url { origin: origin.clone(), target: target.into() }
    }

    pub(crate) fn parse(text: &str) -> Result<Url, Cause> {
        let wrong = || Cause::Location { url: text.to_owned() };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let origin = Origin::of(uri.authority().ok_or_else(wrong)?.as_str(), secure)?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Url { origin, target: target.to_owned() })
    }

    /// Where an answer from here sends us. A registry behind something that ends TLS may take itself for one without:
    /// its own address stays as secure as it is.
    pub(crate) fn join(&self, location: &str) -> Result<Url, Cause> {
        if location.starts_with('/') && !location.starts_with("//") {
            let target: http::uri::PathAndQuery =
                location.parse().map_err(|_| Cause::Location { url: location.to_owned() })?;
            return Ok(Url::new(&self.origin, target.as_str()));
        }
        let mut url = Url::parse(location)?;
        if url.origin.authority == self.origin.authority {
            url.origin = self.origin.clone();
        }
        Ok(url)
    }

    /// With one more parameter in its query.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Url {
        let sign = if self.target.contains('?') { '&' } else { '?' };
        self.target.push(sign);
        self.target.push_str(&format!("{name}={}", encode(value)));
        self
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.origin.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.origin.authority, self.target)
    }
}

/// A value of a query or a form: all but the unreserved characters of RFC 3986, section 2.3, in percent signs.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn what_is_read_is_written() {
        for text in ["https://registry.example/v2/?a=b", "http://[::1]:5000/", "http://localhost:5000/token"]
        {
            assert_eq!(url(text).to_string(), text);
        }
        let six = url("http://[::1]:5000/").origin;
        assert_eq!((six.host.as_str(), six.port, six.secure), ("::1", 5000, false));
        assert_eq!(url("https://Registry.Example/").origin.port, 443);
        for text in ["", "/v2/", "ftp://a/", "https://", "https://user:word@a/", "https://a b/"] {
            assert!(matches!(Url::parse(text), Err(Cause::Location { .. })), "{text}");
        }
    }

    #[test]
    fn locations_are_joined() {
        let at = url("https://registry.example:5000/v2/a/blobs/uploads/");
        for (location, then) in [
            ("/v2/a/blobs/uploads/1?s=2", "https://registry.example:5000/v2/a/blobs/uploads/1?s=2"),
            ("https://other.example/x", "https://other.example/x"),
            // Its own address is not asked without TLS because it does not know better.
            ("http://registry.example:5000/x", "https://registry.example:5000/x"),
            ("http://other.example/x", "http://other.example/x"),
        ] {
            assert_eq!(at.join(location).unwrap().to_string(), then);
        }
        for location in ["//other.example/x", "x", "", "file:///etc/passwd"] {
            assert!(at.join(location).is_err(), "{location}");
        }
        let with = at.with("digest", "sha256:00").with("n", "a b");
        assert_eq!(with.target, "/v2/a/blobs/uploads/?digest=sha256%3A00&n=a%20b");
    }
}
