//! Tables of rules, which outlive their versions.

use std::time::Duration;

use shunt_rules::TableUse;
use shunt_runtime::{Snapshot, clock};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::Control;

/// Between two sweeps of a table that has few entries.
const EVERY: Duration = Duration::from_secs(1);
/// A table with so many entries, or more, is swept less often in proportion: a sweep of these takes about a millisecond.
const FEW: u64 = 100_000;

/// Forgets entries whose time is over, table by table, on another thread. For ever.
pub async fn follow_tables(control: &Mutex<Control>) {
    let mut round = 0_u64;
    loop {
        sleep(EVERY).await;
        round += 1;
        let snapshot = control.lock().await.snapshot.load_full();
        let due = |it: &TableUse| round.is_multiple_of(1 + it.counts().entries / FEW);
        let due: Vec<TableUse> = all(&snapshot).filter(|it| due(it)).cloned().collect();
        if due.is_empty() {
            continue;
        }
        let sweep = move || {
            for table in due {
                table.sweep(clock::monotonic_ms());
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(sweep).await {
            tracing::error!(%error, "tables were not swept");
        }
    }
}

/// Every table of a rule that runs.
fn all(snapshot: &Snapshot) -> impl Iterator<Item = &TableUse> {
    snapshot.attachments().flat_map(|it| it.tables())
}
