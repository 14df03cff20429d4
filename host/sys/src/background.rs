//! Work that must not hold up what serves.

use std::io;

/// Has the calling thread run only where no other wants its processor, for as long as it lives: one that wakes there takes
/// it at once (`SCHED_IDLE`, sched(7)). There is no way back for those without privileges.
///
/// # Errors
/// As the kernel gives them; the thread goes on as before.
pub fn yield_to_others() -> io::Result<()> {
    // Of no meaning for this policy, and 0.
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a live struct that the call reads. 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_yields_and_the_others_do_not() {
        // SAFETY: it takes no pointers. 0 is the calling thread.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        let before = policy();
        let background = std::thread::spawn(move || {
            yield_to_others().unwrap();
            policy()
        });
        assert_eq!(background.join().unwrap(), libc::SCHED_IDLE);
        assert_eq!(policy(), before);
    }
}
