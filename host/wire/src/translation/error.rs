//! ICMP errors with the packet that they are about (RFC 7915 sections 4.3 and 5.3).

use super::head::{self, Head};
use super::message::{Length, Message};
use super::transport::{self, Kind};
use super::{About, Pair, Way, set_ether_type};
use crate::bytes::{array_at, put};
use crate::checksum::{self, Sum};
use crate::{Family, Frame, RewriteError, icmp, ip};

/// The header of an error, in front of what it quotes.
const HEADER_LEN: usize = 8;
/// Where extensions follow, this much in front of them at least is the quoted packet's, padded with zeros (RFC
/// 4884 section 5.1).
const QUOTED_MIN: usize = 128;
/// The longest error of either family.
const LONGEST: usize = ip::V6_MIN_MTU as usize;

/// Translates the error at `l3`, whose header is `outer`.
///
/// It is written again beside the frame, as two headers change their lengths in it and its end moves, so that
/// what refuses leaves the frame as it was. Errors are few and short.
pub(super) fn translate(
    frame: &mut Frame<'_>,
    l3: usize,
    outer: &Head,
    pair: &Pair,
    about: About,
    way: &Way,
) -> Result<(), RewriteError> {
    let at = l3 + outer.len;
    let message = frame.bytes().get(at..at + outer.payload_len).ok_or(RewriteError::Mismatch)?;
    let mut written = [0; LONGEST];
    let inner = about.pair(pair).ok_or(RewriteError::Untranslatable)?;
    let len = write(&mut written, message, outer, (pair, &inner), way)?;
    let written = written.get(..len).ok_or(RewriteError::Mismatch)?;
    replace(frame, l3, written, pair.family())
}

/// Writes the datagram that the error becomes, between the first pair and about a packet between the second.
/// Returns its length.
fn write(
    written: &mut [u8; LONGEST],
    message: &[u8],
    outer: &Head,
    (pair, inner): (&Pair, &Pair),
    way: &Way,
) -> Result<usize, RewriteError> {
    let to = pair.family();
    let header: [u8; HEADER_LEN] = array_at(message, 0).ok_or(RewriteError::Untranslatable)?;
    if !inner.is_of(to) {
        return Err(RewriteError::Mismatch);
    }
    // The checksum is calculated again, which must not make a damaged message look sound (RFC 5508 section 4.2,
    // requirement 3 a).
    if !is_sound(message, outer) {
        return Err(RewriteError::Untranslatable);
    }
    let [kind, code, _, _, word @ ..] = header;
    let old = Message { kind, code, word: u32::from_be_bytes(word) };
    let body = Body::split(message, old.length(outer.family));
    // A packet in error that could not have been translated was not translated, so none is about it.
    let quoted = head::read(body.quoted, outer.family).map_err(|_| RewriteError::Untranslatable)?;
    let new = old.translate(&quoted, way).ok_or(RewriteError::Untranslatable)?;

    let header_len = ip::header_len(to);
    let longest = usize::from(way.mtu).min(icmp::max_len(to));
    let room = longest.checked_sub(header_len + HEADER_LEN).ok_or(RewriteError::Untranslatable)?;
    let shape = body.fit(&quoted, new.length(to), room);

    let start = header_len + HEADER_LEN;
    let len = start + shape.quoted + shape.extension;
    let (front, rest) = written.split_at_mut_checked(start).ok_or(RewriteError::Untranslatable)?;
    write_quoted(rest.get_mut(..shape.quoted).ok_or(RewriteError::Mismatch)?, &body, &quoted, inner)?;
    let extension = body.extension.get(..shape.extension).ok_or(RewriteError::Mismatch)?;
    rest.get_mut(shape.quoted..shape.quoted + shape.extension)
        .ok_or(RewriteError::Mismatch)?
        .copy_from_slice(extension);

    let header = front.get_mut(header_len..).ok_or(RewriteError::Mismatch)?;
    put(header, 0, [new.kind, new.code, 0, 0]).ok_or(RewriteError::Mismatch)?;
    put(header, 4, new.word.to_be_bytes()).ok_or(RewriteError::Mismatch)?;
    if let (Some(length), true) = (new.length(to), shape.extension > 0) {
        let units = u8::try_from(shape.quoted / length.unit).map_err(|_| RewriteError::Mismatch)?;
        put(header, length.at, [units]).ok_or(RewriteError::Mismatch)?;
    }
    let message = written.get(header_len..len).ok_or(RewriteError::Mismatch)?;
    // RFC 7915 sections 4.2 and 5.2: ICMPv6 sums a pseudo-header, ICMPv4 none.
    let sum = match to {
        Family::V4 => Sum::new(),
        Family::V6 => {
            let len = message.len() as u32;
            Sum::pseudo(pair.source.address, pair.destination.address, ip::ICMPV6, len)
        }
    };
    let outer = Head { payload_len: len - header_len, ..*outer };
    let identification = outer.identify(message);
    let check = sum.bytes(message).checksum();
    put(written, header_len + 2, check.to_be_bytes()).ok_or(RewriteError::Mismatch)?;
    outer.write(written, pair, way.hop_limit(&outer), identification).ok_or(RewriteError::Untranslatable)?;
    Ok(len)
}

/// Does the message hold its right checksum?
fn is_sound(message: &[u8], outer: &Head) -> bool {
    match outer.family {
        Family::V4 => checksum::sum(message) == 0xffff,
        Family::V6 => Sum::pseudo(outer.source, outer.destination, ip::ICMPV6, message.len() as u32)
            .bytes(message)
            .is_valid(),
    }
}

/// Writes what was quoted, in the other family: as if it were carried, but for its hop limit (RFC 7915 sections
/// 4.3 and 5.3). It fills what of `written` it can; zeros follow.
fn write_quoted(written: &mut [u8], body: &Body<'_>, quoted: &Head, pair: &Pair) -> Result<(), RewriteError> {
    // The lengths in it stay those of the whole packet, of which this may be the beginning.
    let payload = body.quoted.get(quoted.len..).ok_or(RewriteError::Untranslatable)?;
    let kind = transport::kind(payload, quoted)?;
    // RFC 7915 sections 4.3 and 5.3: no error is about an error.
    if kind == Kind::Error {
        return Err(RewriteError::Untranslatable);
    }
    let (front, rest) = written.split_at_mut_checked(quoted.new_len()).ok_or(RewriteError::Untranslatable)?;
    quoted
        .write(front, pair, quoted.hop_limit, quoted.identify(payload))
        .ok_or(RewriteError::Untranslatable)?;
    let len = payload.len().min(rest.len());
    rest[..len].copy_from_slice(&payload[..len]);
    transport::rewrite(&mut rest[..len], quoted, kind, pair);
    Ok(())
}

/// What stands behind the header of an error.
struct Body<'a> {
    /// The beginning of a packet, without padding where something follows it.
    quoted: &'a [u8],
    /// What RFC 4884 puts behind it, carried as it is (RFC 7915 sections 4.2 and 5.2).
    extension: &'a [u8],
}

/// How long the parts of an error become.
struct Shape {
    quoted: usize,
    extension: usize,
}

impl<'a> Body<'a> {
    fn split(message: &'a [u8], length: Option<Length>) -> Self {
        let body = message.get(HEADER_LEN..).unwrap_or_default();
        let quoted_len =
            length.and_then(|length| Some(usize::from(*message.get(length.at)?) * length.unit)).unwrap_or(0);
        match body.split_at_checked(quoted_len) {
            Some((quoted, extension)) if quoted_len > 0 && !extension.is_empty() => {
                Self { quoted, extension }
            }
            _ => Self { quoted: body, extension: &[] },
        }
    }

    /// How much of what was quoted, and of what follows it, is sent in `room` bytes: 128 bytes of the packet come
    /// first, then all of the extension, then the rest of the packet. RFC 7915 section 4.2 cuts an extension that does
    /// not fit; half of one is worth nothing, as its checksum covers all of it, so it is left out. So is one that
    /// messages of the new type cannot have.
    fn fit(&self, quoted: &Head, length: Option<Length>, room: usize) -> Shape {
        let payload = self.quoted.len().saturating_sub(quoted.len);
        let whole = quoted.new_len() + payload;
        let extension = self.extension.len();
        match length {
            Some(length) if extension > 0 && QUOTED_MIN + extension <= room => {
                // Without the padding that made it this long before.
                let packet = quoted.new_len() + payload.min(quoted.payload_len);
                let most = packet.max(QUOTED_MIN).min(room - extension);
                Shape { quoted: most - most % length.unit, extension }
            }
            _ => Shape { quoted: whole.min(room), extension: 0 },
        }
    }
}

/// Puts a datagram of `family` in the place of the one at `l3`: in the room in front, and what it needs more in
/// the room behind.
fn replace(frame: &mut Frame<'_>, l3: usize, written: &[u8], family: Family) -> Result<(), RewriteError> {
    let len = l3 + written.len();
    let more = len.saturating_sub(frame.len());
    let front = more.min(frame.headroom());
    if more - front > frame.tailroom() {
        return Err(RewriteError::NoRoom);
    }
    super::move_link_header(frame, l3, 0, front).ok_or(RewriteError::Mismatch)?;
    frame.set_len(len).ok_or(RewriteError::NoRoom)?;
    let bytes = frame.bytes_mut();
    set_ether_type(bytes, l3, family).ok_or(RewriteError::Mismatch)?;
    bytes.get_mut(l3..).ok_or(RewriteError::Mismatch)?.copy_from_slice(written);
    Ok(())
}
