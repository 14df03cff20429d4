//! What is said of a client's certificate, in text that fits a header field.

use std::fmt::Write as _;
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use base64ct::{Base64, Encoding as _};
use shunt_config::tls::CertificateField;
use shunt_rules::{CertificateFacts, ClientCertificate};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

use super::{now, rfc3339};

/// Whether a certificate, DER, is valid by its dates: a session that is resumed may have outlived it.
pub fn is_in_date(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, it)| {
        let validity = it.validity();
        (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now())
    })
}

/// A certificate that a client showed, DER, which rules may ask about.
#[derive(Debug)]
pub struct Shown(Vec<u8>);

impl Shown {
    pub fn new(der: &[u8]) -> Shown {
        Shown(der.to_vec())
    }
}

impl ClientCertificate for Shown {
    fn facts(&self) -> CertificateFacts {
        let Ok((_, certificate)) = X509Certificate::from_der(&self.0) else {
            return CertificateFacts::default();
        };
        let validity = certificate.validity();
        CertificateFacts {
            subject: name(certificate.subject()),
            issuer: name(certificate.issuer()),
            serial: hex(certificate.raw_serial()).to_ascii_uppercase(),
            sha256: hex(digest(&SHA256, &self.0).as_ref()),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            names: each_alternative_name(&certificate),
        }
    }

    fn pem(&self) -> String {
        armoured(&self.0)
    }
}

/// What these fields say of a certificate, DER: visible ASCII and spaces. A field that it has not is left out.
pub fn describe(der: &[u8], fields: &[CertificateField]) -> Vec<(CertificateField, String)> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let text = |field| {
        Some(match field {
            CertificateField::Subject => name(certificate.subject()),
            CertificateField::Issuer => name(certificate.issuer()),
            CertificateField::Serial => hex(certificate.raw_serial()).to_ascii_uppercase(),
            CertificateField::Sha256 => hex(digest(&SHA256, der).as_ref()),
            CertificateField::NotBefore => rfc3339(certificate.validity().not_before.timestamp()),
            CertificateField::NotAfter => rfc3339(certificate.validity().not_after.timestamp()),
            CertificateField::San => alternative_names(&certificate)?,
            CertificateField::Pem => pem(der),
            // A byte sequence of RFC 9651 section 3.3.5.
            CertificateField::Der => format!(":{}:", Base64::encode_string(der)),
        })
    };
    fields.iter().filter_map(|field| Some((*field, text(*field)?))).collect()
}

/// The common name of a certificate, DER, where it has one that is text.
pub fn common_name(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let name = certificate.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}

/// A name as in RFC 4514: the last part first.
fn name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter().collect();
    let mut text = String::new();
    for (index, part) in parts.iter().rev().enumerate() {
        for (number, attribute) in part.iter().enumerate() {
            match (index, number) {
                (0, 0) => {}
                (_, 0) => text.push(','),
                _ => text.push('+'),
            }
            let kind = attribute.attr_type();
            match oid2abbrev(kind, oid_registry()) {
                Ok(known) => text.push_str(known),
                Err(_) => text.push_str(&kind.to_id_string()),
            }
            text.push('=');
            match attribute.as_str() {
                Ok(value) => escape(value, &mut text),
                // Section 2.4: a value that is no text.
                Err(_) => text.push_str(&format!("#{}", hex(attribute.as_slice()))),
            }
        }
    }
    text
}

/// RFC 4514 section 2.4. What is not printable ASCII is escaped, too: it is to stand in a header field.
fn escape(value: &str, text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' ' if at == 0 || at == last => text.push_str("\\ "),
            b'#' if at == 0 => text.push_str("\\#"),
            b' '..=b'~' => text.push(char::from(byte)),
            other => {
                let _ = write!(text, "\\{other:02X}");
            }
        }
    }
}

/// `DNS:a.example, URI:spiffe://a/b`. Characters that would end or begin a name in the list are percent-encoded.
fn alternative_names(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = each_alternative_name(certificate);
    (!names.is_empty()).then(|| names.join(", "))
}

fn each_alternative_name(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{}", encode(name, b",% "))),
        GeneralName::RFC822Name(name) => Some(format!("email:{}", encode(name, b",% "))),
        GeneralName::URI(name) => Some(format!("URI:{}", encode(name, b", "))),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()?;
            Some(format!("IP:{address}"))
        }
        _ => None,
    });
    names.collect()
}

fn encode(text: &str, besides: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !besides.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// PEM on one line: percent-encoded, as nginx does (`$ssl_client_escaped_cert`).
fn pem(der: &[u8]) -> String {
    encode(&armoured(der), b"+/=")
}

fn armoured(der: &[u8]) -> String {
    let body = Base64::encode_string(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
