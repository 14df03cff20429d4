//! How many files and sockets the process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The limit of open files, after [`raise_limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// What it was.
    pub before: u64,
    /// What it is now.
    pub now: u64,
}

/// Raises the limit of open files to the hard limit, which needs no privilege. (The soft limit is 1,024
/// on most systems, for programs that still use `select`; a load balancer needs two sockets for each
/// request in flight.)
///
/// # Errors
///
/// As the kernel gives them; the limit is then what it was.
pub fn raise_limit() -> std::io::Result<FileLimit> {
    let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if before < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(FileLimit { before, now: hard })
}

/// The hard limit of open files, which a process may raise its own to.
///
/// # Errors
///
/// As the kernel gives them.
pub fn hard_limit() -> std::io::Result<u64> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_hard_one() {
        let limit = raise_limit().unwrap();
        assert!(limit.before <= limit.now);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (limit.now, limit.now));
        assert_eq!(raise_limit().unwrap().before, limit.now);
    }
}
