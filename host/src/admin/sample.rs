//! A status with something of everything in it, for tests.

use crate::control::{
    HookStatus, MemberStatus, PoolStatus, RuleStatus, RuleVersion, Status, Times, VirtualStatus,
};

pub(crate) fn status() -> Status {
    Status {
        version: "0.1.0",
        epoch: 4,
        uptime_seconds: 3_725,
        workers: 2,
        virtuals: vec![VirtualStatus {
            name: "shop".to_owned(),
            listen: "0.0.0.0:8443".to_owned(),
            tls: true,
            pool: Some("web".to_owned()),
            rules: vec![rule()],
            connections: 100,
            open: 7,
            refused: 1,
            handshakes_failed: 2,
            requests: 1_234,
            answers: [0, 1_200, 20, 9, 5],
            errors: 4,
        }],
        pools: vec![PoolStatus {
            name: "web".to_owned(),
            balance: "least-connections",
            usable: 1,
            members: vec![
                member("10.0.0.1:80", "up", "status 200"),
                member("10.0.0.2:80", "down", "connection refused"),
            ],
        }],
    }
}

pub(crate) fn rule() -> RuleStatus {
    RuleStatus {
        name: "shop/canary".to_owned(),
        running: Some(2),
        versions: vec![version(1, "1.0.0", "a1"), version(2, "1.2.0", "b2")],
        hooks: vec![HookStatus {
            hook: "on-request".to_owned(),
            calls: 1_234,
            faults: [("timeout".to_owned(), 3)].into(),
            p50_ns: Some(1_000),
            p99_ns: Some(2_000),
            times: Times {
                count: 4,
                seconds: 0.000_005,
                buckets: vec![(0.000_001, 1), (0.000_002, 2), (f64::MAX, 1)],
            },
        }],
        breaker: Some("closed"),
    }
}

fn version(number: u64, version: &str, digest: &str) -> RuleVersion {
    RuleVersion {
        number,
        pack: "canary".to_owned(),
        version: version.to_owned(),
        digest: digest.repeat(32),
        loaded_unix_ms: 1_700_000_000_000,
        hooks: vec!["on-request".to_owned()],
        faulty: false,
    }
}

fn member(address: &str, health: &'static str, reason: &str) -> MemberStatus {
    MemberStatus {
        address: address.to_owned(),
        weight: 1,
        health,
        reason: Some(reason.to_owned()),
        admin: "enabled",
        active: 3,
        requests: 617,
        connects: 12,
        connects_failed: 1,
        failures: 2,
        bytes_to_client: 4_096,
        bytes_to_server: 1_024,
    }
}
