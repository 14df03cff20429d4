use super::*;
use std::collections::HashMap;
use std::net::Ipv4Addr;

use shunt_wire::dns::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

const SECOND: Duration = Duration::from_secs(1);

/// What a server says to a question.
#[derive(Clone)]
enum Says {
    /// Records: type, TTL, data.
    Records(Vec<(u16, u32, Vec<u8>)>),
    Code(u8),
    /// Records, over TCP only.
    Long(Vec<(u16, u32, Vec<u8>)>),
    /// Bytes that are no message, then records.
    Junk(Vec<(u16, u32, Vec<u8>)>),
    Nothing,
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn a(last: u8) -> (u16, u32, Vec<u8>) {
    (1, 60, vec![10, 0, 0, last])
}

fn srv(priority: u8, weight: u8, port: u8, target: &str) -> (u16, u32, Vec<u8>) {
    (33, 30, [&[0, priority, 0, weight, 0, port][..], name(target).octets()].concat())
}

fn alias(target: &str) -> (u16, u32, Vec<u8>) {
    (5, 20, name(target).octets().to_vec())
}

/// A response to a question; its records are of the name that was asked for.
fn response(question: &[u8], code: u8, truncated: bool, records: &[(u16, u32, Vec<u8>)]) -> Vec<u8> {
    // What is behind the question is EDNS, of eleven octets.
    let mut bytes = question[..question.len() - 11].to_vec();
    bytes[2..4].copy_from_slice(&[0x81 | u8::from(truncated) << 1, 0x80 | code]);
    bytes[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    bytes[10..12].copy_from_slice(&[0, 0]);
    for (kind, ttl, data) in records {
        bytes.extend([0xc0, 12]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(ttl.to_be_bytes());
        bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

/// The name and type of a question, as the zone has them: `app.test A`.
fn asked(question: &[u8]) -> String {
    Message::read(question).unwrap().unwrap();
    let kind = match question[question.len() - 11 - 3] {
        1 => "A",
        28 => "AAAA",
        _ => "SRV",
    };
    let (mut labels, mut at) = (Vec::new(), 12);
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).into_owned());
        at = end;
    }
    format!("{} {kind}", labels.join("."))
}

/// A server of these answers; it has no records of other names. Gives where it is.
async fn server(zone: &[(&str, Says)]) -> SocketAddr {
    let zone: HashMap<String, Says> =
        zone.iter().map(|(asked, says)| ((*asked).to_owned(), says.clone())).collect();
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(at).await.unwrap();
    let of_tcp = zone.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
            let question = &buffer[..length];
            let answers = match zone.get(&asked(question)).cloned().unwrap_or(Says::Records(Vec::new())) {
                Says::Records(records) => vec![response(question, 0, false, &records)],
                Says::Code(code) => vec![response(question, code, false, &[])],
                Says::Long(_) => vec![response(question, 0, true, &[])],
                Says::Junk(records) => {
                    let good = response(question, 0, false, &records);
                    let mut other_id = response(question, 0, false, &[a(66)]);
                    other_id[0] ^= 1;
                    vec![b"junk".to_vec(), vec![0xff; 300], other_id, good]
                }
                Says::Nothing => vec![],
            };
            for answer in answers {
                udp.send_to(&answer, from).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let length = stream.read_u16().await.unwrap();
            let mut question = vec![0; usize::from(length)];
            stream.read_exact(&mut question).await.unwrap();
            let Some(Says::Long(records)) = of_tcp.get(&asked(&question)) else { continue };
            let answer = response(&question, 0, false, records);
            stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    at
}

fn resolver(servers: &[SocketAddr], timeout: Duration) -> Arc<Resolver> {
    Resolver::new(&model::Resolver {
        servers: servers.to_vec(),
        timeout,
        min_ttl: SECOND,
        max_ttl: SECOND,
        hold: SECOND,
    })
}

fn host(text: &str) -> MemberName {
    MemberName::Host { host: name(text), port: 80 }
}

/// The addresses that were found, and the TTL.
fn told(look_up: &LookUp) -> (Vec<String>, u32) {
    let Found::Parts { parts, ttl } = &look_up.found else { return (Vec::new(), 0) };
    let endpoints = parts.iter().flat_map(|it| it.endpoints.iter().flatten());
    let mut told: Vec<String> = endpoints
        .map(|it| match it.weight {
            Some(weight) => format!("{} {} {weight}", it.address, it.priority),
            None => it.address.to_string(),
        })
        .collect();
    told.sort();
    (told, *ttl)
}

#[tokio::test]
async fn a_host_has_addresses_of_both_families() {
    let six = (28, 7, "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec());
    let at = server(&[
        ("app.test A", Says::Records(vec![a(1), a(2)])),
        ("app.test AAAA", Says::Records(vec![six])),
    ])
    .await;
    let found = resolver(&[at], 5 * SECOND).look_up(&host("app.test")).await;
    let expected = ["10.0.0.1:80", "10.0.0.2:80", "[2001:db8::1]:80"].map(str::to_owned).to_vec();
    assert_eq!((told(&found), found.error), ((expected, 7), None));
}

#[tokio::test]
async fn a_service_has_ports_and_weights() {
    let at = server(&[
        (
            "_http._tcp.test SRV",
            Says::Records(vec![
                srv(1, 5, 80, "a.test"),
                srv(1, 9, 81, "a.test"),
                srv(2, 0, 82, "b.test"),
                srv(0, 0, 0, "gone.test"),
            ]),
        ),
        ("a.test A", Says::Records(vec![a(1)])),
        ("b.test A", Says::Records(vec![a(2)])),
    ])
    .await;
    let found = resolver(&[at], 5 * SECOND).look_up(&MemberName::Service(name("_http._tcp.test"))).await;
    let expected = ["10.0.0.1:80 1 5", "10.0.0.1:81 1 9", "10.0.0.2:82 2 0"].map(str::to_owned).to_vec();
    assert_eq!((told(&found), found.error), ((expected, 30), None));
}

#[tokio::test]
async fn a_service_that_is_not_there_has_no_members() {
    let at = server(&[("_http._tcp.test SRV", Says::Records(vec![srv(0, 0, 0, "a").into_root()]))]).await;
    let found = resolver(&[at], 5 * SECOND).look_up(&MemberName::Service(name("_http._tcp.test"))).await;
    assert_eq!((told(&found).0, found.error.as_deref()), (vec![], Some("DNS has no addresses for it")));
}

trait IntoRoot {
    fn into_root(self) -> Self;
}

impl IntoRoot for (u16, u32, Vec<u8>) {
    /// The same record with the root as its target.
    fn into_root(mut self) -> Self {
        self.2.truncate(6);
        self.2.push(0);
        self
    }
}

#[tokio::test]
async fn what_does_not_fit_comes_over_tcp_and_aliases_are_followed() {
    let many: Vec<_> = (1..=200).map(a).collect();
    let at =
        server(&[("app.test A", Says::Records(vec![alias("long.test")])), ("long.test A", Says::Long(many))])
            .await;
    let found = resolver(&[at], 5 * SECOND).look_up(&host("app.test")).await;
    let (addresses, ttl) = told(&found);
    assert_eq!((addresses.len(), ttl, found.error), (200, 20, None));
}

#[tokio::test]
async fn junk_and_answers_to_other_questions_are_passed_over() {
    let at = server(&[("app.test A", Says::Junk(vec![a(1)]))]).await;
    let found = resolver(&[at], 5 * SECOND).look_up(&host("app.test")).await;
    assert_eq!((told(&found).0, found.error), (vec!["10.0.0.1:80".to_owned()], None));
}

#[tokio::test]
async fn aliases_that_lead_back_end() {
    let at = server(&[
        ("a.test A", Says::Records(vec![alias("b.test")])),
        ("b.test A", Says::Records(vec![alias("a.test")])),
    ])
    .await;
    let found = resolver(&[at], 5 * SECOND).look_up(&host("a.test")).await;
    let error = "a.test A: its aliases lead back, or are too many";
    assert_eq!((told(&found).0, found.error.as_deref()), (vec![], Some(error)));
}

#[tokio::test]
async fn the_next_server_is_asked() {
    let silent = server(&[("app.test A", Says::Nothing), ("app.test AAAA", Says::Nothing)]).await;
    let failing = server(&[("app.test A", Says::Code(2)), ("app.test AAAA", Says::Code(5))]).await;
    let good = server(&[("app.test A", Says::Records(vec![a(1)]))]).await;
    let brief = Duration::from_millis(50);
    let found = resolver(&[silent, failing, good], brief).look_up(&host("app.test")).await;
    assert_eq!((told(&found).0, found.error), (vec!["10.0.0.1:80".to_owned()], None));
    let found = resolver(&[silent, failing], brief).look_up(&host("app.test")).await;
    assert_eq!(found.error.unwrap(), format!("app.test A: {failing} answers SERVFAIL"));
    let found = resolver(&[failing, silent], brief).look_up(&host("app.test")).await;
    assert_eq!(found.error.unwrap(), format!("app.test A: {silent} does not answer within 50ms"));
    assert!(
        matches!(&found.found, Found::Parts { parts, .. } if parts.iter().all(|it| it.endpoints.is_none()))
    );
    let found = resolver(&[silent], brief).look_up(&MemberName::Service(name("_x._tcp.test"))).await;
    assert_eq!(found.error.as_deref(), Some("DNS has no addresses for it"));
}
