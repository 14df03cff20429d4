//! The memory that the process may have.

use std::time::Duration;

use shunt_runtime::overload;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::Control;

/// Between two looks at the memory: what comes in between goes beyond the ceiling.
const EVERY: Duration = Duration::from_millis(100);

/// Has new work refused while the process has as much memory as it may. For ever.
pub async fn follow_memory(control: &Mutex<Control>) {
    let mut most = None;
    loop {
        // A change is being made: what was so before counts.
        if let Ok(control) = control.try_lock() {
            most = control.config.process.max_memory;
        }
        let Ok(resident) = (if most.is_some() { shunt_sys::memory::resident() } else { Ok(0) }) else {
            sleep(EVERY).await;
            continue;
        };
        match overload::observe(resident, most) {
            Some(true) => tracing::warn!(
                event = "overloaded",
                resident,
                most,
                "the process has as much memory as it may: new work is refused"
            ),
            Some(false) => tracing::info!(event = "overload-over", resident, "new work is taken again"),
            None => {}
        }
        sleep(EVERY).await;
    }
}
