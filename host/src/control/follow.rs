//! Files of TLS that are written while Shunt runs: certificates, keys, CAs, lists of revoked certificates, OCSP responses,
//! ticket keys. Shunt takes them over without a reload, and without the rest of the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;

use super::next::{Renewed, with_tls};
use super::{ApplyError, Control, off_thread};
use shunt_config::Marks;
use shunt_runtime::Snapshot;
use shunt_runtime::tls::members::PoolTls;
use shunt_runtime::tls::{self, Invalid, Problem, RevocationKind, Tls, material};

/// Between two looks at the files. Two looks must find the same: a certificate and its key are written one after the
/// other.
const EVERY: Duration = Duration::from_secs(1);

/// Takes over files of TLS whenever they have changed, for ever. What is wrong with them stands in the log, and what ran
/// before goes on.
pub async fn follow_tls(control: &Mutex<Control>) {
    let (mut taken, mut before, mut told) = (None, None, BTreeSet::new());
    loop {
        sleep(EVERY).await;
        let snapshot = control.lock().await.snapshot.load_full();
        tell_expired(&snapshot, &mut told);
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

/// Logs what has come to expire, once each.
fn tell_expired(snapshot: &Snapshot, told: &mut BTreeSet<(String, PathBuf, i64)>) {
    let now = tls::now();
    for it in &snapshot.virtuals {
        let (Some(tls), name) = (&it.tls, &it.settings.name) else { continue };
        let certificates = tls.certificates.iter().map(|it| (&it.file, it.not_after, None));
        let revocation = tls.revocation.iter().map(|it| (&it.file, it.next_update, Some(it.kind)));
        for (file, at, kind) in certificates.chain(revocation).filter(|(_, at, _)| *at < now) {
            if !told.insert((name.clone(), file.clone(), at)) {
                continue;
            }
            let (of, file, at) = (format!("virtual {name}"), file.display(), tls::rfc3339(at));
            match kind {
                None => {
                    tracing::error!(event = "certificate-expired", of, %file, at, "renew the certificate");
                }
                Some(RevocationKind::Crl) => tracing::error!(
                    event = "crl-expired", of, %file, at,
                    "clients of its CA are refused: fetch the next CRL"
                ),
                Some(RevocationKind::Ocsp) => tracing::error!(
                    event = "ocsp-expired", of, %file, at,
                    "the response is not stapled: fetch the next one"
                ),
            }
        }
    }
}

fn files(snapshot: &Snapshot) -> Vec<PathBuf> {
    let virtuals = snapshot.virtuals.iter().filter_map(|it| it.settings.tls.as_ref());
    let pools = snapshot.pools.iter().filter_map(|it| it.settings.tls.as_ref());
    virtuals.flat_map(material::files_of_clients).chain(pools.flat_map(material::files_of_members)).collect()
}

/// What the files have become.
#[derive(Default)]
struct Read {
    renewed: Renewed,
    /// Of what: `virtual shop`.
    taken: Vec<String>,
    /// Of what, and why.
    refused: Vec<(String, String)>,
}

fn read(snapshot: &Snapshot) -> Read {
    let mut read = Read::default();
    for it in &snapshot.virtuals {
        let Some(settings) = &it.settings.tls else { continue };
        let made = Tls::load(settings, it.tls.as_ref(), Invalid::Refused);
        read.note("virtual", &it.settings.name, made, it.tls.as_ref(), |renewed| &mut renewed.virtuals);
    }
    for it in &snapshot.pools {
        let Some(settings) = &it.settings.tls else { continue };
        let made = PoolTls::load(
            settings,
            &it.settings.members,
            it.settings.protocol,
            it.tls.as_ref(),
            Invalid::Refused,
        );
        read.note("pool", &it.settings.name, made, it.tls.as_ref(), |renewed| &mut renewed.pools);
    }
    read
}

impl Read {
    fn note<T>(
        &mut self,
        kind: &str,
        name: &str,
        made: Result<Arc<T>, Vec<Problem>>,
        old: Option<&Arc<T>>,
        of: fn(&mut Renewed) -> &mut BTreeMap<String, Arc<T>>,
    ) {
        match made {
            Ok(made) if old.is_some_and(|old| Arc::ptr_eq(old, &made)) => {}
            Ok(made) => {
                of(&mut self.renewed).insert(name.to_owned(), made);
                self.taken.push(format!("{kind} {name}"));
            }
            Err(problems) => {
                let told = |it: Problem| (format!("{kind} {name}"), it.error.to_string());
                self.refused.extend(problems.into_iter().map(told));
            }
        }
    }
}

async fn take(control: &Mutex<Control>, marks: &Marks) -> Result<(), ApplyError> {
    loop {
        let snapshot = control.lock().await.snapshot.load_full();
        let planned = Arc::clone(&snapshot);
        let Read { renewed, taken, refused } =
            off_thread(move || Ok::<_, ApplyError>(read(&planned))).await?;
        let mut control = control.lock().await;
        if control.is_draining() {
            return Ok(());
        }
        if control.snapshot.load().epoch != snapshot.epoch {
            // Something else changed meanwhile.
            continue;
        }
        for (name, error) in &refused {
            tracing::error!(event = "tls-files-refused", of = name, "{error}; what was before is served on");
        }
        if !renewed.is_empty() {
            let config = Arc::clone(&control.config);
            control.change(&config, with_tls(&snapshot, &renewed)).await.map_err(ApplyError::Resources)?;
            let snapshot = control.snapshot.load_full();
            control.monitors.apply(&snapshot);
            for name in &taken {
                tracing::info!(event = "tls-files-taken", of = name, "changed files of TLS are in force");
            }
        }
        if refused.is_empty() {
            control.files.renew(marks);
        }
        return Ok(());
    }
}
