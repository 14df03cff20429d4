//! OCSP responses that are stapled (RFC 6960 section 4.2, RFC 6066 section 8). Shunt reads as much of one as it takes to
//! see that it is for the certificate, and says `good`, now. Clients verify the signature.

use thiserror::Error;
use x509_parser::asn1_rs::{Any, Class, FromDer, GeneralizedTime};
use x509_parser::certificate::X509Certificate;

use super::rfc3339;

/// Why a response cannot be stapled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OcspError {
    #[error("it is not an OCSP response in DER: write it with `openssl ocsp -respout`")]
    Malformed,
    #[error("the responder refused to answer (status {0}): ask it again")]
    Status(u8),
    #[error("it is about another certificate: ask for the response anew")]
    Other,
    #[error("it says that the certificate is revoked: get a new certificate")]
    Revoked,
    #[error("the responder does not know the certificate: ask the responder that the certificate names")]
    Unknown,
    #[error("it expired at {0}: ask for the response anew")]
    Expired(String),
}

/// id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];

/// Tags of the universal class.
const OCTET_STRING: u32 = 4;
const OID: u32 = 6;
const ENUMERATED: u32 = 10;
const SEQUENCE: u32 = 16;

/// A response for a certificate, which says `good`.
pub(super) struct Response {
    pub(super) bytes: Vec<u8>,
    /// In seconds of Unix time; `None`: newer information is there all the time (RFC 6960 section 4.2.2.1).
    pub(super) next_update: Option<i64>,
}

impl Response {
    pub(super) fn is_in_date(&self, now: i64) -> Result<(), OcspError> {
        match self.next_update {
            Some(next) if next < now => Err(OcspError::Expired(rfc3339(next))),
            _ => Ok(()),
        }
    }
}

pub(super) fn read(bytes: &[u8], certificate: &X509Certificate<'_>) -> Result<Response, OcspError> {
    let (status, basic) = outside(bytes).ok_or(OcspError::Malformed)?;
    if status != 0 {
        return Err(OcspError::Status(status));
    }
    let singles = singles(basic.ok_or(OcspError::Malformed)?).ok_or(OcspError::Malformed)?;
    let mut found = None;
    for single in singles {
        let single = single.ok_or(OcspError::Malformed)?;
        if unsigned(single.serial) == unsigned(certificate.raw_serial()) {
            found = Some(single);
        }
    }
    let single = found.ok_or(OcspError::Other)?;
    // CertStatus: good [0], revoked [1], unknown [2].
    match single.status {
        0 => {}
        1 => return Err(OcspError::Revoked),
        _ => return Err(OcspError::Unknown),
    }
    Ok(Response { bytes: bytes.to_vec(), next_update: single.next_update })
}

/// What a SingleResponse says.
struct Single<'a> {
    serial: &'a [u8],
    status: u32,
    next_update: Option<i64>,
}

/// An element, and what stands behind it.
fn element(bytes: &[u8]) -> Option<(Any<'_>, &[u8])> {
    let (rest, element) = Any::from_der(bytes).ok()?;
    Some((element, rest))
}

/// The content of an element of the universal class.
fn universal(bytes: &[u8], tag: u32) -> Option<(&[u8], &[u8])> {
    let (element, rest) = element(bytes)?;
    (element.class() == Class::Universal && element.tag().0 == tag).then_some((element.data, rest))
}

/// The content of an element of the context-specific class, if it is the next.
fn context(bytes: &[u8], tag: u32) -> Option<(&[u8], &[u8])> {
    let (element, rest) = element(bytes)?;
    (element.class() == Class::ContextSpecific && element.tag().0 == tag).then_some((element.data, rest))
}

/// OCSPResponse: its status, and the BasicOCSPResponse in it.
fn outside(bytes: &[u8]) -> Option<(u8, Option<&[u8]>)> {
    let (response, []) = universal(bytes, SEQUENCE)? else { return None };
    let (status, rest) = universal(response, ENUMERATED)?;
    let &[status] = status else { return None };
    let Some((explicit, _)) = context(rest, 0) else { return Some((status, None)) };
    let (sequence, _) = universal(explicit, SEQUENCE)?;
    let (kind, rest) = universal(sequence, OID)?;
    let (basic, _) = universal(rest, OCTET_STRING)?;
    (kind == BASIC).then_some((status, Some(basic)))
}

/// BasicOCSPResponse: tbsResponseData { version [0], responderID [1] or [2], producedAt, responses }.
fn singles(basic: &[u8]) -> Option<impl Iterator<Item = Option<Single<'_>>>> {
    let (basic, _) = universal(basic, SEQUENCE)?;
    let (data, _) = universal(basic, SEQUENCE)?;
    let data = context(data, 0).map_or(data, |(_, rest)| rest);
    let (_, data) = context(data, 1).or_else(|| context(data, 2))?;
    let (_, data) = element(data)?;
    let (mut responses, _) = universal(data, SEQUENCE)?;
    Some(std::iter::from_fn(move || {
        let (response, rest) = universal(responses, SEQUENCE)?;
        responses = rest;
        Some(single(response))
    }))
}

/// SingleResponse: certID { hash, name, key, serial }, certStatus, thisUpdate, nextUpdate [0].
fn single(bytes: &[u8]) -> Option<Single<'_>> {
    let (id, rest) = universal(bytes, SEQUENCE)?;
    let (_, id) = element(id)?;
    let (_, id) = element(id)?;
    let (_, id) = element(id)?;
    let (serial, _) = element(id)?;
    let (status, rest) = element(rest)?;
    let (_, rest) = element(rest)?;
    let next_update = match context(rest, 0) {
        Some((explicit, _)) => {
            let (_, time) = GeneralizedTime::from_der(explicit).ok()?;
            Some(time.utc_datetime().ok()?.unix_timestamp())
        }
        None => None,
    };
    Some(Single { serial: serial.data, status: status.tag().0, next_update })
}

/// A number without the zeros in front of it.
fn unsigned(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SerialNumber};

    use super::*;

    /// An element of DER; its content is shorter than 128 bytes, or than 64 KiB.
    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = match u8::try_from(content.len()) {
            Ok(short) if short < 128 => vec![short],
            _ => [&[0x82][..], &u16::try_from(content.len()).unwrap().to_be_bytes()].concat(),
        };
        [&[tag][..], &length, &content].concat()
    }

    /// A response with one answer; `status` is the element certStatus.
    fn response(serial: &[u8], status: &[u8], next: &[u8]) -> Vec<u8> {
        let algorithm = der(0x30, &[&der(6, &[&[0x2b, 0x0e, 3, 2, 0x1a]])]);
        let hash = der(4, &[&[7; 20]]);
        let id = der(0x30, &[&algorithm, &hash, &hash, &der(2, &[serial])]);
        let time = |text: &[u8]| der(0x18, &[text]);
        let next = der(0xa0, &[&time(next)]);
        let single = der(0x30, &[&id, status, &time(b"20200101000000Z"), &next]);
        let responder = der(0xa2, &[&hash]);
        let data = der(0x30, &[&responder, &time(b"20200101000000Z"), &der(0x30, &[&single])]);
        let basic = der(0x30, &[&data, &algorithm, &der(3, &[&[0, 1, 2]])]);
        let bytes = der(0x30, &[&der(6, &[BASIC]), &der(4, &[&basic])]);
        der(0x30, &[&der(10, &[&[0]]), &der(0xa0, &[&bytes])])
    }

    #[test]
    fn a_response_is_for_its_certificate_and_good() {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(vec![0x8a, 1]));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, certificate) = X509Certificate::from_der(certificate.der()).unwrap();
        let now = 1_600_000_000;
        let told = |bytes: &[u8]| read(bytes, &certificate).and_then(|it| it.is_in_date(now));
        let (serial, next) = (&[0, 0x8a, 1][..], &b"21200101000000Z"[..]);
        let good = response(serial, &[0x80, 0], next);
        assert_eq!(told(&good), Ok(()));
        assert_eq!(told(&response(&[1], &[0x80, 0], next)), Err(OcspError::Other));
        let revoked = der(0xa1, &[&der(0x18, &[b"20200101000000Z"])]);
        assert_eq!(told(&response(serial, &revoked, next)), Err(OcspError::Revoked));
        assert_eq!(told(&response(serial, &[0x82, 0], next)), Err(OcspError::Unknown));
        let old = told(&response(serial, &[0x80, 0], b"20200102000000Z")).unwrap_err();
        assert_eq!(old.to_string(), "it expired at 2020-01-02T00:00:00Z: ask for the response anew");
        assert_eq!(told(&der(0x30, &[&der(10, &[&[6]])])), Err(OcspError::Status(6)));
        for end in 0..good.len() {
            assert_eq!(told(&good[..end]), Err(OcspError::Malformed), "{end} bytes");
        }
        assert_eq!(told(b"-----BEGIN"), Err(OcspError::Malformed));
    }
}
