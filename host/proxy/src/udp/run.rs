//! Datagrams of one client that came one after another, and go on as one train.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

use shunt_sys::datagrams::{MOST, Train};

/// The longest datagrams that are made a train of: a train is sent in packets of an MTU of 1500 (less by 40 for IPv6 and 8 for
/// UDP), and refused where they are longer than that of the way out.
const MOST_SEGMENT: usize = 1_452;

/// Datagrams of a train at most: `UDP_MAX_SEGMENTS` of Linux before 6.7.
const MOST_DATAGRAMS: usize = 64;

/// Whether `next` may be put behind datagrams of `segment` bytes, which are `bytes` so far: only the last may be shorter.
pub(super) fn joins(segment: usize, bytes: usize, next: &Train<'_>) -> bool {
    let one = next.segment == next.bytes.len();
    (1..=MOST_SEGMENT).contains(&segment)
        && bytes.is_multiple_of(segment)
        && !next.bytes.is_empty()
        && (next.segment == segment || (one && next.segment < segment))
        && bytes + next.bytes.len() <= segment * MOST_DATAGRAMS
}

/// How many datagrams so many bytes are.
pub(super) fn datagrams(bytes: usize, segment: usize) -> u64 {
    bytes.div_ceil(segment.max(1)).max(1) as u64
}

/// One train or more, which are sent as one.
pub(super) struct Run<'a> {
    pieces: [IoSlice<'a>; MOST],
    count: usize,
    pub(super) bytes: usize,
    pub(super) segment: usize,
    pub(super) from: SocketAddr,
    pub(super) to: Option<IpAddr>,
}

impl<'a> Run<'a> {
    pub(super) fn of(train: Train<'a>) -> Run<'a> {
        let mut pieces = [IoSlice::new(&[]); MOST];
        pieces[0] = IoSlice::new(train.bytes);
        let Train { bytes, segment, from, to } = train;
        Run { pieces, count: 1, bytes: bytes.len(), segment, from, to }
    }

    /// Takes one more behind it; `false`: it does not fit, and stays.
    pub(super) fn take(&mut self, next: &Train<'a>) -> bool {
        let fits = (next.from, next.to) == (self.from, self.to) && joins(self.segment, self.bytes, next);
        let room = self.pieces.get_mut(self.count).filter(|_| fits);
        if let Some(room) = room {
            *room = IoSlice::new(next.bytes);
            self.count += 1;
            self.bytes += next.bytes.len();
            return true;
        }
        false
    }

    pub(super) fn pieces(&self) -> &[IoSlice<'a>] {
        &self.pieces[..self.count]
    }

    /// Each of its datagrams.
    pub(super) fn each(&self) -> impl Iterator<Item = &[u8]> {
        let segment = self.segment.max(1);
        self.pieces().iter().flat_map(move |piece| {
            // An empty datagram is one.
            let empty = piece.is_empty().then_some(&[][..]);
            piece.chunks(segment).chain(empty)
        })
    }

    pub(super) fn datagrams(&self) -> u64 {
        datagrams(self.bytes, self.segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(bytes: &[u8], segment: usize) -> Train<'_> {
        Train { bytes, segment, from: ([127, 0, 0, 1], 9).into(), to: None }
    }

    #[test]
    fn only_the_last_is_shorter() {
        let bytes = [7; 400];
        let mut run = Run::of(train(&bytes[..100], 100));
        assert!(run.take(&train(&bytes[..100], 100)));
        assert!(!run.take(&train(&bytes[..101], 101)), "a longer one");
        assert!(!run.take(&train(&bytes[..0], 0)), "an empty one");
        assert!(!run.take(&Train { from: ([127, 0, 0, 2], 9).into(), ..train(&bytes[..100], 100) }));
        assert!(run.take(&train(&bytes[..250], 100)), "a train whose last is shorter");
        assert!(!run.take(&train(&bytes[..100], 100)), "none after that");
        assert_eq!((run.bytes, run.datagrams()), (450, 5));
        assert_eq!(run.each().map(<[u8]>::len).collect::<Vec<_>>(), [100, 100, 100, 100, 50]);
    }

    #[test]
    fn there_are_bounds() {
        let bytes = [7; 2_000];
        let mut run = Run::of(train(&bytes[..1_453], 1_453));
        assert!(!run.take(&train(&bytes[..1_453], 1_453)), "longer than packets are");
        run = Run::of(train(&bytes[..1], 1));
        assert_eq!(
            (0..200).filter(|_| run.take(&train(&bytes[..1], 1))).count(),
            MOST - 1,
            "as came at once"
        );
        run = Run::of(train(&bytes[..64], 1));
        assert!(!run.take(&train(&bytes[..1], 1)), "as many as the kernel takes");
        let mut empty = Run::of(train(&[], 0));
        assert!(!empty.take(&train(&[], 0)));
        assert_eq!((empty.datagrams(), empty.each().count()), (1, 1));
    }
}
