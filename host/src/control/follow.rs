//! Files of TLS that are written while Shunt runs: certificates, keys, CAs, lists of revoked certificates, OCSP responses,
//! ticket keys. Shunt takes them over without a reload, and without the rest of the configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;

use super::next::{Renewed, with_tls};
use super::{ApplyError, Control, off_thread};
use shunt_config::Marks;
use shunt_runtime::Snapshot;
use shunt_runtime::tls::{Invalid, Tls, material};

/// Between two looks at the files. Two looks must find the same: a certificate and its key are written one after the
/// other.
const EVERY: Duration = Duration::from_secs(1);

/// Takes over files of TLS whenever they have changed, for ever. What is wrong with them stands in the log, and what ran
/// before goes on.
pub async fn follow_tls(control: &Mutex<Control>) {
    let (mut taken, mut before) = (None, None);
    loop {
        sleep(EVERY).await;
        let snapshot = control.lock().await.snapshot.load_full();
        let looked = off_thread(move || Ok::<_, ApplyError>(Marks::of(files(&snapshot))));
        let Ok(marks) = looked.await else { continue };
        if taken.as_ref() == Some(&marks) || before.as_ref() != Some(&marks) {
            before = Some(marks);
            continue;
        }
        if let Err(error) = take(control, &marks).await {
            tracing::error!(event = "tls-files-refused", %error, "changed files of TLS are not taken over");
        }
        taken = Some(marks);
    }
}

fn files(snapshot: &Snapshot) -> Vec<PathBuf> {
    snapshot.virtuals.iter().filter_map(|it| it.settings.tls.as_ref()).flat_map(material::files).collect()
}

/// What the files have become.
#[derive(Default)]
struct Read {
    renewed: Renewed,
    /// Of which virtual, and what.
    refused: Vec<(String, String)>,
}

fn read(snapshot: &Snapshot) -> Read {
    let mut read = Read::default();
    for virtual_ in &snapshot.virtuals {
        let Some(settings) = &virtual_.settings.tls else { continue };
        match Tls::load(settings, virtual_.tls.as_ref(), Invalid::Refused) {
            Ok(tls) if virtual_.tls.as_ref().is_some_and(|old| Arc::ptr_eq(old, &tls)) => {}
            Ok(tls) => drop(read.renewed.virtuals.insert(virtual_.settings.name.clone(), tls)),
            Err(problems) => read.refused.extend(
                problems.into_iter().map(|it| (virtual_.settings.name.clone(), it.error.to_string())),
            ),
        }
    }
    read
}

async fn take(control: &Mutex<Control>, marks: &Marks) -> Result<(), ApplyError> {
    loop {
        let snapshot = control.lock().await.snapshot.load_full();
        let planned = Arc::clone(&snapshot);
        let Read { renewed, refused } = off_thread(move || Ok::<_, ApplyError>(read(&planned))).await?;
        let mut control = control.lock().await;
        if control.is_draining() {
            return Ok(());
        }
        if control.snapshot.load().epoch != snapshot.epoch {
            // Something else changed meanwhile.
            continue;
        }
        for (name, error) in &refused {
            tracing::error!(
                event = "tls-files-refused",
                "virtual" = name,
                "{error}; what was before is served on"
            );
        }
        if !renewed.is_empty() {
            let config = Arc::clone(&control.config);
            control.change(&config, with_tls(&snapshot, &renewed)).await.map_err(ApplyError::Resources)?;
            for name in renewed.virtuals.keys() {
                tracing::info!(
                    event = "tls-files-taken",
                    "virtual" = name,
                    "changed files of TLS are in force"
                );
            }
        }
        if refused.is_empty() {
            control.files.renew(marks);
        }
        return Ok(());
    }
}
