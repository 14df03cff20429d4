//! A frame in a buffer that has room around it.

/// What the largest rewrite may need in front of a frame: an IPv6 header (40), a UDP header (8) and
/// a GUE header (4) make 52 bytes. An ICMPv6 error puts 40 and 8 in front of what it quotes. Rounded
/// up to a cache line, so that a frame that starts aligned stays so.
pub const HEADROOM: usize = 64;

/// A frame, from its first Ethernet byte to its last, in a buffer with room before and after it:
/// headers are put in front of it without moving what stands behind them.
#[derive(Debug)]
pub struct Frame<'a> {
    buffer: &'a mut [u8],
    start: usize,
    end: usize,
}

impl<'a> Frame<'a> {
    /// The frame is `buffer[start..end]`. Bounds beyond the buffer, or in the wrong order, are cut
    /// to an empty frame at the buffer's end.
    #[must_use]
    pub fn new(buffer: &'a mut [u8], start: usize, end: usize) -> Self {
        let end = end.min(buffer.len());
        let start = start.min(end);
        Self { buffer, start, end }
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Where in the buffer the frame starts; also how many bytes it can grow in front.
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// How many bytes it can grow behind.
    #[must_use]
    pub fn tailroom(&self) -> usize {
        self.buffer.len() - self.end
    }

    /// Puts `count` bytes in front, whose value is what the buffer held. None, and nothing done, if
    /// the headroom is smaller.
    pub fn grow_front(&mut self, count: usize) -> Option<()> {
        self.start = self.start.checked_sub(count)?;
        Some(())
    }

    /// Takes `count` bytes off the front. None, and nothing done, if the frame is shorter.
    pub fn shrink_front(&mut self, count: usize) -> Option<()> {
        if count > self.len() {
            return None;
        }
        self.start += count;
        Some(())
    }

    /// Puts `count` bytes behind, whose value is what the buffer held. None, and nothing done, if the
    /// tailroom is smaller.
    pub fn grow_back(&mut self, count: usize) -> Option<()> {
        if count > self.tailroom() {
            return None;
        }
        self.end += count;
        Some(())
    }

    /// Makes the frame `len` bytes long by moving its end. None, and nothing done, if the buffer ends
    /// before that.
    pub fn set_len(&mut self, len: usize) -> Option<()> {
        let end = self.start.checked_add(len)?;
        if end > self.buffer.len() {
            return None;
        }
        self.end = end;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_into_its_room_and_no_further() {
        let mut buffer = [0, 1, 2, 3, 4, 5, 6, 7];
        let mut frame = Frame::new(&mut buffer, 3, 5);
        assert_eq!((frame.bytes(), frame.headroom(), frame.tailroom()), (&[3, 4][..], 3, 3));
        assert_eq!(frame.grow_front(4), None);
        assert_eq!(frame.grow_back(4), None);
        assert_eq!(frame.bytes(), [3, 4]);
        assert_eq!(frame.grow_front(3), Some(()));
        assert_eq!(frame.grow_back(3), Some(()));
        assert_eq!(frame.bytes(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(frame.shrink_front(9), None);
        assert_eq!(frame.shrink_front(6), Some(()));
        assert_eq!(frame.bytes(), [6, 7]);
        assert_eq!(frame.set_len(3), None);
        assert_eq!(frame.set_len(0), Some(()));
        assert!(frame.is_empty());
    }

    #[test]
    fn bounds_beyond_the_buffer_are_cut() {
        let mut buffer = [1, 2, 3];
        assert_eq!(Frame::new(&mut buffer, 1, 9).bytes(), [2, 3]);
        assert_eq!(Frame::new(&mut buffer, 9, 9).bytes(), []);
        assert_eq!(Frame::new(&mut buffer, 2, 1).bytes(), []);
    }
}
