//! How large the pages of the process's memory are.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_can_be_forbidden_and_allowed_again() {
        for allowed in [false, true] {
            allow_huge_pages(allowed).unwrap();
            assert_eq!(prctl::get_thp_disable().unwrap(), !allowed);
        }
    }
}
