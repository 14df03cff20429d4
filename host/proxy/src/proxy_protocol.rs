//! The PROXY protocol: what a trusted proxy says in front of a client's connection of whose it is, and what members are
//! told in front of theirs.

use std::io;
use std::net::SocketAddr;

use shunt_config::model::ProxyVersion;
use shunt_rules::Flow;
use shunt_runtime::tls::peer;
use shunt_wire::proxy_protocol::{
    Header, LONGEST_WRITTEN_V2, MOST_V1, MOST_V2, Origin, ProxyError, TlsFacts, TlvKind, Writer, write_v1,
};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::rustls::{CipherSuite, ProtocolVersion, ServerConnection};

use crate::connection::Connection;

/// What a proxy says of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The client, and the address that it connected to; `None`: those of the connection itself hold.
    pub(crate) addresses: Option<(SocketAddr, SocketAddr)>,
    /// The client's connection to the proxy was TLS.
    pub(crate) over_tls: bool,
}

/// Why a connection that has to begin with a header is refused.
#[derive(Debug, Error)]
pub(crate) enum NoHeader {
    #[error("{}", .0.reason())]
    Unfit(ProxyError),
    #[error("the connection ends in its PROXY header")]
    Cut,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the header in front of a connection, and nothing behind it.
pub(crate) async fn read(stream: &mut TcpStream) -> Result<Told, NoHeader> {
    let mut bytes = vec![0; MOST_V2];
    let mut read = 0;
    loop {
        // What is behind the header is TLS's or HTTP's, so it is looked at before it is taken.
        let peeked = stream.peek(&mut bytes[read..]).await?;
        if peeked == 0 {
            return Err(NoHeader::Cut);
        }
        let there = read + peeked;
        match Header::read(&bytes[..there]).map_err(NoHeader::Unfit)? {
            Some(header) => {
                let addresses = match header.origin {
                    Origin::Client { source, destination } => Some((source, destination)),
                    Origin::Local | Origin::Unknown => None,
                };
                let told = Told { addresses, over_tls: header.tlvs.tls().is_some_and(|it| it.over_tls) };
                let length = header.length;
                stream.read_exact(&mut bytes[read..length]).await?;
                return Ok(told);
            }
            // No header that may still become one fills the buffer.
            None if there == bytes.len() => return Err(NoHeader::Unfit(ProxyError::Length)),
            None => {
                stream.read_exact(&mut bytes[read..there]).await?;
                read = there;
            }
        }
    }
}

/// What members may be told of a client's TLS.
#[derive(Debug)]
pub(crate) struct OfTls {
    version: Option<&'static str>,
    cipher: Option<&'static str>,
    /// What the client named by SNI.
    authority: Option<Box<str>>,
    protocol: Option<Box<[u8]>>,
    certificate: bool,
    common_name: Option<Box<str>>,
}

impl OfTls {
    pub(crate) fn new(session: &ServerConnection) -> Self {
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        OfTls {
            version: session.protocol_version().and_then(version_name),
            cipher: session.negotiated_cipher_suite().and_then(|it| cipher_name(it.suite())),
            authority: session.server_name().map(Into::into),
            protocol: session.alpn_protocol().map(Into::into),
            certificate: certificate.is_some(),
            common_name: certificate.and_then(|it| peer::common_name(it)).map(Into::into),
        }
    }

    fn facts(&self) -> TlsFacts<'_> {
        TlsFacts {
            over_tls: true,
            certificate: self.certificate,
            // A handshake with one that cannot be verified fails.
            verified: self.certificate,
            version: self.version,
            cipher: self.cipher,
            common_name: self.common_name.as_deref(),
        }
    }
}

fn version_name(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => None,
    }
}

/// As OpenSSL calls them, which is how the specification writes them.
fn cipher_name(suite: CipherSuite) -> Option<&'static str> {
    Some(match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    })
}

/// The header of a connection to a member, made for a client's connection `of`.
pub(crate) fn header_of(version: ProxyVersion, of: &Connection) -> Vec<u8> {
    header(version, &of.flow, of.https, of.of_tls.get().map(|known| &**known))
}

/// The header of a connection to a member, made for a client's. `over_tls`: that is TLS, which was terminated here or
/// in front; `known`: what is known of that.
pub(crate) fn header(version: ProxyVersion, flow: &Flow, over_tls: bool, known: Option<&OfTls>) -> Vec<u8> {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let addresses = Some((canonical(flow.client), canonical(flow.vip)));
    if version == ProxyVersion::V1 {
        let mut line = [0; MOST_V1];
        let length = write_v1(addresses, &mut line);
        return line[..length].to_vec();
    }
    let mut out = [0; LONGEST_WRITTEN_V2];
    let mut writer = Writer::new(addresses, &mut out);
    // The client chooses how long its authority is, so that comes behind what it must not push out.
    match known {
        Some(known) => drop(writer.tls(&known.facts())),
        // A proxy in front has said so.
        None if over_tls => drop(writer.tls(&TlsFacts { over_tls: true, ..TlsFacts::default() })),
        None => {}
    }
    if let Some(protocol) = known.and_then(|it| it.protocol.as_deref()) {
        writer.tlv(TlvKind::Alpn, protocol);
    }
    if let Some(authority) = known.and_then(|it| it.authority.as_deref()) {
        writer.tlv(TlvKind::Authority, authority.as_bytes());
    }
    let length = writer.end();
    out[..length].to_vec()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    fn addresses() -> (SocketAddr, SocketAddr) {
        ("192.0.2.7:4000".parse().unwrap(), "198.51.100.1:443".parse().unwrap())
    }

    /// What is read of a connection on which `pieces` come one after the other, and what is left behind.
    async fn read_of(pieces: &[&[u8]]) -> (Result<Told, NoHeader>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        far.set_nodelay(true).unwrap();
        let (mut near, _) = listener.accept().await.unwrap();
        let sending = async {
            for piece in pieces {
                far.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(far);
        };
        let reading = async {
            let told = read(&mut near).await;
            let mut rest = Vec::new();
            if told.is_ok() {
                near.read_to_end(&mut rest).await.unwrap();
            }
            (told, rest)
        };
        tokio::join!(sending, reading).1
    }

    #[tokio::test]
    async fn nothing_behind_the_header_is_taken() {
        let mut line = [0; MOST_V1];
        let length = write_v1(Some(addresses()), &mut line);
        let v1 = line[..length].to_vec();
        let mut out = [0; LONGEST_WRITTEN_V2];
        let facts = TlsFacts { over_tls: true, ..TlsFacts::default() };
        let length = Writer::new(Some(addresses()), &mut out).tls(&facts).end();
        let v2 = out[..length].to_vec();
        for (header, over_tls) in [(v1, false), (v2, true)] {
            let whole = [&header[..], b"GET /"].concat();
            let told = Told { addresses: Some(addresses()), over_tls };
            let bytes: Vec<&[u8]> = whole.chunks(1).collect();
            for pieces in [&[&whole[..]][..], &[&whole[..7], &whole[7..]], &bytes] {
                let (read, rest) = read_of(pieces).await;
                assert_eq!((read.unwrap(), &rest[..]), (told, &b"GET /"[..]));
            }
            let (cut, _) = read_of(&[&header[..header.len() - 1]]).await;
            assert!(matches!(cut, Err(NoHeader::Cut)), "{cut:?}");
        }
        let (lie, _) = read_of(&[b"GET / HTTP/1.1\r\n\r\n"]).await;
        assert!(matches!(lie, Err(NoHeader::Unfit(ProxyError::Missing))), "{lie:?}");
        let (nobody, _) = read_of(&[b"PROXY UNKNOWN\r\n"]).await;
        assert_eq!(nobody.unwrap(), Told::default());
    }

    fn connection(client: &str, vip: &str, https: bool) -> Connection {
        let flow = Flow { client: client.parse().unwrap(), vip: vip.parse().unwrap(), ..Flow::default() };
        let mut connection = Connection::new(flow, false);
        connection.https = https;
        connection
    }

    #[test]
    fn members_are_told_what_is_known() {
        let of = connection("192.0.2.7:4000", "198.51.100.1:443", false);
        assert_eq!(header_of(ProxyVersion::V1, &of), b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 443\r\n");
        let mapped = connection("[::ffff:192.0.2.7]:4000", "198.51.100.1:443", false);
        assert_eq!(header_of(ProxyVersion::V1, &mapped), header_of(ProxyVersion::V1, &of));
        let bytes = header_of(ProxyVersion::V2, &of);
        let read = Header::read(&bytes).unwrap().unwrap();
        let (source, destination) = addresses();
        assert_eq!(read.origin, Origin::Client { source, destination });
        assert_eq!((read.tlvs.count(), read.length), (0, bytes.len()));

        // What a proxy in front has said of the client's connection is all that is known of it.
        let fronted = header_of(ProxyVersion::V2, &connection("192.0.2.7:4000", "198.51.100.1:443", true));
        let read = Header::read(&fronted).unwrap().unwrap();
        assert_eq!(read.tlvs.tls(), Some(TlsFacts { over_tls: true, ..TlsFacts::default() }));

        let known = OfTls {
            version: version_name(ProtocolVersion::TLSv1_3),
            cipher: cipher_name(CipherSuite::TLS13_AES_128_GCM_SHA256),
            authority: Some("shop.example".into()),
            protocol: Some(b"http/1.1"[..].into()),
            certificate: true,
            common_name: Some("c".repeat(MOST_V2).into()),
        };
        of.of_tls.set(Box::new(known)).unwrap();
        let bytes = header_of(ProxyVersion::V2, &of);
        let tlvs = Header::read(&bytes).unwrap().unwrap().tlvs;
        assert_eq!(tlvs.value(TlvKind::Authority), Some(&b"shop.example"[..]));
        assert_eq!(tlvs.value(TlvKind::Alpn), Some(&b"http/1.1"[..]));
        let facts = TlsFacts {
            over_tls: true,
            certificate: true,
            verified: true,
            version: Some("TLSv1.3"),
            cipher: Some("TLS_AES_128_GCM_SHA256"),
            // For more there is no room.
            common_name: None,
        };
        assert_eq!(tlvs.tls(), Some(facts));
    }

    /// A client cannot choose a name by which members refuse its connection, or by which they learn less of its TLS.
    #[test]
    fn a_long_authority_is_left_out() {
        let of = connection("[2001:db8::7]:4000", "[2001:db8::1]:443", true);
        let known = OfTls {
            version: version_name(ProtocolVersion::TLSv1_3),
            cipher: cipher_name(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
            authority: Some("a".repeat(253).into()),
            protocol: Some(b"http/1.1"[..].into()),
            certificate: true,
            common_name: Some("c".repeat(64).into()),
        };
        of.of_tls.set(Box::new(known)).unwrap();
        let bytes = header_of(ProxyVersion::V2, &of);
        assert!(bytes.len() <= 16 + 216, "{}", bytes.len());
        let tlvs = Header::read(&bytes).unwrap().unwrap().tlvs;
        assert_eq!(tlvs.value(TlvKind::Authority), None);
        assert_eq!(tlvs.value(TlvKind::Alpn), Some(&b"http/1.1"[..]));
        assert_eq!(tlvs.tls().unwrap().common_name, Some(&*"c".repeat(64)));
        assert_eq!(tlvs.tls().unwrap().cipher, Some("TLS_CHACHA20_POLY1305_SHA256"));
    }
}
