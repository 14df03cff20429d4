//! Huffman's code of texts (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: codes of a length follow each other in the order of their symbols, behind those that are shorter.
//! So the lengths say all of it, and the tables are made of them when this is compiled.

use super::decoder::Malformed;

/// How long the code of each symbol is, in bits.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
const SYMBOLS: usize = 257;
/// The symbol that no text has.
const EOS: u16 = 256;
const LONGEST: usize = 30;

/// The codes of each length: the first, and where its symbol stands in the order of codes.
#[derive(Clone, Copy)]
struct OfLength {
    first: u32,
    at: u16,
    count: u16,
}

struct Tables {
    codes: [u32; SYMBOLS],
    /// Symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
    of_length: [OfLength; LONGEST + 1],
}

static TABLES: Tables = tables();

const fn tables() -> Tables {
    let mut made = Tables {
        codes: [0; SYMBOLS],
        symbols: [0; SYMBOLS],
        of_length: [OfLength { first: 0, at: 0, count: 0 }; LONGEST + 1],
    };
    let (mut code, mut at, mut length) = (0, 0, 1);
    while length <= LONGEST {
        code <<= 1;
        made.of_length[length] = OfLength { first: code, at: at as u16, count: 0 };
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                made.codes[symbol] = code;
                made.symbols[at] = symbol as u16;
                made.of_length[length].count += 1;
                code += 1;
                at += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    made
}

/// Bits that are looked up at once: digits, letters and most of what else a field has take no more.
const QUICK: u32 = 10;

/// By the next [`QUICK`] bits: the symbol above four bits of its length. Zero: its code is longer.
static QUICKLY: [u16; 1 << QUICK] = quickly();

const fn quickly() -> [u16; 1 << QUICK] {
    let tables = tables();
    let mut made = [0; 1 << QUICK];
    let mut symbol = 0;
    while symbol < SYMBOLS {
        let length = LENGTHS[symbol] as u32;
        if length <= QUICK {
            let mut bits = (tables.codes[symbol] as usize) << (QUICK - length);
            let end = bits + (1 << (QUICK - length));
            while bits < end {
                made[bits] = (symbol as u16) << 4 | length as u16;
                bits += 1;
            }
        }
        symbol += 1;
    }
    made
}

/// The symbol whose code `bits` begin with, and its length.
fn find(bits: u64) -> Option<(u16, u32)> {
    let quick = QUICKLY[(bits >> (64 - QUICK)) as usize];
    if quick != 0 {
        return Some((quick >> 4, u32::from(quick & 0xf)));
    }
    (QUICK + 1..=LONGEST as u32).find_map(|length| {
        let of = TABLES.of_length[length as usize];
        let behind = ((bits >> (64 - length)) as u32).checked_sub(of.first)?;
        (behind < u32::from(of.count)).then(|| (TABLES.symbols[usize::from(of.at) + behind as usize], length))
    })
}

/// Appends the text of a code.
pub(super) fn decode(mut code: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    // The bits that come next stand highest; below the first `held` may stand some that are read again.
    let (mut bits, mut held) = (0u64, 0u32);
    loop {
        if held < LONGEST as u32 {
            if let Some(next) = code.first_chunk() {
                bits |= u64::from_be_bytes(*next) >> held;
                let bytes = (63 - held) / 8;
                code = &code[bytes as usize..];
                held += 8 * bytes;
            } else {
                while let ([next, rest @ ..], 0..=56) = (code, held) {
                    bits |= u64::from(*next) << (56 - held);
                    code = rest;
                    held += 8;
                }
            }
        }
        let Some((symbol, length)) = find(bits) else { break };
        if length > held {
            break;
        }
        if symbol == EOS {
            return Err(Malformed::Huffman);
        }
        out.push(symbol as u8);
        bits <<= length;
        held -= length;
    }
    // The rest of the last byte is the beginning of EOS, which is all ones (section 5.2).
    let is_padding = held < 8 && (held == 0 || bits >> (64 - held) == (1 << held) - 1);
    if is_padding { Ok(()) } else { Err(Malformed::Huffman) }
}

/// How many bytes the code of a text takes.
pub(super) fn length(text: &[u8]) -> usize {
    text.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum::<usize>().div_ceil(8)
}

/// Appends the code of a text.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0u64, 0u32);
    for byte in text {
        let symbol = usize::from(*byte);
        bits = bits << LENGTHS[symbol] | u64::from(TABLES.codes[symbol]);
        held += u32::from(LENGTHS[symbol]);
        if held >= 32 {
            held -= 32;
            out.extend_from_slice(&((bits >> held) as u32).to_be_bytes());
        }
    }
    while held >= 8 {
        held -= 8;
        out.push((bits >> held) as u8);
    }
    if held > 0 {
        out.push((bits << (8 - held)) as u8 | 0xff >> held);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(code: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut text = Vec::new();
        decode(code, &mut text).map(|()| text)
    }

    /// RFC 7541 appendices B and C.4.
    #[test]
    fn codes_of_the_rfc() {
        for (symbol, code) in [
            (0, 0x1ff8),
            (10, 0x3fff_fffc),
            (48, 0),
            (92, 0x7fff0),
            (127, 0x0fff_fffc),
            (255, 0x03ff_ffee),
            (256, 0x3fff_ffff),
        ] {
            assert_eq!(TABLES.codes[symbol], code, "{symbol}");
        }
        for (text, code) in [
            ("www.example.com", &b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..]),
            ("no-cache", b"\xa8\xeb\x10\x64\x9c\xbf"),
            ("custom-value", b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"),
        ] {
            assert_eq!(decoded(code).as_deref(), Ok(text.as_bytes()));
            let mut out = Vec::new();
            encode(text.as_bytes(), &mut out);
            assert_eq!((&out[..], length(text.as_bytes())), (code, code.len()));
        }
    }

    /// Codes are complete: no bits begin with none of them.
    #[test]
    fn the_code_is_whole() {
        let sum: u64 = LENGTHS.iter().map(|length| 1 << (LONGEST - usize::from(*length))).sum();
        assert_eq!(sum, 1 << LONGEST);
    }

    #[test]
    fn what_no_text_is_written_as() {
        for (what, code) in [
            ("padding of zeros", &[0b0000_0000][..]),
            ("a byte of padding", &[0b0000_0111, 0xff]),
            ("padding alone", &[0xff]),
            ("EOS", &[0xff, 0xff, 0xff, 0xff]),
            ("EOS behind a text", &[0x07, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            ("half a code", &[0xfe]),
        ] {
            assert_eq!(decoded(code), Err(Malformed::Huffman), "{what}");
        }
        assert_eq!(decoded(&[]), Ok(Vec::new()));
        assert_eq!(decoded(&[0b0000_0111]), Ok(b"0".to_vec()), "with three bits of padding");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text: Vec<u8>) {
            let mut code = Vec::new();
            encode(&text, &mut code);
            prop_assert_eq!(code.len(), length(&text));
            prop_assert_eq!(decoded(&code), Ok(text));
        }

        /// A text has one code.
        #[test]
        fn what_is_read_is_written_so(code: Vec<u8>) {
            if let Ok(text) = decoded(&code) {
                let mut again = Vec::new();
                encode(&text, &mut again);
                prop_assert_eq!(again, code);
            }
        }
    }
}
