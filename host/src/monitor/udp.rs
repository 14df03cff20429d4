//! A datagram must be answered.

use std::io;

use shunt_config::monitors::Udp;
use shunt_wire::ip;
use thiserror::Error;
use tokio::net::UdpSocket;

use super::probe::{self, Ask, Good, MAX_BODY_BYTES, ProbeTransport, Probing};

/// Why the answer is not good.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("the reply does not contain {0:?}")]
    Unexpected(String),
}

impl Ask for Udp {
    /// What others send to the socket does not count.
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, probe::Failure> {
        use probe::Failure::Connect;
        let socket = open(probing).await?;
        socket.send(self.send.as_bytes()).await.map_err(Connect)?;
        let mut buffer = vec![0; MAX_BODY_BYTES];
        let length = socket.recv(&mut buffer).await.map_err(Connect)?;
        let answer = buffer.get(..length).unwrap_or_default();
        match &self.expect {
            Some(text) if !holds(answer, text.as_bytes()) => Err(Failure::Unexpected(text.clone()).into()),
            _ => Ok("got a reply".into()),
        }
    }
}

/// A socket whose datagrams go to the member.
pub(super) async fn open<S: ProbeTransport>(
    mut probing: Probing<'_, S>,
) -> Result<UdpSocket, probe::Failure> {
    use probe::Failure::Connect;
    let socket = UdpSocket::bind(probing.source()).await.map_err(Connect)?;
    probing.mark(&socket).map_err(Connect)?;
    let from = socket.local_addr().map_err(Connect)?;
    probing.begin(ip::UDP, from);
    socket.connect(probing.to).await.map_err(Connect)?;
    // The kernel chose the member's own port: what is sent would come back.
    if socket.local_addr().is_ok_and(|own| own == probing.to) {
        return Err(Connect(io::ErrorKind::ConnectionRefused.into()));
    }
    Ok(socket)
}

fn holds(answer: &[u8], part: &[u8]) -> bool {
    answer.windows(part.len().max(1)).any(|window| window == part)
}
