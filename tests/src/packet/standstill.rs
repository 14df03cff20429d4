//! Threads of a process that stand still.

use std::fs;
use std::marker::PhantomData;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Threads that do nothing until this is dropped, while the others of their process go on. Who waits for one of them
/// waits as long.
pub struct Standstill {
    threads: Vec<Pid>,
    /// Only the thread that stopped them may let them go (ptrace(2)).
    _own: PhantomData<*const ()>,
}

impl Standstill {
    /// Of the threads of a process whose name begins with this.
    ///
    /// # Panics
    /// There is none, or it may not be stopped.
    #[must_use]
    pub fn of(process: u32, name: &str) -> Standstill {
        let mut stopped = Standstill { threads: Vec::new(), _own: PhantomData };
        for task in fs::read_dir(format!("/proc/{process}/task")).expect("a process").flatten() {
            let its = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            if !its.starts_with(name) {
                continue;
            }
            let number = task.file_name().to_str().and_then(|it| it.parse().ok()).expect("a number");
            let thread = Pid::from_raw(number);
            ptrace::seize(thread, ptrace::Options::empty()).expect("a thread that may be traced");
            stopped.threads.push(thread);
            ptrace::interrupt(thread).expect("a thread that is there");
            waitpid(thread, Some(WaitPidFlag::__WALL)).expect("a thread that stops");
        }
        assert!(!stopped.threads.is_empty(), "no thread of {process} is called {name}");
        stopped
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        for thread in &self.threads {
            if let Err(error) = ptrace::detach(*thread, None) {
                eprintln!("cannot let the thread {thread} go on: {error}");
            }
        }
    }
}
