//! Numbers that say how long a message is, accepted only where every parser reads them alike.

/// A `Content-Length`: `1*DIGIT`, no sign and no list (RFC 9110 section 8.6).
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, &digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// The size in the first line of a chunk, `chunk-size [ chunk-ext ]` without its line end (RFC 9112
/// section 7.1). White space before the extension is "bad whitespace" (section 7.1.1) and taken;
/// anything else after the digits is not. Nor are octets that no extension has: a reader may end the line at a CR
/// (section 2.2).
pub(crate) fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(line.len());
    if digits == 0 || digits > 16 {
        return None;
    }
    if !matches!(line[digits..].trim_ascii_start().first(), None | Some(b';')) {
        return None;
    }
    if line[digits..].iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return None;
    }
    let text = std::str::from_utf8(&line[..digits]).ok()?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for wrong in ["", "+1", "-1", "1 ", "0x1", "1,1", "18446744073709551616"] {
            assert_eq!(decimal(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn chunk_sizes() {
        assert_eq!(chunk_size(b"ffffffffffffffff"), Some(u64::MAX));
        assert_eq!(chunk_size(b"1A ;name=value"), Some(26));
        assert_eq!(chunk_size(b"3;name=\"a\tb\""), Some(3));
        for wrong in [
            "3;a\rb",
            "3\r",
            "3;a\0",
            "3;\x7f",
            "",
            ";x",
            " 1",
            "1 2",
            "0x1",
            "+1",
            "1g",
            "00000000000000001",
        ] {
            assert_eq!(chunk_size(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
