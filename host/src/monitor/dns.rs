//! A DNS query must get a response (RFC 1035).

use shunt_config::monitors::{DNS_CODES, Dns};
use thiserror::Error;

use super::probe::{self, Ask, Good, MAX_BODY_BYTES, ProbeTransport, Probing};
use super::udp::open;

/// Why the response is not good.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("the response code is {}, expected {}", code(*.got), codes(.expected))]
    Code { got: u8, expected: Vec<u8> },
    #[error("NOERROR without an answer")]
    Empty,
    #[error("the response is not of DNS")]
    Foreign,
}

/// Identifier, flags, and four counts.
const HEADER_LEN: usize = 12;
/// Recursion is desired, as stub resolvers desire it.
const RECURSION_DESIRED: u16 = 0x0100;
const IN: u16 = 1;

impl Ask for Dns {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, probe::Failure> {
        let socket = open(probing).await?;
        let identifier = socket.local_addr().map_err(probe::Failure::Connect)?.port().rotate_left(5);
        let query = query(self, identifier);
        socket.send(&query).await.map_err(probe::Failure::Connect)?;
        let mut buffer = vec![0; MAX_BODY_BYTES];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(probe::Failure::Connect)?;
            let response = buffer.get(..length).unwrap_or_default();
            // What answers another query is not looked at (RFC 5452 section 9.1).
            if response.get(..2) == Some(&identifier.to_be_bytes()) {
                return Ok(judged(self, response)?);
            }
        }
    }
}

fn query(dns: &Dns, identifier: u16) -> Vec<u8> {
    let header = [identifier, RECURSION_DESIRED, 1, 0, 0, 0];
    let mut query: Vec<u8> = header.iter().flat_map(|part| part.to_be_bytes()).collect();
    for label in dns.name.split('.') {
        // A label has at most 63 bytes.
        query.push(u8::try_from(label.len()).unwrap_or_default());
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend([dns.record, IN].iter().flat_map(|part| part.to_be_bytes()));
    query
}

fn judged(dns: &Dns, response: &[u8]) -> Result<Good, Failure> {
    let header = response.get(..HEADER_LEN).ok_or(Failure::Foreign)?;
    let [_, _, flags, codes, _, _, high, low, ..] = header else { return Err(Failure::Foreign) };
    if flags & 0x80 == 0 {
        return Err(Failure::Foreign);
    }
    let (got, answers) = (codes & 0x0f, u16::from_be_bytes([*high, *low]));
    if !dns.expect.contains(&got) {
        return Err(Failure::Code { got, expected: dns.expect.clone() });
    }
    if dns.expect == [0] && answers == 0 {
        return Err(Failure::Empty);
    }
    let answers = if answers == 1 { "1 answer".to_owned() } else { format!("{answers} answers") };
    Ok(format!("{}, {answers}", code(got)).into())
}

fn code(code: u8) -> String {
    let known = DNS_CODES.iter().find(|(_, it)| *it == code);
    known.map_or_else(|| code.to_string(), |(word, _)| (*word).to_owned())
}

fn codes(all: &[u8]) -> String {
    all.iter().map(|it| code(*it)).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(expect: &[u8]) -> Dns {
        Dns { name: "www.example.org".to_owned(), record: 28, expect: expect.to_vec() }
    }

    fn response(flags: u8, code: u8, answers: u8) -> [u8; HEADER_LEN] {
        [0x12, 0x34, flags, code, 0, 1, 0, answers, 0, 0, 0, 0]
    }

    #[test]
    fn a_query_is_as_the_rfc_says() {
        let expected =
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x1c\x00\x01";
        assert_eq!(query(&dns(&[0]), 0x1234), expected);
    }

    #[test]
    fn what_a_response_means() {
        let told = |dns: &Dns, response: &[u8]| match judged(dns, response) {
            Ok(good) => format!("good: {good}"),
            Err(failure) => failure.to_string(),
        };
        let plain = dns(&[0]);
        assert_eq!(told(&plain, &response(0x81, 0x80, 2)), "good: NOERROR, 2 answers");
        assert_eq!(told(&plain, &response(0x81, 0x80, 0)), "NOERROR without an answer");
        assert_eq!(told(&plain, &response(0x81, 0x85, 0)), "the response code is REFUSED, expected NOERROR");
        assert_eq!(told(&dns(&[3, 5]), &response(0x81, 0x85, 0)), "good: REFUSED, 0 answers");
        assert_eq!(
            told(&dns(&[3, 5]), &response(0x81, 2, 0)),
            "the response code is SERVFAIL, expected NXDOMAIN or REFUSED"
        );
        assert_eq!(told(&plain, &response(0x01, 0, 1)), "the response is not of DNS", "a query is none");
        assert_eq!(told(&plain, &response(0x81, 0, 1)[..11]), "the response is not of DNS");
    }
}
