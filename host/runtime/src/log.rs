//! Lines on their way to the log. A thread that logs leaves its line here and continues; one thread writes.
//!
//! Where the log cannot be written (its reader is gone, its disk is full) or not fast enough (its reader
//! takes nothing), lines are lost and counted, and no thread waits for it.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that may wait to be written: some ten thousand lines.
const MOST_WAITING: usize = 2 << 20;

/// What a waiting line takes besides its text.
const PER_LINE: usize = 64;

/// Between two reports of lost lines.
const REPORTS: Duration = Duration::from_secs(1);

/// Between two attempts at a descriptor that another process has made non-blocking.
const AGAIN: Duration = Duration::from_millis(10);

/// How long the end of the process waits for a reader of the log that takes nothing.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log of the process.
static LOG: OnceLock<Queue> = OnceLock::new();

/// Starts the log of the process, or gives the one that was started.
///
/// # Errors
/// No thread can be started.
pub fn start(out: impl Write + Send + 'static) -> io::Result<&'static Queue> {
    if LOG.get().is_none() {
        let _ = LOG.set(Queue::start(out)?);
    }
    LOG.get().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Lines of the log that were lost since the process began: its reader was gone or too slow, or its disk
/// full.
pub fn lost() -> u64 {
    LOG.get().map_or(0, Queue::lost)
}

/// Ends the log with this text. `false`: there is no log.
pub fn last(text: &str) -> bool {
    let Some(queue) = LOG.get() else { return false };
    queue.push(text.as_bytes());
    flush();
    true
}

/// Waits until everything logged so far is written, for a second at most.
pub fn flush() {
    if let Some(queue) = LOG.get() {
        queue.flush(LAST_LINES);
    }
}

/// Where lines are left.
#[derive(Debug)]
pub struct Queue {
    entries: Sender<Entry>,
    state: Arc<State>,
}

#[derive(Debug)]
enum Entry {
    Line(Box<[u8]>),
    /// To be dropped when everything before it is written.
    Flush(SyncSender<()>),
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that wait to be written.
    waiting: AtomicUsize,
    /// Lines that were not written, or not wholly.
    lost: AtomicU64,
}

impl Queue {
    /// Starts the thread that writes. It ends when the queue is dropped.
    ///
    /// # Errors
    /// No thread can be started.
    fn start(out: impl Write + Send + 'static) -> io::Result<Queue> {
        let (entries, left) = mpsc::channel();
        let state = Arc::<State>::default();
        let of_writer = Arc::clone(&state);
        thread::Builder::new().name("log".to_owned()).spawn(move || write_all(out, &left, &of_writer))?;
        Ok(Queue { entries, state })
    }

    /// Leaves a line, or counts it as lost.
    pub fn push(&self, line: &[u8]) {
        let size = line.len() + PER_LINE;
        let waiting = self.state.waiting.fetch_add(size, Ordering::Relaxed) + size;
        if waiting <= MOST_WAITING && self.entries.send(Entry::Line(line.into())).is_ok() {
            return;
        }
        self.state.waiting.fetch_sub(size, Ordering::Relaxed);
        self.state.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was left before is written or lost. `false`: it took longer than that.
    fn flush(&self, patience: Duration) -> bool {
        let (done, written) = mpsc::sync_channel(0);
        // The writer drops its end, which ends the wait.
        self.entries.send(Entry::Flush(done)).is_err()
            || written.recv_timeout(patience) != Err(mpsc::RecvTimeoutError::Timeout)
    }
}

/// One line: what is written to it at once is one.
pub struct Line<'a>(pub &'a Queue);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the thread does, until the queue is dropped.
fn write_all(mut out: impl Write, entries: &Receiver<Entry>, state: &State) {
    let mut torn = false;
    let mut reported = 0;
    let mut last_report: Option<Instant> = None;
    for entry in entries {
        let line = match entry {
            Entry::Line(line) => line,
            Entry::Flush(done) => {
                drop(done);
                continue;
            }
        };
        // What is left of a line must not look like the beginning of the next.
        let written = if torn { write_line(&mut out, b"\n") } else { Ok(()) };
        let written = written.and_then(|()| write_line(&mut out, &line));
        state.waiting.fetch_sub(line.len() + PER_LINE, Ordering::Relaxed);
        match written {
            Ok(()) => torn = false,
            Err(part) => {
                torn |= part;
                state.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        }
        let lost = state.lost.load(Ordering::Relaxed);
        if lost > reported && last_report.is_none_or(|at| at.elapsed() > REPORTS) {
            tracing::warn!(
                lines = lost - reported,
                "log lines were lost: the reader of the log was gone or too slow, or the disk was full"
            );
            reported = lost;
            last_report = Some(Instant::now());
        }
    }
}

/// Writes a line whole. The error says whether a part of it was written.
fn write_line(out: &mut impl Write, line: &[u8]) -> Result<(), bool> {
    let mut rest = line;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => return Err(rest.len() < line.len()),
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(_) => return Err(rest.len() < line.len()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Takes as many bytes as there is room for, then none.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Disk {
        fn of(room: usize) -> Disk {
            Disk(Arc::new(Mutex::new((Vec::new(), room))))
        }

        fn make_room(&self, room: usize) {
            self.0.lock().unwrap().1 += room;
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (text, room) = &mut *self.0.lock().unwrap();
            let count = bytes.len().min(*room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            text.extend_from_slice(&bytes[..count]);
            *room -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let disk = Disk::of(11);
        let queue = Queue::start(disk.clone()).unwrap();
        for line in ["first\n", "second\n", "third\n"] {
            queue.push(line.as_bytes());
        }
        assert!(queue.flush(PATIENCE));
        assert_eq!((disk.text().as_str(), queue.lost()), ("first\nsecon", 2));

        disk.make_room(100);
        queue.push(b"fourth\n");
        assert!(queue.flush(PATIENCE));
        assert_eq!((disk.text().as_str(), queue.lost()), ("first\nsecon\nfourth\n", 2));
    }

    #[test]
    fn a_reader_that_takes_nothing_keeps_nobody_waiting() {
        let (reader, writer) = io::pipe().unwrap();
        let queue = Queue::start(writer).unwrap();
        let line = [b'x'; 1 << 10];
        // A pipe holds 64 KiB and the queue 2 MiB.
        for _ in 0..4_096 {
            queue.push(&line);
        }
        assert!(queue.lost() > 1_024, "{}", queue.lost());
        assert!(!queue.flush(Duration::from_millis(1)));
        // The reader's end lets the writer continue, and what waits is lost, too.
        drop(reader);
        assert!(queue.flush(PATIENCE));
        assert_eq!(queue.state.waiting.load(Ordering::Relaxed), 0);
    }
}
