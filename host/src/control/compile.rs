//! Compilation of packs, beside the workers that serve.
//!
//! It takes milliseconds to a second of one core: call it off the data path. While traffic is served it has a thread that
//! takes only what the workers leave of the processor. Where they leave next to nothing it would never end: then the pack
//! is compiled once more, and shares the processor with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use shunt_rules::{Pack, Rule, RuleHost};
use shunt_sys::background;

use super::rules::LoadError;

/// Between two looks at what a compilation got of the processor: longer than a worker is busy with what just came.
const LOOK: Duration = Duration::from_millis(200);
/// The part of that time that it is to get at least.
const LEAST: u32 = 4;

/// Whether a compilation that yields is there. Where it gets nothing, it stays for as long as that is so, and is to be the
/// only one.
static YIELDS: AtomicBool = AtomicBool::new(false);

pub(super) fn compile(host: &RuleHost, pack: &Pack) -> Result<Arc<Rule>, LoadError> {
    Ok(host.compile(pack)?)
}

/// As [`compile`], and yields to the threads that serve.
pub(super) fn compile_aside(host: &Arc<RuleHost>, pack: &Pack) -> Result<Arc<Rule>, LoadError> {
    if YIELDS.swap(true, Ordering::AcqRel) {
        return compile(host, pack);
    }
    let here = Here;
    let (done, compiled) = mpsc::channel();
    let (own_host, own_pack) = (Arc::clone(host), pack.clone());
    let thread = thread::Builder::new().name("compile".to_owned()).spawn(move || {
        let here = here;
        if let Err(error) = background::yield_to_others() {
            // It is compiled all the same, and may hold requests up.
            tracing::debug!(%error, "the thread that compiles has the priority of those that serve");
        }
        let rule = compile(&own_host, &own_pack);
        // Before anybody can ask for the next one.
        drop(here);
        let _ = done.send(rule);
    });
    let failed = |why: String| Err(LoadError::System(why));
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => return failed(format!("cannot start a thread: {error}")),
    };
    let (mut looked, mut had) = (Instant::now(), Duration::ZERO);
    loop {
        match compiled.recv_timeout(LOOK) {
            Ok(rule) => return rule,
            Err(RecvTimeoutError::Disconnected) => {
                return failed("the compiler panicked: its message is in the log".to_owned());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        // One that has ended has sent what came of it.
        let Ok(has) = background::processor_time(&thread) else { continue };
        if has.saturating_sub(had) < looked.elapsed() / LEAST {
            return compile(host, pack);
        }
        (looked, had) = (Instant::now(), has);
    }
}

/// That a compilation that yields is there, until it is not, also where it panics.
struct Here;

impl Drop for Here {
    fn drop(&mut self) {
        YIELDS.store(false, Ordering::Release);
    }
}
