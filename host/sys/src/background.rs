//! Work that must not hold up what serves.

use std::io;
use std::os::unix::thread::JoinHandleExt as _;
use std::thread::JoinHandle;
use std::time::Duration;

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

/// What a thread has had of the processor.
///
/// # Errors
/// It has ended, or as the kernel gives them.
pub fn processor_time<T>(thread: &JoinHandle<T>) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: the handle is there, so that the thread was neither joined nor detached and its id is valid (pthread_create(3));
    // the pointer is to a live number that the call writes.
    match unsafe { libc::pthread_getcpuclockid(thread.as_pthread_t(), &raw mut clock) } {
        0 => {}
        error => return Err(io::Error::from_raw_os_error(error)),
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live struct that the call writes.
    match unsafe { libc::clock_gettime(clock, &raw mut time) } {
        0 => Ok(Duration::from_secs(time.tv_sec.unsigned_abs())
            + Duration::from_nanos(time.tv_nsec.unsigned_abs())),
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

    #[test]
    fn what_a_thread_had_is_known_while_it_runs() {
        let (end, until) = std::sync::mpsc::channel::<()>();
        let (busy, is_busy) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let sum = (0..5_000_000_u64)
                .fold(0_u64, |sum, number| sum.wrapping_mul(31) ^ std::hint::black_box(number));
            busy.send(sum).unwrap();
            let _ = until.recv();
        });
        is_busy.recv().unwrap();
        let had = processor_time(&thread).unwrap();
        assert!(had > Duration::ZERO && had <= processor_time(&thread).unwrap(), "{had:?}");
        drop(end);
        thread.join().unwrap();
    }
}
