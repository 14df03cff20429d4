//! Why the program cannot run, in words that say what to do.

use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;
use aya::sys::SyscallError;
use aya::util::KernelVersion;
use nix::net::if_::if_nametoindex;

use crate::netlink::Link;

/// The program cannot run.
#[derive(Debug, thiserror::Error)]
pub enum XdpError {
    #[error(
        "loading an XDP program is not permitted: run as root, or with CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW and \
         CAP_PERFMON (systemd: AmbientCapabilities=); in a container, the runtime has to allow bpf(2) as well"
    )]
    NotPermitted,
    #[error(
        "this kernel is older than 5.9, which packet virtuals need: older kernels leave the XDP program attached after a crash"
    )]
    KernelTooOld,
    #[error("this kernel has no BPF or no AF_XDP: it needs CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS")]
    NotInKernel,
    #[error("the kernel refuses the XDP program")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "another XDP program is attached to {interface}: `ip link show dev {interface}` names it, \
         `ip link set dev {interface} xdp off` removes it unless a running process holds it"
    )]
    OtherProgram { interface: String },
    #[error("there is no interface {interface}")]
    NoInterface { interface: String },
    #[error("the XDP program cannot be attached to {interface}: {source}")]
    Attach { interface: String, source: io::Error },
    #[error("too many {what} for the XDP program: it has room for {most}")]
    Full { what: &'static str, most: u32 },
    #[error("cannot write the addresses into the XDP program's maps")]
    Map(#[source] MapError),
    /// Ourselves: the object lacks what `shunt_wire::steering` names.
    #[error("the XDP program of this build is not the one that the code expects: build Shunt again")]
    Object,
}

impl XdpError {
    pub(super) fn load(error: EbpfError) -> Self {
        match code_of(&error) {
            Some(code) => Self::of_code(code, error),
            None => Self::Refused(Box::new(error)),
        }
    }

    pub(super) fn program(error: ProgramError) -> Self {
        match code_of(&error) {
            Some(code) => Self::of_code(code, error),
            None => Self::Refused(Box::new(error)),
        }
    }

    /// What is final whatever the mode, of what the kernel says to an attachment.
    pub(super) fn final_refusal(refusal: &io::Error, interface: &str) -> Option<Self> {
        let interface = || interface.to_owned();
        match refusal.raw_os_error()? {
            // net/core/dev.c, `dev_xdp_attach`: a link or a program is there, in this or another mode.
            libc::EBUSY | libc::EEXIST => Some(Self::OtherProgram { interface: interface() }),
            libc::EPERM | libc::EACCES => Some(Self::NotPermitted),
            libc::ENODEV => Some(Self::NoInterface { interface: interface() }),
            _ => None,
        }
    }

    /// What the kernel said in generic mode, which needs no driver.
    pub(super) fn attach(refusal: io::Error, link: &Link) -> Self {
        if let Some(error) = Self::final_refusal(&refusal, &link.name) {
            return error;
        }
        match refusal.raw_os_error() {
            Some(libc::EINVAL) if knows_no_links() => Self::KernelTooOld,
            Some(libc::EINVAL) if if_nametoindex(link.name.as_str()) != Ok(link.index) => {
                Self::NoInterface { interface: link.name.clone() }
            }
            _ => Self::Attach { interface: link.name.clone(), source: refusal },
        }
    }

    fn of_code(code: i32, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        match code {
            libc::EPERM | libc::EACCES if !has_verifier_log(&error) => Self::NotPermitted,
            libc::ENOSYS => Self::NotInKernel,
            _ => Self::Refused(Box::new(error)),
        }
    }
}

/// XDP links are from Linux 5.9.
fn knows_no_links() -> bool {
    KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(5, 9, 0))
}

/// The map has no place left (E2BIG of a hash map).
pub(super) fn is_full(error: &MapError) -> bool {
    code_of(error) == Some(libc::E2BIG)
}

/// The verifier's word means that the program was looked at: it was permitted, and found wanting
/// (with EACCES as well as with EINVAL).
fn has_verifier_log(error: &(dyn std::error::Error + 'static)) -> bool {
    chain(error).any(|cause| match cause.downcast_ref::<ProgramError>() {
        Some(ProgramError::LoadError { verifier_log, .. }) => !verifier_log.to_string().trim().is_empty(),
        _ => false,
    })
}

fn code_of(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    chain(error).find_map(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        let call = || cause.downcast_ref::<SyscallError>().map(|call| &call.io_error);
        io.or_else(call)?.raw_os_error()
    })
}

fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| cause.source())
}
