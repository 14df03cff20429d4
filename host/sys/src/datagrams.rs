//! Datagrams of UDP, many with one call: `recvmmsg(2)`, `sendmmsg(2)`, and trains, which are datagrams of one size from one
//! sender that the kernel hands over and takes as one (`UDP_GRO`, `UDP_SEGMENT`, udp(7)).

use std::io::{self, IoSlice};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use nix::sys::socket::{setsockopt, sockopt};

use crate::stream;

/// Datagrams or trains of one call.
pub const MOST: usize = 32;

/// Bytes of the longest datagram, and of the longest train.
const ROOM: usize = 1 << 16;

/// A socket address: that of IPv6 is the longer one (ip(7), ipv6(7)).
const NAME: usize = 28;

/// Control messages: the local address and the size of segments, each behind a header of 16 bytes and filled up to 8.
const CONTROL: usize = 64;

/// Bytes of the header of a control message (cmsg(3)), of 64-bit systems, and to what its length is filled up.
const HEADER: usize = 16;
const ALIGN: usize = 8;

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Name([u8; NAME]);

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Room for what one call receives.
pub struct Batch {
    bytes: Box<[u8]>,
    names: Box<[Name; MOST]>,
    controls: Box<[Control; MOST]>,
    /// What the kernel is given, and where it says how long each is. Their pointers are written for each call.
    headers: Box<[libc::mmsghdr; MOST]>,
    pieces: Box<[libc::iovec; MOST]>,
    count: usize,
}

/// A datagram, or several of one size in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Train<'a> {
    pub bytes: &'a [u8],
    /// Bytes of each datagram but perhaps the last; as many as there are where it is one.
    pub segment: usize,
    pub from: SocketAddr,
    /// The address of this host that it was sent to, where the socket is asked for it.
    pub to: Option<IpAddr>,
}

/// What is to be sent: a datagram, or a train.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub bytes: &'a [u8],
    pub segment: usize,
    pub to: SocketAddr,
    /// The address of this host that it comes from; `None`: as the kernel chooses.
    pub from: Option<IpAddr>,
}

/// Has a socket hand over trains, and, where it is bound to every address, say which one datagrams were sent to.
///
/// # Errors
/// The kernel does not know the options.
pub fn prepare(socket: &impl AsFd, bound: SocketAddr) -> io::Result<()> {
    // Without it each datagram comes by itself.
    let _ = setsockopt(socket, sockopt::UdpGroSegment, &true);
    match bound.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ok(setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?),
        IpAddr::V6(v6) if v6.is_unspecified() => Ok(setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?),
        _ => Ok(()),
    }
}

impl Default for Batch {
    fn default() -> Self {
        Batch {
            bytes: vec![0; MOST * ROOM].into_boxed_slice(),
            names: Box::new([Name([0; NAME]); MOST]),
            controls: Box::new([Control([0; CONTROL]); MOST]),
            // SAFETY: all bytes zero are valid for these structs of C, whose pointers are then null.
            headers: Box::new(unsafe { mem::zeroed() }),
            // SAFETY: as above.
            pieces: Box::new(unsafe { mem::zeroed() }),
            count: 0,
        }
    }
}

impl Batch {
    /// Receives what is there, up to [`MOST`]. Gives how many.
    ///
    /// # Errors
    /// What the kernel says of the socket; `WouldBlock` where nothing is there.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let rooms =
            self.bytes.chunks_exact_mut(ROOM).zip(self.names.iter_mut().zip(self.controls.iter_mut()));
        let headers = self.headers.iter_mut().zip(self.pieces.iter_mut());
        for ((header, piece), (room, (name, control))) in headers.zip(rooms) {
            *piece = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            header.msg_hdr.msg_name = name.0.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = NAME as libc::socklen_t;
            header.msg_hdr.msg_iov = piece;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL;
        }
        self.count = 0;
        // SAFETY: each header has pointers to memory that this borrows until the call is over, with its lengths; the kernel
        // writes no more than these.
        let count = unsafe {
            let (flags, no_timeout) = (libc::MSG_DONTWAIT, ptr::null_mut::<libc::timespec>());
            libc::syscall(
                libc::SYS_recvmmsg,
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                MOST,
                flags,
                no_timeout,
            )
        };
        self.count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        Ok(self.count)
    }

    /// What was received, in its order. What has no sender that can be answered is left out.
    pub fn trains(&self) -> impl Iterator<Item = Train<'_>> {
        let rooms = self.bytes.chunks_exact(ROOM).zip(self.names.iter().zip(self.controls.iter()));
        rooms.zip(self.headers.iter()).take(self.count).filter_map(|((room, (name, control)), header)| {
            let of = &header.msg_hdr;
            let bytes = room.get(..header.msg_len as usize)?;
            let from = address(name.0.get(..of.msg_namelen as usize)?)?;
            let (segment, to) = told(control.0.get(..of.msg_controllen)?);
            Some(Train { bytes, segment: segment.unwrap_or(bytes.len()), from, to })
        })
    }
}

/// Sends up to [`MOST`]. Gives how many the kernel took.
///
/// # Errors
/// Why it does not take the first; `WouldBlock` where there is no room.
pub fn send(socket: BorrowedFd<'_>, outgoing: &[Outgoing<'_>]) -> io::Result<usize> {
    let mut names = [Name([0; NAME]); MOST];
    let mut controls = [Control([0; CONTROL]); MOST];
    // SAFETY: all bytes zero are valid for these structs of C, whose pointers are then null.
    let mut pieces: [libc::iovec; MOST] = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut headers: [libc::mmsghdr; MOST] = unsafe { mem::zeroed() };
    let rooms = names.iter_mut().zip(&mut controls).zip(&mut pieces);
    for ((header, ((name, control), piece)), it) in headers.iter_mut().zip(rooms).zip(outgoing) {
        // The kernel does not write to it.
        *piece = libc::iovec { iov_base: it.bytes.as_ptr().cast_mut().cast(), iov_len: it.bytes.len() };
        let name_length = write_address(it.to, &mut name.0);
        let controls = write_told(it, &mut control.0);
        header.msg_hdr.msg_name = name.0.as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = name_length as libc::socklen_t;
        header.msg_hdr.msg_iov = piece;
        header.msg_hdr.msg_iovlen = 1;
        if controls > 0 {
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = controls;
        }
    }
    let count = outgoing.len().min(MOST);
    // SAFETY: the first `count` headers have pointers to memory that lives until the call is over, with its lengths; the
    // kernel writes to the lengths in the headers alone.
    let sent = unsafe {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        libc::syscall(libc::SYS_sendmmsg, socket.as_raw_fd(), headers.as_mut_ptr(), count, flags)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Sends a train by a connected socket: what the pieces are together, in datagrams of `segment` bytes.
///
/// # Errors
/// Why the kernel does not take it; `WouldBlock` where there is no room.
pub fn send_train(socket: BorrowedFd<'_>, pieces: &[IoSlice<'_>], segment: usize) -> io::Result<()> {
    let mut control = Control([0; CONTROL]);
    let length = write_segment_at(segment, &mut control.0, 0);
    // SAFETY: all bytes zero are valid for this struct of C, whose pointers are then null.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    // `IoSlice` is an `iovec` (its documentation); the kernel does not write to them.
    header.msg_iov = pieces.as_ptr().cast_mut().cast();
    header.msg_iovlen = pieces.len();
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = length;
    // SAFETY: the header has pointers to memory that lives until the call is over, with its lengths; the kernel writes to none
    // of it.
    let sent = unsafe {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        libc::syscall(libc::SYS_sendmsg, socket.as_raw_fd(), &raw const header, flags)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Disconnects a socket that is bound to no port by itself: the kernel takes its port away, and chooses another when it is
/// connected again (connect(2): `AF_UNSPEC`).
///
/// # Errors
/// As the kernel gives them.
pub fn disconnect(socket: BorrowedFd<'_>) -> io::Result<()> {
    let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    // SAFETY: the kernel reads the address, which is as long as is said.
    let done = unsafe {
        let length = size_of_val(&nowhere) as libc::socklen_t;
        libc::connect(socket.as_raw_fd(), ptr::from_ref(&nowhere), length)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Throws away what came, and what is known of errors; `false`: there is no end of it.
#[must_use]
pub fn discard(socket: BorrowedFd<'_>) -> bool {
    // What a datagram has beyond the room for it is lost with it (udp(7)).
    let nothing = || stream::recv(socket, &mut &mut [0; 1][..]);
    (0..MOST).any(|_| nothing().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
}

/// Whether a train was refused for being one: the device makes no checksums, or its packets are shorter than the datagrams
/// (udp(7), `udp_send_skb` of Linux).
#[must_use]
pub fn takes_no_train(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    [libc::EIO, libc::EINVAL, libc::EMSGSIZE].iter().any(|it| number == Some(*it))
}

/// `sockaddr_in` or `sockaddr_in6` (ip(7), ipv6(7)).
fn address(name: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*name.first_chunk()?));
    let port = u16::from_be_bytes(*name.get(2..)?.first_chunk()?);
    match family {
        libc::AF_INET => {
            Some(SocketAddrV4::new(Ipv4Addr::from(*name.get(4..)?.first_chunk::<4>()?), port).into())
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(*name.get(8..)?.first_chunk::<16>()?);
            let scope = u32::from_ne_bytes(*name.get(24..)?.first_chunk()?);
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
        _ => None,
    }
}

fn write_address(address: SocketAddr, name: &mut [u8; NAME]) -> usize {
    name[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            name[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            name[4..8].copy_from_slice(&v4.ip().octets());
            16
        }
        SocketAddr::V6(v6) => {
            name[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            name[8..24].copy_from_slice(&v6.ip().octets());
            name[24..].copy_from_slice(&v6.scope_id().to_ne_bytes());
            NAME
        }
    }
}

/// The size of segments, and the address that it was sent to.
fn told(mut controls: &[u8]) -> (Option<usize>, Option<IpAddr>) {
    let (mut segment, mut to) = (None, None);
    while let Some(header) = controls.first_chunk::<HEADER>() {
        let field = |at: usize| {
            header.get(at..).and_then(|it| it.first_chunk::<4>()).map_or(0, |it| i32::from_ne_bytes(*it))
        };
        let length = header.first_chunk::<8>().map_or(0, |it| usize::from_ne_bytes(*it));
        let Some(data) = controls.get(HEADER..length) else { break };
        match (field(8), field(12)) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                segment = data.first_chunk().and_then(|it| usize::try_from(i32::from_ne_bytes(*it)).ok());
            }
            // `in_pktinfo`: the number of the interface, the local address, that of the header.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                to = data.get(8..).and_then(|it| it.first_chunk::<4>()).map(|it| Ipv4Addr::from(*it).into());
            }
            // `in6_pktinfo`: the address, the number of the interface.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                to = data.first_chunk::<16>().map(|it| Ipv6Addr::from(*it).into());
            }
            _ => {}
        }
        controls = controls.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
    }
    (segment.filter(|segment| *segment > 0), to)
}

/// Writes what goes with a datagram. Gives the length.
fn write_told(it: &Outgoing<'_>, controls: &mut [u8; CONTROL]) -> usize {
    let at = match it.from {
        // `ipi_spec_dst` is the second of three fields, `ipi6_addr` the first of two; the kernel finds the interface.
        Some(IpAddr::V4(v4)) => {
            let mut data = [0; 12];
            data[4..8].copy_from_slice(&v4.octets());
            write(controls, 0, (libc::IPPROTO_IP, libc::IP_PKTINFO), &data)
        }
        Some(IpAddr::V6(v6)) => {
            let mut data = [0; 20];
            data[..16].copy_from_slice(&v6.octets());
            write(controls, 0, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), &data)
        }
        None => 0,
    };
    if it.segment < it.bytes.len() { write_segment_at(it.segment, controls, at) } else { at }
}

fn write_segment_at(segment: usize, controls: &mut [u8; CONTROL], at: usize) -> usize {
    let segment = u16::try_from(segment).unwrap_or(u16::MAX);
    write(controls, at, (libc::SOL_UDP, libc::UDP_SEGMENT), &segment.to_ne_bytes())
}

/// Writes a control message at `at`. Gives where the next begins.
fn write(controls: &mut [u8; CONTROL], at: usize, (level, kind): (i32, i32), data: &[u8]) -> usize {
    let length = HEADER + data.len();
    let Some(room) = controls.get_mut(at..at + length) else { return at };
    room[..8].copy_from_slice(&length.to_ne_bytes());
    room[8..12].copy_from_slice(&level.to_ne_bytes());
    room[12..16].copy_from_slice(&kind.to_ne_bytes());
    room[HEADER..].copy_from_slice(data);
    at + length.next_multiple_of(ALIGN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn socket(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        prepare(&socket, socket.local_addr().unwrap()).unwrap();
        socket
    }

    /// Waits for what is there.
    fn received(socket: &UdpSocket, batch: &mut Batch) -> usize {
        let mut byte = [0];
        socket.peek_from(&mut byte).unwrap();
        batch.receive(socket.as_fd()).unwrap()
    }

    #[test]
    fn many_come_with_one_call_and_go_with_one() {
        for any in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let Ok(server) = UdpSocket::bind(any) else { continue };
            let bound = server.local_addr().unwrap();
            prepare(&server, bound).unwrap();
            let local: IpAddr =
                if bound.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            let at = SocketAddr::new(local, bound.port());
            let client = UdpSocket::bind((local, 0)).unwrap();
            for number in 0..5u8 {
                client.send_to(&vec![number; usize::from(number) + 1], at).unwrap();
            }
            let mut batch = Batch::default();
            assert_eq!(received(&server, &mut batch), 5, "{any}");
            assert_eq!(batch.receive(server.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            server.send_to(&[9], client.local_addr().unwrap()).unwrap();
            client.send_to(&[1, 2], at).unwrap();
            assert_eq!(received(&server, &mut batch), 1);
            let train = batch.trains().next().unwrap();
            assert_eq!(
                (train.bytes, train.segment, train.from),
                (&[1, 2][..], 2, client.local_addr().unwrap())
            );
            assert_eq!(train.to, bound.ip().is_unspecified().then_some(local), "{any}");
            let answer = |bytes| Outgoing { bytes, segment: usize::MAX, to: train.from, from: train.to };
            assert_eq!(send(server.as_fd(), &[answer(b"one"), answer(b"two")]).unwrap(), 2);
            let mut buffer = [0; 8];
            let mut said = Vec::new();
            for _ in 0..3 {
                let (length, from) = client.recv_from(&mut buffer).unwrap();
                said.push((buffer[..length].to_vec(), from));
            }
            assert_eq!(said, [(vec![9], at), (b"one".to_vec(), at), (b"two".to_vec(), at)]);
        }
    }

    #[test]
    fn trains_are_sent_and_received_as_one() {
        let (server, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        client.connect(server.local_addr().unwrap()).unwrap();
        let bytes: Vec<u8> = (0..250).collect();
        let pieces = [&bytes[..40], &bytes[40..]].map(IoSlice::new);
        send_train(client.as_fd(), &pieces, 100).unwrap();
        let mut batch = Batch::default();
        let mut got = Vec::new();
        while got.iter().map(Vec::len).sum::<usize>() < 250 {
            received(&server, &mut batch);
            got.extend(
                batch
                    .trains()
                    .flat_map(|it| it.bytes.chunks(it.segment).map(<[u8]>::to_vec).collect::<Vec<_>>()),
            );
        }
        assert_eq!(got, [&bytes[..100], &bytes[100..200], &bytes[200..]]);
        let to = client.local_addr().unwrap();
        assert_eq!(
            send(server.as_fd(), &[Outgoing { bytes: &bytes, segment: 125, to, from: None }]).unwrap(),
            1
        );
        let plain = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = plain.local_addr().unwrap();
        assert_eq!(
            send(server.as_fd(), &[Outgoing { bytes: &bytes, segment: 200, to, from: None }]).unwrap(),
            1
        );
        let mut buffer = [0; 300];
        assert_eq!(plain.recv(&mut buffer).unwrap(), 200, "a socket without trains gets datagrams");
        assert_eq!(plain.recv(&mut buffer).unwrap(), 50);
    }

    #[test]
    fn a_socket_that_was_disconnected_gets_another_port_and_nothing_of_before() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (Ok(member), Ok(socket)) = (UdpSocket::bind(address), UdpSocket::bind(address)) else {
                continue;
            };
            drop(socket);
            let to = member.local_addr().unwrap();
            let domain = socket2::Domain::for_address(to);
            let socket = socket2::Socket::new(domain, socket2::Type::DGRAM.nonblocking(), None).unwrap();
            let mut ports = Vec::new();
            for question in 0..4u8 {
                assert!(discard(socket.as_fd()));
                socket.connect(&to.into()).unwrap();
                socket.send(&[question]).unwrap();
                let (_, from) = member.recv_from(&mut [0]).unwrap();
                ports.push(from.port());
                // The second answer is one too many.
                for answer in [question, 9] {
                    member.send_to(&[answer], from).unwrap();
                }
                let mut answer = [9];
                assert_eq!(stream::recv(socket.as_fd(), &mut &mut answer[..]).unwrap(), 1);
                assert_eq!(answer, [question]);
                disconnect(socket.as_fd()).unwrap();
                // Nobody is there any more.
                member.send_to(&[9], from).unwrap();
            }
            ports.dedup();
            assert!(ports.len() > 1, "{address}: {ports:?}");
        }
    }

    #[test]
    fn control_messages_that_are_cut_say_nothing() {
        for length in 0..CONTROL {
            let mut controls = [0; CONTROL];
            write(&mut controls, 0, (libc::SOL_UDP, libc::UDP_GRO), &[1, 0, 0, 0]);
            let (segment, to) = told(&controls[..length]);
            assert_eq!((segment.is_some(), to), (length >= 20, None));
            controls[..8].copy_from_slice(&length.to_ne_bytes());
            let _ = told(&controls);
        }
    }
}
