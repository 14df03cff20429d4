//! Pieces of messages that requests and answers are written from.

use http::{HeaderName, HeaderValue};

pub(crate) fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A piece of a chunked body (RFC 9112 section 7.1); an empty one is nothing, for as a chunk it would be the end.
pub(crate) fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        write_hexadecimal(out, data.len());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

/// The end of a chunked body, with trailers.
pub(crate) fn write_last_chunk<'a>(
    out: &mut Vec<u8>,
    trailers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        write_field(out, name, value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn write_decimal(out: &mut Vec<u8>, number: u64) {
    write_digits(out, number, 10);
}

fn write_hexadecimal(out: &mut Vec<u8>, number: usize) {
    write_digits(out, number as u64, 16);
}

fn write_digits(out: &mut Vec<u8>, number: u64, base: u64) {
    out.extend_from_slice(digits(number, base, &mut [0; MOST_DIGITS]));
}

/// 2^64 has 20 decimal digits.
const MOST_DIGITS: usize = 20;

fn digits(mut number: u64, base: u64, room: &mut [u8; MOST_DIGITS]) -> &[u8] {
    let mut first = room.len();
    loop {
        first -= 1;
        room[first] = b"0123456789abcdef"[(number % base) as usize];
        number /= base;
        if number == 0 {
            break;
        }
    }
    &room[first..]
}

/// The text of a number.
pub(crate) fn with_decimal<T>(number: u64, take: impl FnOnce(&[u8]) -> T) -> T {
    take(digits(number, 10, &mut [0; MOST_DIGITS]))
}
