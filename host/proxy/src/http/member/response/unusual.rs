//! Heads of members that a strict parser refuses and that can be read in one way only. They are parsed again, with
//! more room and more patience, so that usual ones pay nothing for it.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use super::*;

/// A status line, so that trailers can be read as a head is.
const STATUS_LINE: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// As [`super::take_head`], after `error`: fields without number, within [`MOST_HEAD`]; a minor version above 1, which is
/// read as 1.1 (RFC 9110 section 2.5); white space between a field's name and its colon, which a proxy removes
/// (RFC 9112 section 5.1).
///
/// # Errors
/// It is something else, or it touches the framing.
pub(super) fn take(buffer: &mut BytesMut, error: httparse::Error) -> Result<Option<response::Parts>, Broken> {
    match error {
        httparse::Error::Version => match buffer.get_mut(..8) {
            Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'2'..=b'9']) => *minor = b'1',
            _ => return Err(Broken::Head(error)),
        },
        httparse::Error::HeaderName | httparse::Error::TooManyHeaders => {}
        _ => return Err(Broken::Head(error)),
    }
    let mut config = httparse::ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    // As many as there are lines.
    let lines = memchr::memchr_iter(b'\n', &buffer[..buffer.len().min(MOST_HEAD)]).count();
    let mut places = vec![Place::default(); lines];
    let found = {
        let mut fields = vec![MaybeUninit::uninit(); lines];
        find(buffer, &config, &mut fields, &mut places)?
    };
    let Some(found) = found else { return Ok(None) };
    if places[..found.count].iter().any(|place| place.is_odd_framing(buffer)) {
        return Err(Broken::Field);
    }
    found.take(buffer, &places).map(Some)
}

/// As [`super::take_trailers`], after `error`.
///
/// # Errors
/// As [`take`].
pub(super) fn take_trailers(
    buffer: &mut BytesMut,
    error: httparse::Error,
) -> Result<Option<HeaderMap>, Broken> {
    let mut head = BytesMut::from(STATUS_LINE);
    head.extend_from_slice(buffer);
    let Some(parts) = take(&mut head, error)? else { return Ok(None) };
    buffer.advance(buffer.len() - head.len());
    Ok(Some(parts.headers))
}

impl Place {
    /// A field of framing that another reader could take for something else.
    fn is_odd_framing(self, bytes: &[u8]) -> bool {
        let name = &bytes[usize::from(self.name.0)..usize::from(self.name.1)];
        bytes[usize::from(self.name.1)] != b':'
            && [CONTENT_LENGTH, TRANSFER_ENCODING]
                .iter()
                .any(|it| name.eq_ignore_ascii_case(it.as_str().as_bytes()))
    }
}
