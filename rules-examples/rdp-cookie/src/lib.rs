use shunt_sdk::prelude::*;

/// Keeps users of Remote Desktop at their server, by what the first message of a client says ([MS-RDPBCGR] 2.2.1.1).
struct RdpCookie;

/// TPKT (RFC 1006 section 6): version 3, a reserved octet, the length of all.
const TPKT: usize = 4;
/// What stands before the cookie: TPKT, and the fixed part of a Connection Request (X.224 section 13.3).
const HEAD: usize = 11;

#[rule]
impl RdpCookie {
    fn on_data(&self, _: &Flow, data: &Data) -> data::Verdict {
        let bytes = data.bytes.as_slice();
        let length = match bytes {
            [] if data.is_open() => return data::need(TPKT),
            [3, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
            [3, ..] if bytes.len() < TPKT && data.is_open() => return data::need(TPKT - bytes.len()),
            // It is no Remote Desktop, or not whole.
            _ => return reject(),
        };
        if bytes.len() < length {
            return if data.is_open() { data::need(length - bytes.len()) } else { reject() };
        }
        // A Connection Request is 0xE.
        let Some(rest) = bytes.get(HEAD..length).filter(|_| bytes[5] >> 4 == 0xe) else { return reject() };
        match line(rest).and_then(|line| line.strip_prefix("Cookie: ")) {
            Some(cookie) => match (cookie.strip_prefix("mstshash="), cookie.strip_prefix("msts=")) {
                (Some(user), _) => to_pool("hosts").persist(user.to_ascii_lowercase()),
                (_, Some(token)) => match host(token) {
                    Some(host) if lb::members("hosts").iter().any(|member| member.address == host) => {
                        to_pool("hosts").member(host)
                    }
                    _ => to_pool("hosts"),
                },
                _ => to_pool("hosts"),
            },
            None => to_pool("hosts"),
        }
    }
}

/// Up to CR LF.
fn line(bytes: &[u8]) -> Option<&str> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    str::from_utf8(&bytes[..end]).ok()
}

/// The session host that a broker has sent the client back to: its address and port as numbers in the order of octets of the
/// broker, and a reserved one. `3640205228.15629.0000` is 172.31.249.216:3389.
fn host(token: &str) -> Option<SocketAddr> {
    let mut parts = token.split('.');
    let address: u32 = parts.next()?.parse().ok()?;
    let port: u16 = parts.next()?.parse().ok()?;
    Some(SocketAddr::from((address.to_le_bytes(), port.swap_bytes())))
}
