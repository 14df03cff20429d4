//! A connection is enough.

use std::os::fd::AsFd;

use shunt_config::model::ProxyVersion;
use shunt_config::monitors::Tcp;
use shunt_runtime::dial;
use shunt_sys::fragments::{self, Learned};
use shunt_sys::source;
use shunt_wire::ip;
use shunt_wire::proxy_protocol::{LOCAL_V2, MOST_V1, write_v1};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::probe::{Ask, Failure, Good, ProbeTransport, Probing};

impl Ask for Tcp {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, Failure> {
        connect_to_speak(probing).await?;
        Ok("connected".into())
    }
}

/// A connection to the member, which knows by its beginning that it is no client's.
pub(super) async fn connect<S: ProbeTransport>(probing: Probing<'_, S>) -> Result<TcpStream, Failure> {
    open(probing, false).await
}

/// The same, where this side speaks first, or ends: so the handshake's last ACK is one with that.
pub(super) async fn connect_to_speak<S: ProbeTransport>(
    probing: Probing<'_, S>,
) -> Result<TcpStream, Failure> {
    open(probing, true).await
}

/// The headers of IP and TCP, without options, in bytes.
const fn headers(is_ipv4: bool) -> u32 {
    if is_ipv4 { 20 + 20 } else { 40 + 20 }
}

/// How much of a packet of this length is the data of TCP, with the option that all but a few systems send (RFC 7323).
pub(super) fn data_of(size: u16, is_ipv4: bool) -> usize {
    const TIMESTAMPS: u32 = 12;
    u32::from(size).saturating_sub(headers(is_ipv4) + TIMESTAMPS) as usize
}

async fn open<S: ProbeTransport>(mut probing: Probing<'_, S>, speaks: bool) -> Result<TcpStream, Failure> {
    let socket = source::unbound(probing.to.ip()).map_err(Failure::Connect)?;
    probing.mark(&socket).map_err(Failure::Connect)?;
    if probing.from().is_some() {
        SockRef::from(&socket).bind(&probing.source().into()).map_err(Failure::Connect)?;
        let from = socket.local_addr().map_err(Failure::Connect)?;
        probing.begin(ip::TCP, from);
    }
    if let Some(size) = probing.size {
        let is_ipv4 = probing.to.is_ipv4();
        fragments::forbid(socket.as_fd(), is_ipv4, Learned::Heeded).map_err(Failure::Connect)?;
        let longest = u32::from(size).saturating_sub(headers(is_ipv4));
        SockRef::from(&socket).set_tcp_mss(longest).map_err(Failure::Connect)?;
    }
    if speaks {
        // Best effort: it saves a packet.
        let _ = SockRef::from(&socket).set_tcp_quickack(false);
    }
    let mut stream = dial::connect_plain(socket, probing.to).await.map_err(Failure::Connect)?;
    match probing.proxy_protocol {
        None => {}
        Some(ProxyVersion::V1) => {
            // Version 1 has no word for a connection of the proxy's own. `UNKNOWN` comes nearest, and Apache 2.4,
            // Varnish 7.1 and coturn 4.6 refuse it; the addresses of this connection they all take.
            let from = stream.local_addr().map_err(Failure::Connect)?;
            let mut line = [0; MOST_V1];
            let length = write_v1(Some((from, probing.to)), &mut line);
            stream.write_all(&line[..length]).await.map_err(Failure::Connect)?;
        }
        Some(ProxyVersion::V2) => stream.write_all(&LOCAL_V2).await.map_err(Failure::Connect)?,
    }
    Ok(stream)
}
