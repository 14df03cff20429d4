//! `shunt run`: the daemon, from its start to its end.

use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{Mutex, mpsc};

use super::failure::Failure;
use super::format::count;
use super::log;
use super::screen::Screen;
use super::signals::{Asked, Signals};
use crate::admin::socket::{AdminSocket, Renewal};
use crate::admin::{self, SharedControl};
use crate::control::{self, Actor, Allow, ApplyError, Control, Drain};
use crate::doctor;
use shunt_config;
use shunt_sys::files::FileLimit;

/// Between two looks at whether flows are left while it drains.
const FLOWS_LOOK: Duration = Duration::from_millis(100);

/// Serves traffic until a signal ends it. `socket`: in the place of the one that the configuration names.
///
/// # Errors
/// Whatever keeps it from starting; nothing is left behind then.
pub(super) fn run(config: PathBuf, socket: Option<PathBuf>, screen: &Screen) -> Result<(), Failure> {
    log::start(screen.err.0)?;
    let open_files = shunt_sys::files::raise_limit();
    if let Err(error) = &open_files {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    // Connections are small and many. Packet virtuals allow huge pages for their tables of flows.
    if let Err(error) = shunt_sys::memory::allow_huge_pages(false) {
        tracing::debug!(%error, "the allocator may use huge pages");
    }
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed("system", error))?;
    let ended = runtime.block_on(serve(config, socket, open_files.ok()));
    // A compilation that is still running has nobody to report to.
    runtime.shutdown_background();
    ended
}

async fn serve(
    config: PathBuf,
    socket: Option<PathBuf>,
    open_files: Option<FileLimit>,
) -> Result<(), Failure> {
    // Before anything else: from here on a signal ends in order whatever has been begun.
    let mut signals = Signals::catch().map_err(|error| Failure::failed("system", error))?;
    let outcome = "Shunt does not start";
    let refused = |error: ApplyError| Failure::not_applied(&error, outcome);

    let read = shunt_config::load(&config).map_err(|report| refused(ApplyError::Config(report)))?;
    if let Some(why) = open_files.and_then(|limit| doctor::too_few_files(&read, limit.now)) {
        tracing::warn!("{why}; {}", doctor::RAISE_FILES);
    }
    let socket = socket.unwrap_or(read.admin.socket);
    // First of what it opens, so that a second daemon of the same configuration gets no further.
    let socket = AdminSocket::bind(&socket).await.map_err(|error| Failure::failed("admin-socket", error))?;
    let path = socket.path().display().to_string();
    let renewal = socket.renewal();
    let mut control = tokio::select! {
        control = Control::start(config) => control.map_err(refused)?,
        () = signals.end() => return Ok(()),
    };
    let opened = control.opened_breakers();
    let status = control.status().await;
    let control: SharedControl = Arc::new(Mutex::new(control));
    let admin = tokio::spawn(admin::serve(socket, Arc::clone(&control)));
    let packets =
        status.packets.as_ref().map_or(0, |packets| packets.virtuals.len() + packets.translators.len());
    let virtuals = count(status.virtuals.len() + packets, "virtual");
    let pools = count(status.pools.len(), "pool");
    let workers = count(status.workers, "worker");
    say(&format!("shunt {} ready: {virtuals}, {pools}, {workers}, admin socket {path}", status.version));

    tokio::select! {
        () = attend(&control, &mut signals, opened, &renewal) => {}
        () = control::follow_tls(&control) => {}
        () = control::follow_groups(&control) => {}
        () = control::follow_large_keys(&control) => {}
        () = control::follow_memory(&control) => {}
        () = control::follow_names(&control) => {}
        () = control::follow_ports(&control) => {}
        () = control::follow_tables(&control) => {}
    }

    // The admin socket stays, so that the drain can be watched; it takes no changes any more.
    tracing::info!("draining; a second signal ends at once");
    let ended = tokio::select! {
        () = drain(&control) => Ok(()),
        () = signals.end() => Err(Failure::failed("cut", "a second signal ended Shunt before every connection had ended")),
    };
    admin.abort();
    let _ = admin.await;
    ended
}

/// Stops accepting and waits until every connection and flow has ended, at most for the configured time.
async fn drain(control: &SharedControl) {
    let Drain { workers, most } = control.lock().await.begin_drain().await;
    let all = async {
        for drained in workers {
            let _ = drained.await;
        }
        while control.lock().await.has_open_flows().await {
            tokio::time::sleep(FLOWS_LOOK).await;
        }
    };
    if tokio::time::timeout(most, all).await.is_err() {
        tracing::warn!("connections or flows were still open after `process.drain`; Shunt closes them");
    }
}

/// Does what signals and rules ask for, until it is asked to end.
async fn attend(
    control: &SharedControl,
    signals: &mut Signals,
    opened: Option<mpsc::UnboundedReceiver<String>>,
    socket: &Renewal,
) {
    let (_none, never) = mpsc::unbounded_channel();
    let mut opened = opened.unwrap_or(never);
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::End => return,
                Asked::Reload => {
                    if let Asked::End = reload(control, signals, socket).await {
                        return;
                    }
                }
            },
            Some(name) = opened.recv() => {
                if let Ok(name) = name.parse() {
                    control::breaker_opened(control, &name).await;
                }
            }
        }
    }
}

/// Reloads, and once more if a signal asks for that meanwhile. Gives what it was asked for last: one that ends the process
/// does not wait for a registry.
async fn reload(control: &SharedControl, signals: &mut Signals, socket: &Renewal) -> Asked {
    loop {
        socket.renew();
        let mut again = false;
        // What is wrong with the configuration stands in the log, and everything continues.
        let mut reloading = pin!(control::reload(control, Allow::default(), &Actor::Signal("SIGHUP")));
        loop {
            tokio::select! {
                _ = &mut reloading => break,
                asked = signals.next() => match asked {
                    Asked::Reload => again = true,
                    Asked::End => {
                        // What is being put in force is put in force as a whole.
                        let refuse = async { control.lock().await.refuse_changes() };
                        let _ = tokio::join!(refuse, reloading);
                        return Asked::End;
                    }
                },
            }
        }
        if !again {
            return Asked::Reload;
        }
    }
}

/// The one line on stdout. Whoever started this may not read it.
fn say(line: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
