//! What `shunt check` says of the monitors of each pool: how soon they find a member down, and what they miss.

use std::time::Duration;

use super::model::{Config, Pool, Protocol};
use super::monitors::{Monitor, Probe};

/// How the members of a pool are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolWatch {
    pub pool: String,
    /// How long after a member stopped to answer it is found down, at most; `None`: never.
    pub down_within: Option<Duration>,
    /// What is not found, and what to do.
    pub misses: Option<String>,
}

/// Of every pool, in the order of the configuration.
#[must_use]
pub fn pool_watches(config: &Config) -> Vec<PoolWatch> {
    let of = |pool: &Pool| PoolWatch {
        pool: pool.name.clone(),
        down_within: down_within(pool),
        misses: misses(pool, config),
    };
    config.pools.iter().map(of).collect()
}

/// A member goes down once fewer monitors than are needed find it up.
fn down_within(pool: &Pool) -> Option<Duration> {
    let mut times: Vec<Duration> = pool.monitors.iter().map(Monitor::time_to_down).collect();
    times.sort_unstable();
    times.get(times.len().checked_sub(pool.monitors_needed)?).copied()
}

fn misses(pool: &Pool, config: &Config) -> Option<String> {
    let Some(first) = pool.monitors.first() else {
        return Some("no `monitor`: a member that is down gets its share of clients".to_owned());
    };
    let is_plain = |probe: &Probe| matches!(probe, Probe::Ping(_) | Probe::Tcp(_));
    if !pool.monitors.iter().all(|monitor| is_plain(&monitor.probe)) {
        return None;
    }
    let mut speaking = config.virtuals.iter().filter(|it| it.protocol == Protocol::Http && !it.pass_through);
    let speaks = speaking.find(|it| it.reaches(&pool.name))?;
    let what = match first.probe {
        Probe::Ping(_) => "a host whose server does not run",
        _ => "a server that accepts connections and answers with errors, or not at all,",
    };
    Some(format!("clients of virtual `{}` speak HTTP: {what} counts as up; use `http = \"/…\"`", speaks.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watches(pools: &str) -> Vec<PoolWatch> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shunt.toml");
        let listener = "[[virtual]]\nname = 'shop'\nlisten = '127.0.0.1:1'\nprotocol = 'http'\npool = 'p'\n";
        std::fs::write(&path, format!("{listener}{pools}")).unwrap();
        pool_watches(&crate::load(&path).unwrap_or_else(|report| panic!("{report}")))
    }

    fn of(keys: &str) -> PoolWatch {
        watches(&format!("[[pool]]\nname = 'p'\nmembers = [{{ address = '10.0.0.1:1' }}]\n{keys}")).remove(0)
    }

    #[test]
    fn time_to_down_follows_from_the_monitors_that_decide() {
        let http = "{ http = '/', interval = '10s', interval-changing = '1s', timeout = '1s', fall = 3 }";
        let slow = "{ http = '/', interval = '60s', timeout = '5s', fall = 1 }";
        let seconds = |keys: &str| of(keys).down_within.map(|time| time.as_secs());
        assert_eq!(seconds(&format!("monitor = {http}")), Some(13));
        assert_eq!(seconds("monitor = { http = '/' }"), Some(17), "interval × fall + timeout");
        assert_eq!(seconds(&format!("monitor = [{http}, {slow}]")), Some(13), "one that fails is enough");
        assert_eq!(seconds(&format!("monitor = [{http}, {slow}]\nmonitors-needed = 1")), Some(65));
        assert_eq!(seconds(""), None);
    }

    #[test]
    fn what_monitors_miss_is_said_where_clients_speak_http() {
        assert!(of("").misses.unwrap().starts_with("no `monitor`"));
        assert_eq!(of("monitor = { http = '/' }").misses, None);
        assert!(of("monitor = { tcp = true }").misses.unwrap().contains("answers with errors"));
        assert!(of("monitor = { ping = true }").misses.unwrap().contains("does not run"));
        assert_eq!(of("monitor = [{ ping = true }, { http = '/' }]").misses, None);
        let unused =
            "[[pool]]\nname = 'other'\nmonitor = { tcp = true }\nmembers = [{ address = '10.0.0.1:1' }]\n";
        let pool = "[[pool]]\nname = 'p'\nmembers = [{ address = '10.0.0.1:1' }]\n";
        assert_eq!(watches(&format!("{pool}{unused}"))[1].misses, None);
        let relayed =
            "[[virtual]]\nname = 'mail'\nlisten = '127.0.0.1:2'\nprotocol = 'tcp'\npool = 'other'\n";
        assert_eq!(watches(&format!("{relayed}{pool}{unused}"))[1].misses, None, "nobody speaks HTTP there");
    }
}
