//! What a client of TLS says first, as `on-client-hello` shows it.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use shunt_wire::client_hello::{ClientHello, HelloError, is_grease};

/// A ClientHello, which was read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The message, with its header of four bytes.
    message: Vec<u8>,
}

impl Hello {
    /// # Errors
    /// The message is none.
    pub fn new(message: Vec<u8>) -> Result<Hello, HelloError> {
        ClientHello::read(&message)?;
        Ok(Hello { message })
    }

    /// What it says.
    ///
    /// # Errors
    /// None: it was read before.
    pub fn said(&self) -> Result<ClientHello<'_>, HelloError> {
        ClientHello::read(&self.message)
    }
}

/// Extensions whose contents differ from connection to connection: JA4 leaves them out of its third part.
const SERVER_NAME: u16 = 0;
const PROTOCOLS: u16 = 16;

/// A fingerprint in the form of JA4 (FoxIO, <https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md>): the
/// same for the same TLS stack with the same settings, in whatever order it sends extensions.
/// `t13d1516h2_8daaf6152771_e5627efa2ab1`.
pub(crate) fn fingerprint(hello: &ClientHello<'_>) -> String {
    let sorted = |numbers: &mut Vec<u16>| {
        numbers.retain(|it| !is_grease(*it));
        numbers.sort_unstable();
    };
    let (mut ciphers, mut extensions) =
        (hello.ciphers().collect::<Vec<_>>(), hello.extensions().collect::<Vec<_>>());
    sorted(&mut ciphers);
    sorted(&mut extensions);
    let version = match hello.latest_version() {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        _ => "00",
    };
    let name = if hello.server_name().is_some() { 'd' } else { 'i' };
    let mut text = format!("t{version}{name}{:02}{:02}", ciphers.len().min(99), extensions.len().min(99));
    match hello.protocols().next() {
        Some([first, .., last]) => ends(*first, *last, &mut text),
        Some([only]) => ends(*only, *only, &mut text),
        Some([]) | None => text.push_str("00"),
    }
    text.push('_');
    text.push_str(&short(&list(&ciphers)));
    extensions.retain(|it| !matches!(*it, SERVER_NAME | PROTOCOLS));
    let schemes: Vec<u16> = hello.signature_schemes().filter(|it| !is_grease(*it)).collect();
    let mut rest = list(&extensions);
    if !schemes.is_empty() {
        rest.push('_');
        rest.push_str(&list(&schemes));
    }
    text.push('_');
    text.push_str(&short(&rest));
    text
}

/// The first and the last letter of a protocol's name; of octets that are none, halves of what they are in hexadecimal.
fn ends(first: u8, last: u8, text: &mut String) {
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        text.extend([char::from(first), char::from(last)]);
    } else {
        let _ = write!(text, "{:x}{:x}", first >> 4, last & 0xf);
    }
}

fn list(numbers: &[u16]) -> String {
    let mut text = String::with_capacity(5 * numbers.len());
    for (index, number) in numbers.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(text, "{comma}{number:04x}");
    }
    text
}

/// The first twelve hexadecimal digits of SHA-256; zeros for nothing.
fn short(text: &str) -> String {
    if text.is_empty() {
        return "000000000000".to_owned();
    }
    Sha256::digest(text.as_bytes()).iter().take(6).fold(String::with_capacity(12), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes a hello, for cases (RFC 8446 section 4.1.2).
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer {
    pub server_name: Option<String>,
    pub protocols: Vec<Vec<u8>>,
    pub versions: Vec<u16>,
    pub ciphers: Vec<u16>,
    pub groups: Vec<u16>,
    pub signature_schemes: Vec<u16>,
    pub early_data: bool,
}

impl Writer {
    pub(crate) fn hello(&self) -> Result<Hello, HelloError> {
        let mut extensions = Vec::new();
        if let Some(name) = &self.server_name {
            extensions.push(extension(SERVER_NAME, &vec16(&[&[0], &vec16(name.as_bytes())[..]].concat())));
        }
        if !self.groups.is_empty() {
            extensions.push(extension(10, &vec16(&numbers(&self.groups))));
        }
        if !self.signature_schemes.is_empty() {
            extensions.push(extension(13, &vec16(&numbers(&self.signature_schemes))));
        }
        if !self.protocols.is_empty() {
            let names: Vec<u8> = self.protocols.iter().flat_map(|name| vec8(name)).collect();
            extensions.push(extension(PROTOCOLS, &vec16(&names)));
        }
        if !self.versions.is_empty() {
            extensions.push(extension(43, &vec8(&numbers(&self.versions))));
        }
        if self.early_data {
            extensions.push(extension(42, b""));
        }
        let body = [
            // TLS 1.2, as all newer clients say.
            &[3, 3][..],
            &[0; 32],
            &vec8(&[0; 32]),
            &vec16(&numbers(&self.ciphers)),
            &vec8(&[0]),
            &vec16(&extensions.concat()),
        ];
        let body = body.concat();
        let [_, length @ ..] = u32::try_from(body.len()).map_err(|_| HelloError::TooLong)?.to_be_bytes();
        Hello::new([&[1][..], &length, &body].concat())
    }
}

/// Cuts lengths that no field can have; the reader refuses what comes of it.
fn vec8(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8], content].concat()
}

fn vec16(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes(), content].concat()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vec16(content)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(change: impl FnOnce(&mut Writer)) -> Hello {
        let mut writer = Writer {
            server_name: Some("shop.example".to_owned()),
            protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            versions: vec![0x6a6a, 0x0304, 0x0303],
            ciphers: vec![0x8a8a, 0x1302, 0x1301],
            groups: vec![0x11ec, 0x001d],
            signature_schemes: vec![0x0403, 0x0804],
            early_data: false,
        };
        change(&mut writer);
        writer.hello().unwrap()
    }

    fn print(hello: &Hello) -> String {
        fingerprint(&hello.said().unwrap())
    }

    #[test]
    fn a_hello_that_was_written_is_read() {
        let hello = hello(|it| it.early_data = true);
        let said = hello.said().unwrap();
        assert_eq!(said.server_name(), Some("shop.example"));
        assert_eq!(said.groups().collect::<Vec<_>>(), [0x11ec, 0x001d]);
        assert!(said.offers_early_data());
        let refused = Writer { server_name: Some("a b".to_owned()), ciphers: vec![1], ..Writer::default() };
        assert_eq!(refused.hello(), Err(HelloError::ServerName));
    }

    #[test]
    fn the_parts_of_a_fingerprint() {
        let print = print(&hello(|_| {}));
        let (counts, rest) = print.split_once('_').unwrap();
        assert_eq!(counts, "t13d0205h2");
        // printf '1301,1302' | sha256sum; printf '000a,000d,002b_0403,0804' | sha256sum
        assert_eq!(rest, "62ed6f6ca7ad_fbabbea27ee8");
    }

    /// Of the description of JA4: Chrome's `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    #[test]
    fn hashes_are_those_of_others() {
        let ciphers = [
            0x002f, 0x0035, 0x009c, 0x009d, 0x1301, 0x1302, 0x1303, 0xc013, 0xc014, 0xc02b, 0xc02c, 0xc02f,
            0xc030, 0xcca8, 0xcca9,
        ];
        assert_eq!(short(&list(&ciphers)), "8daaf6152771");
        let extensions = [5, 0xa, 0xb, 0xd, 0x12, 0x15, 0x17, 0x1b, 0x23, 0x2b, 0x2d, 0x33, 0x4469, 0xff01];
        let schemes = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
        assert_eq!(short(&format!("{}_{}", list(&extensions), list(&schemes))), "e5627efa2ab1");
    }

    #[test]
    fn grease_and_order_do_not_change_it_and_what_is_offered_does() {
        let one = print(&hello(|_| {}));
        let same = print(&hello(|it| {
            it.ciphers = vec![0x1301, 0x1302, 0xdada];
            it.versions = vec![0x0303, 0x0304];
            it.server_name = Some("other.example".to_owned());
        }));
        assert_eq!(one, same);
        let less = print(&hello(|it| it.ciphers.truncate(2)));
        assert_ne!(one, less);
        let none = print(&hello(|it| {
            *it = Writer { ciphers: vec![0x002f], protocols: vec![vec![0xab, 0xcd]], ..Writer::default() };
        }));
        assert!(none.starts_with("t12i0101ad_"), "{none}");
        assert!(none.ends_with("_000000000000"), "{none}");
    }
}
