//! CRC32C (RFC 3720 section 12.1, appendix B.4), bit by bit: headers that have one are short and rare.

/// The register before the first byte.
pub(super) const START: u32 = !0;
/// The polynomial 0x1edc6f41, its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The register behind `bytes`.
pub(super) fn crc32c(register: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(register, |register, &byte| {
        (0..8).fold(register ^ u32::from(byte), |register, _| {
            register >> 1 ^ if register & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}

/// The sum, once all bytes have gone through the register.
pub(super) const fn end(register: u32) -> u32 {
    !register
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 3720 appendix B.4, as numbers.
    #[test]
    fn vectors() {
        assert_eq!(end(crc32c(START, &[0; 32])), 0x8a91_36aa);
        assert_eq!(end(crc32c(START, &[0xff; 32])), 0x62a8_ab43);
        assert_eq!(end(crc32c(START, b"123456789")), 0xe306_9283);
    }
}
