//! Sections 1.4, 4, 4.1, 5 and 5.1.1: what is too long, and what is in pieces.

use shunt_wire::RewriteError;
use shunt_wire::translation::Limits;

use super::{WIDE, assert_each, assert_is, frame_of, pieces, translated};

const V4: &str = "ip4 192.0.2.7 > 198.51.100.2";
const V6: &str = "ip6 2001:db8:64::192.0.2.7 > 2001:db8:64::198.51.100.2";

#[test]
fn fragments_stay_fragments() {
    let cases = [
        // With and without DF, which a fragment header cannot say.
        (
            format!("{V4} ttl 64 id 1234 df mf | udp 5 > 6 len 2000 check 0x1234 | bytes 16"),
            format!("{V6} hop 63 | fragment id 1234 mf | udp 5 > 6 len 2000 check CHECK | bytes 16"),
        ),
        (
            format!("{V4} ttl 64 id 1234 mf off 80 proto 17 | bytes 16"),
            format!("{V6} hop 63 | fragment id 1234 mf off 80 next 17 | bytes 16"),
        ),
        (
            format!("{V4} ttl 64 id 1234 off 65528 proto 6 | bytes 7"),
            format!("{V6} hop 63 | fragment id 1234 off 65528 next 6 | bytes 7"),
        ),
        (
            format!("{V6} hop 64 | fragment id 0x01020408 mf | udp 5 > 6 len 2000 check CHECK | bytes 16"),
            format!("{V4} ttl 63 id 0x0408 mf | udp 5 > 6 len 2000 check 0x1234 | bytes 16"),
        ),
        (
            format!("{V6} hop 64 | fragment id 0x01020408 mf off 80 next 6 | bytes 1239"),
            format!("{V4} ttl 63 id 0x0408 mf off 80 proto 6 | bytes 1239"),
        ),
        (
            format!("{V6} hop 64 | fragment id 0x01020408 off 80 next 6 | bytes 1300"),
            format!("{V4} ttl 63 id 0x0408 off 80 proto 6 | bytes 1300"),
        ),
        // Options and extension headers are left out of fragments too.
        (
            format!("{V4} ttl 64 id 1234 off 80 options 94040000 proto 6 | bytes 8"),
            format!("{V6} hop 63 | fragment id 1234 off 80 next 6 | bytes 8"),
        ),
        (
            format!("{V6} hop 64 | hop-by-hop 050200000100 | fragment id 9 off 80 next 6 | bytes 8"),
            format!("{V4} ttl 63 id 9 off 80 proto 6 | bytes 8"),
        ),
    ];
    // A prefix of zeros but for these words, twice.
    let check = check(0x1234, &[0x2001, 0x0db8, 0x0064, 0x2001, 0x0db8, 0x0064]);
    let cases =
        cases.map(|(before, after)| (before.replace("CHECK", &check), after.replace("CHECK", &check)));
    assert_each(&cases.each_ref().map(|(before, after)| (before.as_str(), after.as_str())), &WIDE);
}

/// A checksum after these words joined what it covers.
fn check(old: u16, words: &[u16]) -> String {
    let sum = words.iter().fold(u64::from(!old), |sum, word| sum + u64::from(*word));
    let folded = (sum & 0xffff) + (sum >> 16);
    (!(folded as u16)).to_string()
}

#[test]
fn too_big() {
    let v4 = |fields: &str, len: usize| format!("{V4} {fields} proto 33 | bytes {}", len - 20);
    let v6 = |len: usize| format!("{V6} next 33 | bytes {}", len - 40);
    let v6_fragment = |len: usize| format!("{V6} | fragment id 9 mf next 33 | bytes {}", len - 48);
    let narrow = |mtu| Limits { mtu, ..WIDE };
    let too_big = |mtu| Err(RewriteError::TooBig { mtu });
    for (text, limits, result) in [
        (v4("df", 1261), narrow(1280), too_big(1260)),
        (v4("df", 1260), narrow(1280), Ok(1280)),
        (v4("", 1260), narrow(1280), Ok(1280)),
        (v4("", 1261), narrow(1280), Err(RewriteError::MustFragment)),
        // Fragments get a fragment header.
        (v4("df mf", 1261), narrow(1280), too_big(1260)),
        (v4("df mf", 1260), narrow(1280), too_big(1252)),
        (v4("df mf", 1252), narrow(1280), Ok(1280)),
        (v4("mf", 1252), narrow(1280), Ok(1280)),
        (v4("mf", 1253), narrow(1280), Err(RewriteError::MustFragment)),
        // Without DF it is not the link that counts.
        (v4("df", 1480), WIDE, Ok(1500)),
        (v4("", 1261), WIDE, Err(RewriteError::MustFragment)),
        (v4("", 1382), Limits { lowest_ipv6_mtu: 1402, ..WIDE }, Ok(1402)),
        (v4("", 1383), Limits { lowest_ipv6_mtu: 1402, ..WIDE }, Err(RewriteError::MustFragment)),
        (v4("", 1381), Limits { lowest_ipv6_mtu: 9000, ..narrow(1400) }, Err(RewriteError::MustFragment)),
        (v6(1420), narrow(1400), Ok(1400)),
        (v6(1421), narrow(1400), too_big(1420)),
        (v6_fragment(1429), narrow(1400), too_big(1420)),
        (v6_fragment(1428), narrow(1400), Ok(1400)),
        // No less is asked of IPv6 than every link carries; that is fragmented instead.
        (v6(1281), narrow(1000), too_big(1280)),
        (v6(1280), narrow(1000), Err(RewriteError::MustFragment)),
        (v6_fragment(1280), narrow(1000), Err(RewriteError::MustFragment)),
        (v6(1020), narrow(1000), Ok(1000)),
    ] {
        let got = translated(&text, &limits);
        assert_eq!(got.map(|frame| frame.len() - 14), result, "{text}");
    }
}

#[test]
fn ipv4_packets_in_pieces() {
    let whole = frame_of(&format!("{V6} | tcp 5 > 6 PA seq 7 | bytes 1221"));
    let check = u16::from_be_bytes([whole[54 + 16], whole[54 + 17]]);
    let limits = Limits { mtu: 1280, ..WIDE };
    let got = pieces(&format!("{V4} ttl 64 id 1234 | tcp 5 > 6 PA seq 7 | bytes 1221"), &limits).unwrap();
    assert_eq!(got.len(), 2);
    let first = format!("{V6} hop 63 | fragment id 1234 mf | tcp 5 > 6 PA seq 7 check {check} | bytes 1212");
    assert_is("first", &got[0], &first);
    let rest: String = (1212..1221).map(|at| format!("{:02x}", at as u8)).collect();
    let second = format!("{V6} hop 63 | fragment id 1234 off 1232 next 6 | hex {rest}");
    assert_is("second", &got[1], &second);
}

#[test]
fn a_fragment_in_pieces() {
    let before = format!("{V4} ttl 64 id 4321 mf off 800 proto 33 | bytes 1248");
    let got = pieces(&before, &WIDE).unwrap();
    assert_eq!(got.len(), 2);
    assert_is("first", &got[0], &format!("{V6} hop 63 | fragment id 4321 mf off 800 next 33 | bytes 1232"));
    let rest: String = (1232..1248).map(|at| format!("{:02x}", at as u8)).collect();
    assert_is("second", &got[1], &format!("{V6} hop 63 | fragment id 4321 mf off 2032 next 33 | hex {rest}"));
}

/// The checksum that was left out is that of the whole, and pieces are multiples of eight.
#[test]
fn a_datagram_in_pieces() {
    let whole = frame_of(&format!("{V6} | udp 5 > 6 | bytes 1355"));
    let check = u16::from_be_bytes([whole[54 + 6], whole[54 + 7]]);
    let limits = Limits { lowest_ipv6_mtu: 1402, ..WIDE };
    let got = pieces(&format!("{V4} ttl 64 id 7 | udp 5 > 6 no-checksum | bytes 1355"), &limits).unwrap();
    assert_eq!(got.iter().map(|piece| piece.len() - 14).collect::<Vec<_>>(), [1400, 59]);
    let first = format!("{V6} hop 63 | fragment id 7 mf | udp 5 > 6 len 1363 check {check} | bytes 1344");
    assert_is("first", &got[0], &first);
}

#[test]
fn ipv6_packets_in_pieces() {
    let before = format!("{V6} hop 64 next 33 | bytes 1240");
    let got = pieces(&before, &Limits { mtu: 576, ..WIDE }).unwrap();
    let id = u16::from_be_bytes([got[0][18], got[0][19]]);
    let bytes: Vec<u8> = (0..1240).map(|at| at as u8).collect();
    let mut at = 0;
    for (piece, len) in got.iter().zip([552, 552, 136]) {
        let more = if at + len < bytes.len() { " mf" } else { "" };
        let hex: String = bytes[at..at + len].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_is("piece", piece, &format!("{V4} ttl 63 id {id}{more} off {at} proto 33 | hex {hex}"));
        at += len;
    }
    assert_eq!((got.len(), at), (3, bytes.len()));
    // A fragment continues where it began.
    let before = format!("{V6} hop 64 | fragment id 9 off 8000 next 33 | bytes 1000");
    let got = pieces(&before, &Limits { mtu: 576, ..WIDE }).unwrap();
    assert_is("first", &got[0], &format!("{V4} ttl 63 id 9 mf off 8000 proto 33 | bytes 552"));
    assert_eq!(got[1][20..22], (8552u16 / 8).to_be_bytes());
}

#[test]
fn what_cannot_be_cut_is_left_alone() {
    use shunt_wire::Frame;
    use shunt_wire::fragment::cut;
    for (text, longest, result) in [
        (format!("{V4} proto 33 | bytes 100"), 120, Some(1)),
        (format!("{V4} proto 33 | bytes 100"), 119, Some(2)),
        (format!("{V4} proto 33 | bytes 100"), 28, Some(13)),
        (format!("{V4} proto 33 | bytes 100"), 27, None),
        (format!("{V4} proto 33 | bytes 100"), 0, None),
        (format!("{V4} options 94040000 proto 33 | bytes 100"), 100, None),
        (format!("{V4} off 65504 proto 33 | bytes 100"), 100, None),
        (format!("{V4} len 200 proto 33 | bytes 100"), 100, None),
        (format!("{V6} next 33 | bytes 100"), 100, None),
        (format!("{V6} | fragment id 1 next 33 | bytes 100"), 56, Some(13)),
        (format!("{V6} | fragment id 1 next 33 | bytes 100"), 55, None),
    ] {
        let mut bytes = frame_of(&text);
        let before = bytes.clone();
        let end = bytes.len();
        let mut frame = Frame::new(&mut bytes, 0, end);
        let mut count = 1;
        let done = cut(&mut frame, longest, |_| count += 1);
        assert_eq!(done.map(|()| count), result, "{text}");
        if done.is_none() {
            assert_eq!(frame.bytes(), before);
        }
    }
}
