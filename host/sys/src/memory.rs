//! The memory of the process: how large its pages are, and how much it has.

use std::io;

use nix::sys::prctl;

/// Whether memory that is touched from now on may be in huge pages, whatever the system and the allocator want
/// (PR_SET_THP_DISABLE, prctl(2)). Tables that are read at random are faster in them; what is small and comes and goes
/// makes all of a page resident that it has a part of.
///
/// # Errors
///
/// As the kernel gives them; what was so before is so still.
pub fn allow_huge_pages(allowed: bool) -> io::Result<()> {
    Ok(prctl::set_thp_disable(!allowed)?)
}

/// How many bytes are resident (VmRSS of proc_pid_status(5)).
///
/// # Errors
///
/// Procfs is not there, or says nothing of it.
pub fn resident() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kibibytes.ok_or(io::ErrorKind::InvalidData)? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_is_resident() {
        let before = resident().unwrap();
        let touched = vec![1u8; 64 << 20];
        assert!(resident().unwrap() >= before + (32 << 20), "{before}");
        drop(touched);
    }

    #[test]
    fn huge_pages_can_be_forbidden_and_allowed_again() {
        for allowed in [false, true] {
            allow_huge_pages(allowed).unwrap();
            assert_eq!(prctl::get_thp_disable().unwrap(), !allowed);
        }
    }
}
