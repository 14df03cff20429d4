//! Numbers (RFC 7541 section 5.1).

use super::decoder::Malformed;

/// Bytes behind the prefix, at most: no number of a block has more than 28 bits, and zeros that a writer puts before
/// them are not worth reading.
const MOST_BYTES: u32 = 4;

/// Takes a number off the front, whose first byte has it in its lowest `prefix` bits.
pub(super) fn take(bytes: &mut &[u8], prefix: u32) -> Result<usize, Malformed> {
    let most = (1 << prefix) - 1;
    let (first, mut rest) = bytes.split_first().ok_or(Malformed::Cut)?;
    let mut number = usize::from(*first) & most;
    if number == most {
        let mut place = 0;
        loop {
            let (byte, behind) = rest.split_first().ok_or(Malformed::Cut)?;
            rest = behind;
            number += usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
            place += 1;
            if place == MOST_BYTES {
                return Err(Malformed::Number);
            }
        }
    }
    *bytes = rest;
    Ok(number)
}

/// Appends a number behind the bits of `first` above its lowest `prefix`.
pub(super) fn write(out: &mut Vec<u8>, first: u8, prefix: u32, number: usize) {
    let most = (1 << prefix) - 1;
    if number < most {
        return out.push(first | number as u8);
    }
    out.push(first | most as u8);
    let mut rest = number - most;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541 appendix C.1.
    #[test]
    fn examples_of_the_rfc() {
        for (number, prefix, bytes) in [(10, 5, &[10][..]), (1337, 5, &[31, 154, 10]), (42, 8, &[42])] {
            let mut out = Vec::new();
            write(&mut out, 0, prefix, number);
            assert_eq!(out, bytes);
            let mut rest = &out[..];
            assert_eq!((take(&mut rest, prefix), rest.len()), (Ok(number), 0));
        }
    }

    #[test]
    fn numbers_are_bounded() {
        let mut most = &[0xff, 0xff, 0xff, 0xff, 0x7f, 9][..];
        assert_eq!((take(&mut most, 7), most), (Ok(127 + 0x0fff_ffff), &[9][..]));
        for (bytes, why) in [
            (&[0xff, 0x80, 0x80, 0x80, 0x80, 0][..], Malformed::Number),
            (&[0xff; 12], Malformed::Number),
            (&[0xff, 0x80], Malformed::Cut),
            (&[], Malformed::Cut),
        ] {
            assert_eq!(take(&mut &bytes[..], 7), Err(why), "{bytes:x?}");
        }
    }
}
