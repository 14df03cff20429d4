//! A connection is enough.

use shunt_config::monitors::Tcp;
use shunt_runtime::dial;
use shunt_wire::ip;
use tokio::net::{TcpSocket, TcpStream};

use super::probe::{Ask, Failure, Good, ProbeTransport, Probing};

impl Ask for Tcp {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, Failure> {
        connect(probing).await?;
        Ok(Good("connected".into()))
    }
}

/// A connection to the member.
pub(super) async fn connect<S: ProbeTransport>(mut probing: Probing<'_, S>) -> Result<TcpStream, Failure> {
    let socket = if probing.to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(Failure::Connect)?;
    if probing.from().is_some() {
        socket.bind(probing.source()).map_err(Failure::Connect)?;
        let from = socket.local_addr().map_err(Failure::Connect)?;
        probing.begin(ip::TCP, from);
    }
    let stream = socket.connect(probing.to).await.map_err(Failure::Connect)?;
    dial::refuse_itself(&stream).map_err(Failure::Connect)?;
    Ok(stream)
}
