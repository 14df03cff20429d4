//! Which cores the process may use, and keeping a thread on one of them.

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The numbers of the cores that the calling thread may run on, in order: what `taskset`, a cgroup's
/// cpuset or a container left of the machine. Never empty.
///
/// # Errors
///
/// As the kernel gives them.
pub fn usable() -> io::Result<Vec<usize>> {
    // 0 is the calling thread.
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect())
}

/// Keeps the calling thread on one core; threads that it starts later begin there too.
///
/// # Errors
///
/// `InvalidInput` for a core that the machine does not have or the process may not use.
pub fn pin_current_thread(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_where_it_was_put() {
        let before = usable().unwrap();
        let last = *before.last().unwrap();
        let pinned = std::thread::spawn(move || {
            pin_current_thread(last).unwrap();
            usable().unwrap()
        });
        assert_eq!(pinned.join().unwrap(), [last]);
        assert_eq!(usable().unwrap(), before, "other threads keep theirs");
    }

    #[test]
    fn a_core_that_is_not_there_is_refused() {
        let pinned = std::thread::spawn(|| pin_current_thread(CpuSet::count() - 1)).join().unwrap();
        // A machine with as many cores as the set holds may pin there.
        if !usable().unwrap().contains(&(CpuSet::count() - 1)) {
            assert_eq!(pinned.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(pin_current_thread(usize::MAX / 2).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
