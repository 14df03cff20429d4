//! What stands in Shunt's place where the kernel has nothing for it.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue says so and ends")]

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use etherparse::IpSlice;
use shunt_lab::{Host, Mode};
use socket2::{Domain, Protocol, Socket, Type};

/// Puts whatever comes for the virtuals' addresses into a tunnel to one member; the kernel writes the outer header.
pub(crate) struct Encapsulator {
    stopping: Arc<AtomicBool>,
    working: Option<JoinHandle<()>>,
}

/// All protocols (linux/if_ether.h).
const ETH_P_ALL: u16 = 3;

impl Encapsulator {
    pub(crate) fn start(host: &Host, virtuals: [IpAddr; 2], mode: Mode, member: IpAddr) -> Encapsulator {
        // The kernel answers for the addresses' MAC, and shall take nothing that comes to them.
        let [v4, v6] = virtuals;
        let table = format!(
            "table inet standin {{ chain mute {{
               type filter hook input priority 0;
               ip daddr {v4} drop
               ip6 daddr {v6} icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
               ip6 daddr {v6} drop
             }}\n}}"
        );
        host.feed("nft -f -", &table).unwrap();
        let all = Protocol::from(i32::from(ETH_P_ALL.to_be()));
        let (mut tap, out) = host
            .within(|| {
                (Socket::new(Domain::PACKET, Type::DGRAM, Some(all)).unwrap(), Outside::open(mode, member))
            })
            .unwrap();
        tap.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&stopping);
        let working = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !ending.load(SeqCst) {
                let Ok(length) = tap.read(&mut buffer) else { continue };
                let Ok(datagram) = IpSlice::from_slice(&buffer[..length]) else { continue };
                // Not what is about its neighbours.
                let is_ndp = matches!(datagram.payload().payload, [133..=137, ..])
                    && datagram.payload_ip_number() == etherparse::IpNumber::IPV6_ICMP;
                if virtuals.contains(&datagram.destination_addr()) && !is_ndp {
                    out.send(&buffer[..length], datagram.destination_addr());
                }
            }
        });
        Encapsulator { stopping, working: Some(working) }
    }
}

impl Drop for Encapsulator {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        if let Some(thread) = self.working.take() {
            let _ = thread.join();
        }
    }
}

/// The sockets of a tunnel: for IPv4 inside and for IPv6 inside.
struct Outside {
    sockets: [Socket; 2],
    mode: Mode,
    member: SocketAddr,
}

impl Outside {
    fn open(mode: Mode, member: IpAddr) -> Outside {
        let domain = if member.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let raw = |protocol| Socket::new(domain, Type::RAW, Some(Protocol::from(protocol))).unwrap();
        let udp = || Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        let (sockets, port) = match mode {
            Mode::L3dsrIpip => ([raw(4), raw(41)], 0),
            Mode::L3dsrGre => ([raw(47), raw(47)], 0),
            _ => ([udp(), udp()], 6080),
        };
        Outside { sockets, mode, member: SocketAddr::new(member, port) }
    }

    fn send(&self, datagram: &[u8], to: IpAddr) {
        let family = usize::from(to.is_ipv6());
        let header: &[u8] = match (self.mode, family) {
            (Mode::L3dsrGre, 0) => &[0, 0, 0x08, 0],
            (Mode::L3dsrGre, _) => &[0, 0, 0x86, 0xdd],
            (Mode::L3dsrGue, 0) => &[0, 4, 0, 0],
            (Mode::L3dsrGue, _) => &[0, 41, 0, 0],
            _ => &[],
        };
        self.sockets[family].send_to(&[header, datagram].concat(), &self.member.into()).unwrap();
    }
}
