//! What members are told of a client's certificate, and what no client can tell them.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use shunt_config::tls::CertificateField;

/// The field that says it.
fn name(field: CertificateField) -> HeaderName {
    HeaderName::from_static(match field {
        CertificateField::Subject => "x-client-cert-subject",
        CertificateField::Issuer => "x-client-cert-issuer",
        CertificateField::Serial => "x-client-cert-serial",
        CertificateField::Sha256 => "x-client-cert-sha256",
        CertificateField::NotBefore => "x-client-cert-not-before",
        CertificateField::NotAfter => "x-client-cert-not-after",
        CertificateField::San => "x-client-cert-san",
        CertificateField::Pem => "x-client-cert-pem",
        CertificateField::Der => "client-cert",
    })
}

/// The fields that say what is known of a certificate.
pub(super) fn fields(described: &[(CertificateField, String)]) -> Vec<(HeaderName, HeaderValue)> {
    // It is visible ASCII by construction.
    let described = described.iter();
    described.filter_map(|(field, text)| Some((name(*field), HeaderValue::try_from(text).ok()?))).collect()
}

/// Whether a name is one of these fields, `Client-Cert-Chain` (RFC 9440 section 2.3), or one that a member may read as
/// such: once every sign is the same.
pub(super) fn is_told(name: &str) -> bool {
    let name = name.as_bytes();
    let name = match name {
        [b'x', sign, rest @ ..] if !sign.is_ascii_alphanumeric() => rest,
        other => other,
    };
    let [b'c', b'l', b'i', b'e', b'n', b't', sign, b'c', b'e', b'r', b't', behind @ ..] = name else {
        return false;
    };
    !sign.is_ascii_alphanumeric() && !behind.first().is_some_and(u8::is_ascii_alphanumeric)
}

/// Removes what a client says of certificates, whatever is configured: members that believe these fields of Shunt may be
/// behind a virtual that asks for none.
#[cold]
pub(super) fn remove(headers: &mut HeaderMap) {
    let names: Vec<_> = headers.keys().filter(|name| is_told(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_vouch_for_a_certificate_are_known() {
        use CertificateField::{Der, Issuer, NotAfter, NotBefore, Pem, San, Serial, Sha256, Subject};
        for field in [Subject, Issuer, Serial, Sha256, NotBefore, NotAfter, San, Pem, Der] {
            assert!(is_told(name(field).as_str()), "{field:?}");
        }
        for name in [
            "client-cert-chain",
            "x_client_cert_subject",
            "client_cert",
            "x-client.cert",
            "x-client-cert-new",
        ] {
            assert!(is_told(name), "{name}");
        }
        for name in
            ["client-certificate", "x-client", "cert", "x-xclient-cert", "client-id", "xclient-cert", ""]
        {
            assert!(!is_told(name), "{name}");
        }
    }
}
