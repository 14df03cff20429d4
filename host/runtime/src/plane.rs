//! What planes share: how a change is put in force by all of them, or by none.
//!
//! A plane is a kind of traffic with all that forwards it. A change goes through each in three steps: *prepare* makes
//! what can fail and touches nothing that runs; *commit* puts it in force and cannot fail; what it replaces is given
//! back then. Only when all planes have prepared is any of them committed.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::Snapshot;
use shunt_config::model::Config;

/// A step of a change, in progress.
pub type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A change, as planes are shown it.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    /// What is in force.
    pub before: &'a Arc<Snapshot>,
    /// What is to be.
    pub snapshot: &'a Arc<Snapshot>,
    /// The very one that is in force if only rules change.
    pub config: &'a Arc<Config>,
}

/// What a plane made for a change; `None`: the change does not concern it. What is in the way is reported, a line each.
pub type Preparation<'a> = Result<Option<Box<dyn Prepared + 'a>>, Vec<String>>;

/// A kind of traffic.
pub trait Plane: Send {
    /// Makes what a change needs, as far as that can fail. What runs continues as it is; the listeners, sockets and
    /// programs that are added may take traffic, and do nothing with it.
    fn prepare<'a>(&'a mut self, next: Next<'a>) -> Step<'a, Preparation<'a>>;

    /// Takes no new connections and flows from now on; existing ones continue. Each of what it gives ends when a part
    /// of them has ended.
    fn drain(&mut self) -> Step<'_, Vec<oneshot::Receiver<()>>>;
}

/// What a plane made for a change. Dropped without a commit it is taken back.
pub trait Prepared: Send {
    /// Puts it in force. Returns when no connection, request or flow can begin by what was before.
    fn commit<'a>(self: Box<Self>) -> Step<'a, ()>
    where
        Self: 'a;
}

/// Puts a change in force on every plane, or on none.
///
/// # Errors
/// Everything that is in the way on any of them, a line each; nothing has changed then.
pub async fn change<'a>(
    planes: impl IntoIterator<Item = &'a mut dyn Plane>,
    next: Next<'a>,
    put: impl FnOnce(),
) -> Result<(), Vec<String>> {
    let (mut prepared, mut problems) = (Vec::new(), Vec::new());
    for plane in planes {
        match plane.prepare(next).await {
            Ok(made) => prepared.extend(made),
            Err(more) => problems.extend(more),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    put();
    for plane in prepared {
        plane.commit().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    type Log = Arc<Mutex<Vec<String>>>;

    /// What one of the planes does with every change.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Does {
        Nothing,
        Fail,
        Change,
    }

    struct Recorded {
        name: &'static str,
        does: Does,
        log: Log,
    }

    struct Made<'a>(&'a Recorded, bool);

    impl Recorded {
        fn note(&self, what: &str) {
            self.log.lock().unwrap().push(format!("{} {what}", self.name));
        }
    }

    impl Plane for Recorded {
        fn prepare<'a>(&'a mut self, _: Next<'a>) -> Step<'a, Preparation<'a>> {
            Box::pin(async move {
                self.note("prepare");
                match self.does {
                    Does::Nothing => Ok(None),
                    Does::Fail => Err(vec![format!("{} cannot", self.name)]),
                    Does::Change => Ok(Some(Box::new(Made(self, false)) as Box<dyn Prepared>)),
                }
            })
        }

        fn drain(&mut self) -> Step<'_, Vec<oneshot::Receiver<()>>> {
            Box::pin(async { Vec::new() })
        }
    }

    impl Prepared for Made<'_> {
        fn commit<'a>(mut self: Box<Self>) -> Step<'a, ()>
        where
            Self: 'a,
        {
            self.1 = true;
            self.0.note("commit");
            Box::pin(async {})
        }
    }

    impl Drop for Made<'_> {
        fn drop(&mut self) {
            if !self.1 {
                self.0.note("undo");
            }
        }
    }

    async fn changed(does: [Does; 3]) -> (Result<(), Vec<String>>, Vec<String>) {
        let log = Log::default();
        let names = ["one", "two", "three"];
        let mut planes: Vec<Recorded> = names
            .into_iter()
            .zip(does)
            .map(|(name, does)| Recorded { name, does, log: Arc::clone(&log) })
            .collect();
        let (before, snapshot) = (Arc::new(Snapshot::empty()), Arc::new(Snapshot::empty()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shunt.toml");
        let text = "
[[virtual]]
name = 'v'
listen = '127.0.0.1:8080'
protocol = 'http'
pool = 'p'
[[pool]]
name = 'p'
members = [{ address = '127.0.0.1:9001' }]
";
        std::fs::write(&path, text).unwrap();
        let config = Arc::new(shunt_config::load(&path).unwrap());
        let next = Next { before: &before, snapshot: &snapshot, config: &config };
        let list = planes.iter_mut().map(|plane| plane as &mut dyn Plane);
        let put = || log.lock().unwrap().push("put".to_owned());
        let outcome = change(list, next, put).await;
        drop(planes);
        let log = log.lock().unwrap().clone();
        (outcome, log)
    }

    #[tokio::test]
    async fn all_planes_are_committed_or_none() {
        use Does::{Change, Fail, Nothing};
        let (outcome, log) = changed([Change, Nothing, Change]).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(log, ["one prepare", "two prepare", "three prepare", "put", "one commit", "three commit"]);
        for (does, why) in [
            ([Fail, Change, Change], vec!["one cannot"]),
            ([Change, Fail, Change], vec!["two cannot"]),
            ([Change, Nothing, Fail], vec!["three cannot"]),
            ([Change, Fail, Fail], vec!["two cannot", "three cannot"]),
        ] {
            let (outcome, log) = changed(does).await;
            assert_eq!(outcome, Err(why.into_iter().map(str::to_owned).collect()));
            let undone = log.iter().filter(|line| line.ends_with("undo")).count();
            assert_eq!(undone, does.into_iter().filter(|it| *it == Change).count(), "{log:?}");
            assert!(!log.iter().any(|line| line.ends_with("commit") || line == "put"), "{log:?}");
        }
    }
}
