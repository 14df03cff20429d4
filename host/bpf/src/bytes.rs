//! The bytes of a frame, read as the verifier wants it: each read behind a check of its own.

use core::arch::asm;
use core::marker::PhantomData;
use core::mem::size_of;

use aya_ebpf::programs::XdpContext;

/// Headers end before this. The verifier wants to see a bound.
const FURTHEST: usize = 1 << 10;

/// A frame from its first Ethernet byte to its last.
pub(crate) struct Bytes<'a> {
    start: usize,
    end: usize,
    frame: PhantomData<&'a XdpContext>,
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(context: &'a XdpContext) -> Self {
        Self { start: context.data(), end: context.data_end(), frame: PhantomData }
    }

    /// `N` bytes at an offset; none where the frame ends before.
    #[inline(always)]
    pub(crate) fn at<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > FURTHEST {
            return None;
        }
        let from = opaque(self.start + offset);
        if from + size_of::<[u8; N]>() > self.end {
            return None;
        }
        // SAFETY: the kernel keeps `start..end` readable while the program runs, and the bytes are
        // within. An array of bytes has no alignment and no invalid values.
        Some(unsafe { *(from as *const [u8; N]) })
    }

    /// A byte that is not the header's last. (Of one byte the compiler asks whether it starts before the
    /// end, and from that the verifier does not conclude that it can be read.)
    #[inline(always)]
    pub(crate) fn u8(&self, offset: usize) -> Option<u8> {
        self.at::<2>(offset).map(|[byte, _]| byte)
    }

    #[inline(always)]
    pub(crate) fn u16(&self, offset: usize) -> Option<u16> {
        self.at(offset).map(u16::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn u32(&self, offset: usize) -> Option<u32> {
        self.at(offset).map(u32::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn u64(&self, offset: usize) -> Option<u64> {
        self.at(offset).map(u64::from_be_bytes)
    }
}

/// The same number, of which the compiler knows nothing. An address it would compute again from its parts
/// where it is used, and then the verifier does not see that what is read is what was checked.
#[inline(always)]
pub(crate) fn opaque(mut number: usize) -> usize {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(reg) number, options(nomem, nostack, preserves_flags)) };
    number
}
