//! The beginnings of HTTP/2 frames in what comes on a connection, however it is cut (RFC 9113 section 4.1). Payloads are
//! passed over.

pub(in crate::http) const HEADER: usize = 9;

/// RFC 9113 section 6.
pub(in crate::http) mod kind {
    pub(in crate::http) const DATA: u8 = 0;
    pub(in crate::http) const HEADERS: u8 = 1;
    pub(in crate::http) const PRIORITY: u8 = 2;
    pub(in crate::http) const RST_STREAM: u8 = 3;
    pub(in crate::http) const SETTINGS: u8 = 4;
    pub(in crate::http) const PUSH_PROMISE: u8 = 5;
    pub(in crate::http) const PING: u8 = 6;
    pub(in crate::http) const GOAWAY: u8 = 7;
    pub(in crate::http) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::http) const CONTINUATION: u8 = 9;
}

pub(in crate::http) mod flag {
    pub(in crate::http) const ACK: u8 = 1;
    pub(in crate::http) const END_STREAM: u8 = 1;
    pub(in crate::http) const END_HEADERS: u8 = 4;
    pub(in crate::http) const PADDED: u8 = 8;
    pub(in crate::http) const PRIORITY: u8 = 32;
}

/// The first nine bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct FrameHeader {
    /// Of the payload, in bytes.
    pub(in crate::http) length: usize,
    pub(in crate::http) kind: u8,
    pub(in crate::http) flags: u8,
    pub(in crate::http) stream: u32,
}

impl FrameHeader {
    pub(in crate::http) fn read(bytes: &[u8; HEADER]) -> Self {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = *bytes;
        let length = usize::from(l2) << 16 | usize::from(l1) << 8 | usize::from(l0);
        // The highest bit is reserved.
        FrameHeader { length, kind, flags, stream: u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]) }
    }
}

/// Where in the frames of a connection the next byte falls.
#[derive(Debug, Default)]
pub(in crate::http) struct Follower {
    /// Bytes that are to come before the next header.
    skip: usize,
    /// A header of which not all is here.
    header: [u8; HEADER],
    held: usize,
}

impl Follower {
    /// Frames that begin behind a preface of so many bytes.
    pub(in crate::http) fn behind(preface: usize) -> Self {
        Follower { skip: preface, ..Follower::default() }
    }

    /// Whether bytes of a payload are to come.
    pub(in crate::http) fn is_in_payload(&self) -> bool {
        self.skip > 0
    }

    /// Takes bytes up to the end of the next header, or all of them.
    pub(in crate::http) fn next(&mut self, bytes: &mut &[u8]) -> Option<FrameHeader> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        *bytes = &bytes[skipped..];
        let taken = (HEADER - self.held).min(bytes.len());
        self.header[self.held..self.held + taken].copy_from_slice(&bytes[..taken]);
        self.held += taken;
        *bytes = &bytes[taken..];
        if self.held < HEADER {
            return None;
        }
        self.held = 0;
        let header = FrameHeader::read(&self.header);
        self.skip = header.length;
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_however_the_bytes_are_cut() {
        let bytes =
            b"preface\0\0\x03\x00\x01\x80\0\0\x05abc\0\0\0\x04\x01\0\0\0\0\x01\0\x01\x09\0\0\0\0\x07...";
        let header = |length, kind, flags, stream| FrameHeader { length, kind, flags, stream };
        for size in 1..=bytes.len() {
            let (mut follower, mut found) = (Follower::behind(7), Vec::new());
            for mut piece in bytes.chunks(size) {
                while let Some(header) = follower.next(&mut piece) {
                    found.push(header);
                }
                assert!(piece.is_empty());
            }
            let expected = [header(3, 0, 1, 5), header(0, 4, 1, 0), header(0x1_0001, 9, 0, 7)];
            assert_eq!(found, expected, "in pieces of {size}");
            assert!(follower.is_in_payload());
        }
    }
}
