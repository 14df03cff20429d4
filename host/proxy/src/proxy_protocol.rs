//! The PROXY protocol in front of a client's connection: what a trusted proxy says of whose connection it is.

use std::io;
use std::net::SocketAddr;

use shunt_wire::proxy_protocol::{Header, MOST_V2, Origin, ProxyError};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

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

#[cfg(test)]
mod tests {
    use shunt_wire::proxy_protocol::{TlsFacts, Writer, write_v1};
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
        let mut line = [0; shunt_wire::proxy_protocol::MOST_V1];
        let length = write_v1(Some(addresses()), &mut line);
        let v1 = line[..length].to_vec();
        let mut out = [0; MOST_V2];
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
}
