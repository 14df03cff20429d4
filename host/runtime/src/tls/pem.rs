//! PEM files, read line by line (RFC 7468): what stands on the same line as a boundary is refused, where other
//! readers pass over it and lose a certificate.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use thiserror::Error;

/// Why a file is not what it should be. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PemError {
    #[error(
        "line {line}: `{boundary}` is not on a line of its own; two files were joined without a line break \
         between them: add one before each `-----BEGIN`"
    )]
    Glued { line: usize, boundary: String },
    #[error("line {line}: `{boundary}` is not a PEM boundary: write five hyphens at both of its ends")]
    Boundary { line: usize, boundary: String },
    #[error("line {line}: `-----BEGIN {label}-----` has no `-----END {label}-----`: copy the whole file")]
    Open { line: usize, label: String },
    #[error("line {line}: `-----END {label}-----` has no `-----BEGIN {label}-----`: copy the whole file")]
    Closed { line: usize, label: String },
    #[error("line {line}: cannot read the {label} that begins here: {why}")]
    Content { line: usize, label: String, why: String },
    #[error("the file has no {wanted}{}: name the file that has one", if found.is_empty() { String::new() } else { format!(", but {}", found.join(", ")) })]
    Missing { wanted: &'static str, found: Vec<String> },
    #[error(
        "the file is not PEM but binary, such as DER or PKCS #12; convert it: `openssl {command} -inform DER -in FILE -out NEW`, \
         or `openssl pkcs12 -in FILE -nodes -out NEW`"
    )]
    Binary { command: &'static str },
    #[error(
        "line {line}: the private key is encrypted, and Shunt cannot ask for a passphrase; decrypt it into a file that \
         only the user of Shunt may read, and use that: `(umask 077; openssl pkey -in FILE -out NEW)`"
    )]
    Encrypted { line: usize },
}

/// What stands between two boundaries, with them.
#[derive(Debug)]
struct Section<'t> {
    label: &'t str,
    /// Where it begins.
    line: usize,
    text: &'t str,
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Something of a file, and the line that it begins at.
pub(super) type Located<T> = (usize, T);

/// The certificates of a file, in their order; at least one.
///
/// # Errors
/// See [`PemError`].
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<Located<CertificateDer<'static>>>, PemError> {
    all(bytes, "CERTIFICATE", "certificate", "x509")
}

/// The lists of revoked certificates of a file, in their order; at least one.
///
/// # Errors
/// See [`PemError`].
pub(super) fn crls(bytes: &[u8]) -> Result<Vec<Located<CertificateRevocationListDer<'static>>>, PemError> {
    all(bytes, "X509 CRL", "CRL", "crl")
}

fn all<T: PemObject>(
    bytes: &[u8],
    label: &str,
    wanted: &'static str,
    command: &'static str,
) -> Result<Vec<Located<T>>, PemError> {
    let text = String::from_utf8_lossy(bytes);
    let sections = sections(&text)?;
    let read = |section: &Section<'_>| {
        let read = T::from_pem_slice(section.text.as_bytes()).map_err(|error| section.content(&error))?;
        Ok((section.line, read))
    };
    let found = sections.iter().filter(|it| it.label == label).map(read).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() {
        return Err(missing(wanted, command, &sections, bytes));
    }
    Ok(found)
}

/// The private key of a file: the first one.
///
/// # Errors
/// See [`PemError`].
pub(super) fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let text = String::from_utf8_lossy(bytes);
    let sections = sections(&text)?;
    let is_key = |it: &&Section<'_>| matches!(it.label, "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY");
    if let Some(section) = sections.iter().find(|it| is_key(it) && !it.is_encrypted()) {
        let key = PrivateKeyDer::from_pem_slice(section.text.as_bytes());
        return key.map_err(|error| section.content(&error));
    }
    match sections.iter().find(|it| it.is_encrypted()) {
        Some(section) => Err(PemError::Encrypted { line: section.line }),
        None => Err(missing("private key", "pkey", &sections, bytes)),
    }
}

/// Why a file has nothing that is of use.
fn missing(wanted: &'static str, command: &'static str, sections: &[Section<'_>], bytes: &[u8]) -> PemError {
    // A SEQUENCE of more than 127 bytes, as every certificate and nearly every key begins in DER (X.690 8.1.3).
    if sections.is_empty() && matches!(bytes, [0x30, 0x81..=0x84, ..]) {
        return PemError::Binary { command };
    }
    PemError::Missing { wanted, found: sections.iter().map(|it| it.label.to_owned()).collect() }
}

impl Section<'_> {
    fn content(&self, error: &rustls::pki_types::pem::Error) -> PemError {
        PemError::Content { line: self.line, label: self.label.to_owned(), why: error.to_string() }
    }

    /// PKCS #8 says so in the label (RFC 7468 section 11), older forms in a header (RFC 1421 section 4.6.1.1).
    fn is_encrypted(&self) -> bool {
        self.label == "ENCRYPTED PRIVATE KEY"
            || self.label.ends_with("PRIVATE KEY")
                && self.text.lines().any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
    }
}

/// The sections of a text. What stands between them is for people (RFC 7468 section 5.2).
fn sections(text: &str) -> Result<Vec<Section<'_>>, PemError> {
    let mut sections = Vec::new();
    let mut open: Option<(&str, usize, usize)> = None;
    let mut at = 0;
    // A line ends by LF, CR LF or CR (RFC 7468 section 3).
    for (number, line) in (1..).zip(lines(text)) {
        let start = at;
        at += line.len();
        let line = line.trim();
        let Some(boundary) = boundary(line, number)? else { continue };
        match (boundary, open) {
            (Boundary::Begin(label), None) => open = Some((label, number, start)),
            (Boundary::Begin(_), Some((label, line, _))) => {
                return Err(PemError::Open { line, label: label.to_owned() });
            }
            (Boundary::End(label), Some((begun, line, start))) if begun == label => {
                sections.push(Section { label, line, text: &text[start..at] });
                open = None;
            }
            (Boundary::End(_), Some((label, line, _))) => {
                return Err(PemError::Open { line, label: label.to_owned() });
            }
            (Boundary::End(label), None) => {
                return Err(PemError::Closed { line: number, label: label.to_owned() });
            }
        }
    }
    match open {
        Some((label, line, _)) => Err(PemError::Open { line, label: label.to_owned() }),
        None => Ok(sections),
    }
}

enum Boundary<'t> {
    Begin(&'t str),
    End(&'t str),
}

fn boundary(line: &str, number: usize) -> Result<Option<Boundary<'_>>, PemError> {
    let line = line.trim_start_matches('\u{feff}');
    let Some(at) = [BEGIN, END].iter().filter_map(|it| line.find(*it)).min() else { return Ok(None) };
    let whole = &line[at..];
    let inside = whole.strip_prefix(BEGIN).or_else(|| whole.strip_prefix(END)).unwrap_or_default();
    let Some((label, behind)) = inside.split_once(DASHES) else {
        return Err(PemError::Boundary { line: number, boundary: shown(whole) });
    };
    if at > 0 || !behind.is_empty() {
        let length = whole.len() - behind.len();
        return Err(PemError::Glued { line: number, boundary: shown(&whole[..length]) });
    }
    Ok(Some(if whole.starts_with(BEGIN) { Boundary::Begin(label) } else { Boundary::End(label) }))
}

/// As much of a line as a message can take.
fn shown(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

/// The lines of a text, each with what ends it.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.find(['\n', '\r']).map(|at| at + if rest[at..].starts_with("\r\n") { 2 } else { 1 });
        let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        (!line.is_empty()).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Content that is base64 and nothing else: what is in it is looked at later.
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";

    fn certificates(text: &str) -> Result<usize, PemError> {
        super::certificates(text.as_bytes()).map(|them| them.len())
    }

    fn key(text: &str) -> Result<(), PemError> {
        private_key(text.as_bytes()).map(drop)
    }

    #[test]
    fn a_chain_is_read_whole() {
        let bundle = format!("\u{feff}Bag Attributes\r\n{CERTIFICATE}  \n\nsubject=x\n{KEY}\n{CERTIFICATE}");
        assert_eq!(certificates(&bundle), Ok(2));
        assert_eq!(certificates(&bundle.replace('\n', "\r\n")), Ok(2));
        assert_eq!(certificates(&bundle.replace("\r\n", "\n").replace('\n', "\r")), Ok(2));
        assert_eq!(key(&bundle), Ok(()));
    }

    #[test]
    fn what_is_glued_is_refused_with_its_line() {
        let glued = |line, boundary: &str| PemError::Glued { line, boundary: boundary.to_owned() };
        let end = "-----END CERTIFICATE-----";
        assert_eq!(certificates(&format!("{CERTIFICATE}{CERTIFICATE}\n")), Err(glued(3, end)));
        assert_eq!(certificates(&format!("{CERTIFICATE}{KEY}\n")), Err(glued(3, end)));
        assert_eq!(key(&format!("{CERTIFICATE}{KEY}\n")), Err(glued(3, end)));
        assert_eq!(certificates(&format!("{CERTIFICATE} and more\n")), Err(glued(3, end)));
        let begin = "-----BEGIN CERTIFICATE-----";
        assert_eq!(certificates(&format!("subject=x {CERTIFICATE}\n")), Err(glued(1, begin)));
        assert_eq!(certificates(&CERTIFICATE.replacen('\n', "", 1)), Err(glued(1, begin)));
        let text = glued(3, end).to_string();
        assert!(
            text.starts_with("line 3: `-----END CERTIFICATE-----` is not on a line of its own; "),
            "{text}"
        );
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let open = |line| PemError::Open { line, label: "CERTIFICATE".to_owned() };
        assert_eq!(
            certificates(&format!("{CERTIFICATE}\n-----BEGIN CERTIFICATE-----\nAAAA\n")),
            Err(open(4))
        );
        assert_eq!(
            certificates(&format!("-----BEGIN CERTIFICATE-----\nAAAA\n{CERTIFICATE}\n")),
            Err(open(1))
        );
        let closed = PemError::Closed { line: 2, label: "CERTIFICATE".to_owned() };
        assert_eq!(certificates("AAAA\n-----END CERTIFICATE-----\n"), Err(closed));
        let boundary = PemError::Boundary { line: 1, boundary: "-----BEGIN CERTIFICATE----".to_owned() };
        assert_eq!(certificates("-----BEGIN CERTIFICATE----\n"), Err(boundary));
        let broken =
            certificates("-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n").unwrap_err();
        assert!(matches!(broken, PemError::Content { line: 1, .. }), "{broken}");
    }

    #[test]
    fn an_encrypted_key_says_so() {
        let modern = KEY.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let header = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA";
        let old = KEY.replace("PRIVATE", "RSA PRIVATE").replace("AAAA", header);
        for text in [&modern, &old, &format!("{CERTIFICATE}\n{modern}")] {
            let error = key(text).unwrap_err();
            assert!(matches!(error, PemError::Encrypted { .. }), "{error}");
            assert!(error.to_string().contains("openssl pkey -in FILE -out NEW"), "{error}");
        }
        // One that is not is there, too.
        assert_eq!(key(&format!("{modern}\n{KEY}")), Ok(()));
    }

    #[test]
    fn what_is_there_instead_is_named() {
        assert_eq!(
            key("").unwrap_err().to_string(),
            "the file has no private key: name the file that has one"
        );
        assert_eq!(
            key(CERTIFICATE).unwrap_err().to_string(),
            "the file has no private key, but CERTIFICATE: name the file that has one"
        );
        let request = CERTIFICATE.replace("CERTIFICATE", "CERTIFICATE REQUEST");
        assert_eq!(
            certificates(&request).unwrap_err().to_string(),
            "the file has no certificate, but CERTIFICATE REQUEST: name the file that has one"
        );
        let der = super::certificates(&[0x30, 0x82, 1, 0, 0xff]).unwrap_err();
        assert_eq!(der, PemError::Binary { command: "x509" });
        let der = private_key(&[0x30, 0x81, 0x87, 2]).unwrap_err();
        assert!(der.to_string().contains("openssl pkey -inform DER"), "{der}");
    }
}
