//! Longest prefix of addresses.
//!
//! Prefixes that lie in each other are laid flat to ranges: a range begins where another longest prefix begins to hold.
//! So a look-up is one search among sorted numbers, whatever the prefixes are, and a million of them are at most two
//! million ranges, of 8 bytes each for IPv4 and 20 for IPv6. The search goes down a tree of blocks, so that it waits for
//! memory once or twice: what stands above the leaves fits the cache.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::lines::{Line, MOST_ENTRIES, Problems};
use super::values::{Interner, ValueId};

/// Numbers of a block: of IPv4 they fill a line of the cache.
const BLOCK: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Prefixes {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// The longest prefix that has an address.
pub(super) struct Found {
    pub value: ValueId,
    pub prefix: Written,
}

/// A prefix, as it is written.
pub(super) struct Written {
    network: IpAddr,
    len: u8,
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.len)
    }
}

impl Prefixes {
    pub(super) fn build<'a>(
        lines: &[Line<'a>],
        values: &mut Interner<'a>,
        problems: &mut Problems<'_>,
    ) -> Prefixes {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for line in lines {
            let (network, len) = match parse(line.entry) {
                Ok(prefix) => prefix,
                Err(message) => {
                    problems.add(line.number, message);
                    continue;
                }
            };
            let (value, number) = (values.id(line.value), line.number);
            match network {
                IpAddr::V4(network) => v4.push(Prefix { begin: network.to_bits(), len, value, number }),
                IpAddr::V6(network) => v6.push(Prefix { begin: network.to_bits(), len, value, number }),
            }
        }
        Prefixes { v4: Ranges::build(v4, problems), v6: Ranges::build(v6, problems) }
    }

    #[inline]
    pub(super) fn find(&self, address: IpAddr) -> Option<Found> {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let (value, len) = self.v4.find(address.to_bits())?;
                let network = Ipv4Addr::from_bits(address.to_bits() & u32::mask(len));
                Some(Found { value, prefix: Written { network: network.into(), len } })
            }
            IpAddr::V6(address) => {
                let (value, len) = self.v6.find(address.to_bits())?;
                let network = Ipv6Addr::from_bits(address.to_bits() & u128::mask(len));
                Some(Found { value, prefix: Written { network: network.into(), len } })
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes()
    }
}

/// `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`; an IPv4 prefix in IPv6 is one of IPv4 (RFC 4291 section 2.5.5.2).
fn parse(entry: &str) -> Result<(IpAddr, u8), String> {
    let (address, len) = entry.split_once('/').map_or((entry, None), |(address, len)| (address, Some(len)));
    let address: IpAddr = address.parse().map_err(|_| {
        format!(
            "{entry:?} is neither an address nor a prefix; write one such as 192.0.2.0/24 or 2001:db8::/32"
        )
    })?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let len = match len {
        None => width,
        Some(len) => {
            len.parse().ok().filter(|len: &u8| *len <= width && !entry.contains("/+")).ok_or_else(|| {
                format!("{entry:?} has no length after the `/`; write a number from 0 to {width}")
            })?
        }
    };
    let (address, len) = match address {
        IpAddr::V6(v6) if len >= 96 => match v6.to_canonical() {
            IpAddr::V4(v4) => (IpAddr::V4(v4), len - 96),
            v6 @ IpAddr::V6(_) => (v6, len),
        },
        other => (other, len),
    };
    let network = match address {
        IpAddr::V4(v4) => IpAddr::from(Ipv4Addr::from_bits(v4.to_bits() & u32::mask(len))),
        IpAddr::V6(v6) => IpAddr::from(Ipv6Addr::from_bits(v6.to_bits() & u128::mask(len))),
    };
    if network == address {
        Ok((network, len))
    } else {
        Err(format!("{entry:?} has bits behind its length; write {network}/{len}, or the address alone"))
    }
}

/// The bits of an address.
trait Bits: Copy + Ord {
    /// The last address.
    const LAST: Self;

    /// The bits that a prefix of this length fixes.
    fn mask(len: u8) -> Self;
    /// The last address of a prefix.
    fn last(self, len: u8) -> Self;
    fn next(self) -> Option<Self>;
}

macro_rules! bits {
    ($($ty:ty)*) => {$(
        impl Bits for $ty {
            const LAST: $ty = <$ty>::MAX;

            fn mask(len: u8) -> $ty {
                <$ty>::MAX.checked_shl(<$ty>::BITS - u32::from(len)).unwrap_or(0)
            }

            fn last(self, len: u8) -> $ty {
                self | !<$ty>::mask(len)
            }

            fn next(self) -> Option<$ty> {
                self.checked_add(1)
            }
        }
    )*};
}

bits!(u32 u128);

/// A prefix of a line.
struct Prefix<T> {
    begin: T,
    len: u8,
    value: ValueId,
    number: usize,
}

/// Ranges, each from its begin to the next one's.
#[derive(Debug, Default)]
struct Ranges<T> {
    /// The highest level first; each has the first number of every block of the level below it.
    levels: Vec<Box<[T]>>,
    leaves: Box<[Leaf<T>]>,
}

#[derive(Debug)]
#[repr(align(64))]
struct Leaf<T> {
    begins: [T; BLOCK],
    /// What holds from there on.
    held: [Held; BLOCK],
}

/// A value and the length of its prefix, in one number: 0 for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held(u32);

impl Held {
    /// A set has fewer values than 2^24.
    fn new(value: ValueId, len: u8) -> Held {
        Held((value + 1) << 8 | u32::from(len))
    }

    fn get(self) -> Option<(ValueId, u8)> {
        Some(((self.0 >> 8).checked_sub(1)?, (self.0 & 0xff) as u8))
    }
}

const _: () = assert!(MOST_ENTRIES + 1 < 1 << 24);

impl<T: Bits> Ranges<T> {
    fn build(mut prefixes: Vec<Prefix<T>>, problems: &mut Problems<'_>) -> Ranges<T> {
        prefixes.sort_unstable_by_key(|it| (it.begin, it.len, it.number));
        let mut flat = Flat { begins: Vec::new(), held: Vec::new() };
        // Those that hold where we are, the longest last; each with its last address.
        let mut open: Vec<(T, Held)> = Vec::new();
        let mut before: Option<&Prefix<T>> = None;
        for prefix in &prefixes {
            if let Some(before) = before.filter(|it| (it.begin, it.len) == (prefix.begin, prefix.len)) {
                if before.value != prefix.value {
                    let message = format!(
                        "the prefix has another value in line {}; remove one of the lines",
                        before.number
                    );
                    problems.add(prefix.number, message);
                }
                continue;
            }
            flat.close(&mut open, Some(prefix.begin));
            let held = Held::new(prefix.value, prefix.len);
            flat.begin(prefix.begin, held);
            open.push((prefix.begin.last(prefix.len), held));
            before = Some(prefix);
        }
        flat.close(&mut open, None);
        Ranges::of(&flat)
    }

    fn of(Flat { begins, held }: &Flat<T>) -> Ranges<T> {
        let leaves = begins.chunks(BLOCK).zip(held.chunks(BLOCK)).map(|(begins, held)| {
            // What fills the last one up holds nothing else than its last range.
            let last = held.last().copied().unwrap_or_default();
            Leaf {
                begins: std::array::from_fn(|at| begins.get(at).copied().unwrap_or(T::LAST)),
                held: std::array::from_fn(|at| held.get(at).copied().unwrap_or(last)),
            }
        });
        let leaves: Box<[Leaf<T>]> = leaves.collect();
        let mut levels = Vec::new();
        let mut level: Box<[T]> = leaves.iter().map(|leaf| leaf.begins[0]).collect();
        while level.len() > 1 {
            let above = level.iter().copied().step_by(BLOCK).collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        levels.reverse();
        Ranges { levels, leaves }
    }

    #[inline]
    fn find(&self, address: T) -> Option<(ValueId, u8)> {
        // How many of a block begin at or before the address: it is sorted.
        let before = |block: &[T]| block.iter().filter(|begin| **begin <= address).count();
        let mut at = 0;
        for level in &self.levels {
            let block = &level[at * BLOCK..level.len().min((at + 1) * BLOCK)];
            at = at * BLOCK + before(block).checked_sub(1)?;
        }
        let leaf = self.leaves.get(at)?;
        leaf.held[before(&leaf.begins).checked_sub(1)?].get()
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.leaves) + self.levels.iter().map(|level| size_of_val(&**level)).sum::<usize>()
    }
}

/// Ranges that are being made, in their order.
struct Flat<T> {
    begins: Vec<T>,
    held: Vec<Held>,
}

impl<T: Bits> Flat<T> {
    /// Closes what ends before an address, or all.
    fn close(&mut self, open: &mut Vec<(T, Held)>, address: Option<T>) {
        while let Some((last, _)) = open.last().copied()
            && address.is_none_or(|address| last < address)
        {
            open.pop();
            let outer = open.last().map_or(Held::default(), |(_, held)| *held);
            if let Some(next) = last.next() {
                self.begin(next, outer);
            }
        }
    }

    fn begin(&mut self, begin: T, held: Held) {
        // What ends where another begins, or where what it lies in ends, was no range.
        if self.begins.last() == Some(&begin) {
            self.begins.pop();
            self.held.pop();
        }
        self.begins.push(begin);
        self.held.push(held);
    }
}
