//! Clients behind one address: a member whose bindings have one key that is a large part of all look-ups gets more than its
//! share.

use std::collections::HashMap;
use std::time::Duration;

use shunt_engine::persistence::outweighs;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::{Control, bindings};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Logs which key of a pool's bindings is looked up so often that its member gets more than twice what each other gets, and
/// when that is over. For ever.
pub async fn follow_large_keys(control: &Mutex<Control>) {
    let mut told: HashMap<String, Vec<u8>> = HashMap::new();
    loop {
        sleep(EVERY).await;
        let snapshot = control.lock().await.snapshot.load_full();
        told.retain(|name, _| snapshot.pool(name).is_some());
        for pool in &snapshot.pools {
            let name = &pool.settings.name;
            let usable = pool.members.iter().filter(|it| it.state.usable_for_new()).count();
            let before = told.get(name);
            let largest = pool.bindings.largest(1).into_iter().next();
            let large = largest.filter(|it| outweighs(it.thousandths, usable, before == Some(&it.key)));
            match large {
                Some(large) if before != Some(&large.key) => {
                    let shown = bindings::largest(&snapshot, &pool.bindings);
                    if let Some(first) = shown.first() {
                        tracing::warn!(
                            event = "persistence-large-key",
                            pool = name,
                            of = first.of,
                            key = first.key,
                            member = first.member,
                            percent = first.percent,
                            "one key has so many of the look-ups that its member gets more than twice what the others get"
                        );
                    }
                    told.insert(name.clone(), large.key);
                }
                None if before.is_some() => {
                    tracing::info!(
                        event = "persistence-large-key-over",
                        pool = name,
                        "no key outweighs the others"
                    );
                    told.remove(name);
                }
                _ => {}
            }
        }
    }
}
