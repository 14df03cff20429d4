use shunt_wire::fragment::cut;
use shunt_wire::frame::HEADROOM;
use shunt_wire::translation::{self, Limits, Mapped, Subject};
use shunt_wire::{Address, Family, Frame, Hop, Layout, RewriteError, icmp, ip};

/// What an error may need behind it: the padding of what it quotes.
const TAILROOM: usize = 128;

/// Translates a frame: the first byte says how narrow the way out is and by what the hop limit counts, the others
/// are the frame.
pub fn translate(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else { return };
    let Some(family) = family_of(bytes) else { return };
    let Ok(subject) = Subject::read(bytes, 14, family) else { return };
    // What has no checksum in IPv6 has none in IPv4, and cannot always go back.
    if family == Family::V6 && lacks_checksum(bytes, &subject.layout) {
        return;
    }
    let mapped = Mapped {
        source: map(subject.source),
        destination: map(subject.destination),
        inner: subject.inner.map(|(source, destination)| (map(source), map(destination))),
    };
    let mtu = if how & 1 == 0 { 1280 + u16::from(how) * 8 } else { 68 + u16::from(how) * 4 };
    let hop = if how & 2 == 0 { Hop::Decrement } else { Hop::Keep };
    let limits = Limits { mtu, mtu_back: 1500, lowest_ipv6_mtu: 1280, hop };

    let mut buffer = buffer(bytes);
    let mut frame = frame(&mut buffer, bytes.len());
    let done = translation::translate(&mut frame, &subject.layout, &mapped, &limits);
    if done.is_err() {
        assert_eq!(frame.bytes(), bytes, "what refuses changes nothing");
    }
    match done {
        Ok(()) => {
            let read = read(frame.bytes(), family, &mapped);
            assert!(read.layout.datagram_len() <= mtu);
            same_payload(bytes, &subject, frame.bytes(), &read);
        }
        Err(RewriteError::MustFragment) => pieces(&mut frame, bytes, &subject, &mapped, &limits),
        Err(_) => {}
    }
}

fn lacks_checksum(bytes: &[u8], layout: &Layout) -> bool {
    let at = usize::from(layout.l4) + 6;
    layout.protocol == ip::UDP && layout.has_transport() && bytes[at..at + 2] == [0, 0]
}

fn pieces(frame: &mut Frame<'_>, bytes: &[u8], subject: &Subject, mapped: &Mapped, limits: &Limits) {
    let longest = translation::translate_to_cut(frame, &subject.layout, mapped, limits)
        .expect("what must be fragmented can be");
    let family = subject.layout.family;
    let mut payload = Vec::new();
    let mut take = |piece: &[u8]| {
        let l4 = usize::from(14 + if family == Family::V4 { 48 } else { 20u16 });
        assert!(piece.len() <= 14 + usize::from(longest));
        payload.extend_from_slice(&piece[l4..]);
    };
    // A fragment may say that it ends beyond the longest packet, and a link may be too narrow for any.
    if cut(frame, longest, &mut take).is_none() {
        return;
    }
    take(frame.bytes());
    let whole = &bytes[usize::from(subject.layout.l4)..usize::from(subject.layout.end)];
    assert_eq!(payload.len(), whole.len());
    assert_eq!(payload.get(20..), whole.get(20..));
}

/// The frame is one of the other family, to where it was sent.
fn read(bytes: &[u8], was: Family, mapped: &Mapped) -> Subject {
    let family = if was == Family::V4 { Family::V6 } else { Family::V4 };
    assert_eq!(family_of(bytes), Some(family));
    let read = Subject::read(bytes, 14, family).expect("what was written can be read");
    assert_eq!((read.source, read.destination), (mapped.source, mapped.destination));
    assert_eq!(usize::from(read.layout.end), bytes.len());
    if let Some(inner) = mapped.inner {
        assert_eq!(read.inner, Some(inner));
    }
    read
}

/// Behind the longest header that a translation touches, nothing changed; in an ICMP error much does.
fn same_payload(before: &[u8], was: &Subject, after: &[u8], is: &Subject) {
    if was.inner.is_none() {
        let payload = |bytes: &[u8], subject: &Subject| {
            bytes[usize::from(subject.layout.l4)..usize::from(subject.layout.end)].to_vec()
        };
        let (old, new) = (payload(before, was), payload(after, is));
        assert_eq!(old.len(), new.len());
        assert_eq!(old.get(20..), new.get(20..));
    } else {
        let kind = after[usize::from(is.layout.l4)];
        assert!(icmp::is_error(is.layout.family, kind));
        assert!(is.layout.datagram_len() <= if is.layout.family == Family::V4 { 576 } else { 1280 });
    }
}

fn family_of(bytes: &[u8]) -> Option<Family> {
    match bytes.get(12..14)? {
        [0x08, 0x00] => Some(Family::V4),
        [0x86, 0xdd] => Some(Family::V6),
        _ => None,
    }
}

/// Always an address that a packet may come from.
fn map(from: Address) -> Address {
    match from.to_ipv4() {
        Some(v4) => Address { hi: 0x2001_0db8_0064_0000, lo: v4.to_bits().into() },
        None => std::net::Ipv4Addr::from_bits(10 << 24 | from.lo as u32 & 0xff_ffff).into(),
    }
}

fn buffer(bytes: &[u8]) -> Vec<u8> {
    [&[0; HEADROOM][..], bytes, &[0; TAILROOM]].concat()
}

fn frame(buffer: &mut [u8], len: usize) -> Frame<'_> {
    Frame::new(buffer, HEADROOM, HEADROOM + len)
}
