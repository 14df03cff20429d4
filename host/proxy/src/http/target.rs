//! The target of a request to a forward proxy, which says more than a path (RFC 9112 section 3.2).

use http::uri::Scheme;
use http::{header, request};
use shunt_engine::hash;

/// In the extensions of a request: its target is in this form, and `Host` is its authority. The path and the query are
/// those of the URI, as rules see them. Without it the target is in origin-form.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// Of a resource with this scheme.
    Absolute(Scheme),
    /// Of CONNECT.
    Authority,
}

/// Appends the target of a request.
pub(crate) fn write(out: &mut Vec<u8>, request: &request::Parts) {
    let path = request.uri.path_and_query().map_or("/", |it| it.as_str());
    let Some(form) = request.extensions.get::<Form>() else { return out.extend_from_slice(path.as_bytes()) };
    if let Form::Absolute(scheme) = form {
        out.extend_from_slice(scheme.as_str().as_bytes());
        out.extend_from_slice(b"://");
    }
    out.extend_from_slice(authority(request));
    // Section 3.2.4: the last proxy makes the asterisk of a target without a path.
    if matches!(form, Form::Absolute(_)) && path != "*" {
        out.extend_from_slice(path.as_bytes());
    }
}

/// The hash of a target, for balancers: the same for all that name one resource alike but for the case of its host.
/// `any_host`: one in origin-form is hashed with its host.
pub(crate) fn hash(request: &request::Parts, any_host: bool) -> u64 {
    let mut target = Vec::new();
    let form = request.extensions.get::<Form>();
    if any_host && form.is_none() {
        target.extend_from_slice(authority(request));
    }
    let host = 0..target.len();
    write(&mut target, request);
    let host = match form {
        None => host,
        Some(Form::Authority) => 0..target.len(),
        Some(Form::Absolute(scheme)) => {
            let begin = scheme.as_str().len() + "://".len();
            begin..begin + authority(request).len()
        }
    };
    target[host].make_ascii_lowercase();
    hash::stable(&target)
}

fn authority(request: &request::Parts) -> &[u8] {
    request.headers.get(header::HOST).map_or(b"", |host| host.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn request(form: Option<Form>, host: &str, path: &str) -> request::Parts {
        let request = Request::get(path).header("host", host).body(()).unwrap();
        let mut parts = request.into_parts().0;
        if let Some(form) = form {
            parts.extensions.insert(form);
        }
        parts
    }

    #[test]
    fn targets_are_written_in_their_form() {
        let http = || Some(Form::Absolute(Scheme::HTTP));
        for (form, host, path, target) in [
            (None, "h", "/a?b", "/a?b"),
            (None, "h", "*", "*"),
            (http(), "h", "/a?b", "http://h/a?b"),
            (http(), "h:81", "/", "http://h:81/"),
            (http(), "h", "*", "http://h"),
            (Some(Form::Authority), "h:443", "/", "h:443"),
        ] {
            let mut out = Vec::new();
            write(&mut out, &request(form, host, path));
            assert_eq!(out, target.as_bytes());
        }
    }

    #[test]
    fn hashes_are_of_what_is_asked_for() {
        let http = || Some(Form::Absolute(Scheme::HTTP));
        let of = |form, host, path| hash(&request(form, host, path), false);
        assert_eq!(of(http(), "H.Example", "/A"), of(http(), "h.example", "/A"));
        assert_eq!(of(Some(Form::Authority), "H:443", "/"), of(Some(Form::Authority), "h:443", "/"));
        assert_eq!(of(None, "h", "/a"), of(None, "i", "/a"));
        let of_any = |host, path| hash(&request(None, host, path), true);
        assert_eq!(of_any("H", "/a"), of_any("h", "/a"));
        assert_ne!(of_any("h", "/a"), of_any("i", "/a"));
        assert_ne!(of(None, "h", "/a"), of(None, "h", "/A"));
        assert_ne!(of(http(), "h", "/a"), of(http(), "h", "/A"));
        assert_ne!(of(http(), "h", "/a"), of(http(), "i", "/a"));
        assert_ne!(of(http(), "h", "/a"), of(Some(Form::Absolute(Scheme::HTTPS)), "h", "/a"));
    }
}
