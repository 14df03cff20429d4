//! A program's hold on an interface that ends with the process.
//!
//! The loader falls back to attaching by netlink where the kernel takes no link, and such an attachment
//! stays when the process dies. So links are made here.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `BPF_LINK_CREATE` of linux/bpf.h (from Linux 5.7; for XDP from 5.9).
const BPF_LINK_CREATE: libc::c_long = 28;
/// `BPF_XDP`, the attach type.
const BPF_XDP: u32 = 37;

/// How the program runs: flags of linux/if_link.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Way {
    /// `XDP_FLAGS_SKB_MODE`.
    Generic = 1 << 1,
    /// `XDP_FLAGS_DRV_MODE`.
    Native = 1 << 2,
}

/// The part of `union bpf_attr` that this command reads; the kernel takes the rest as zero.
#[repr(C)]
struct LinkCreate {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
}

/// Dropping it detaches the program, as closing the descriptor does at the end of the process.
pub(super) struct Link {
    _fd: OwnedFd,
}

impl Link {
    pub(super) fn create(program: BorrowedFd<'_>, interface: u32, way: Way) -> io::Result<Self> {
        let attributes = LinkCreate {
            program: program.as_raw_fd().cast_unsigned(),
            interface,
            attach_type: BPF_XDP,
            flags: way as u32,
        };
        // SAFETY: the command reads as many bytes as said from a struct of integers that lives on.
        let fd = unsafe {
            libc::syscall(libc::SYS_bpf, BPF_LINK_CREATE, &raw const attributes, size_of::<LinkCreate>())
        };
        let fd = i32::try_from(fd).unwrap_or(-1);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just opened it, for this call alone.
        Ok(Self { _fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }
}
