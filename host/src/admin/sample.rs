//! A status with something of everything in it, for tests.

use shunt_api::counts::{
    BindingCounts, InterfaceCounts, MemberCounts, PacketCounts, PacketVirtualCounts, SnatCounts,
    SnatPoolCounts, TableCounts, TrafficCounts, TranslatorCounts, VirtualCounts,
};
use shunt_api::explain::{
    ConsideredStatus, Explained, ExplainedRequest, HostCalled, LeavingStatus, RequestOutcome, RequestStep,
    RewriteStatus, RuleCalled, RuleSaid, StageStatus, VerdictStatus,
};
use shunt_api::flags::FlagStatus;
use shunt_api::flows::{FlowDetails, FlowStatus};
use shunt_api::packets::{
    DropStatus, InterfaceStatus, ModeStatus, PacketMemberStatus, PacketStatus, PacketVirtualStatus,
    SnatPoolStatus, TranslatorStatus,
};
use shunt_api::rules::{HookStatus, RuleStatus, RuleVersion, Signer, Times};
use shunt_api::status::{
    CertificateStatus, Difference, GroupStatus, MemberStatus, NameStatus, OnPathStatus, PersistenceStatus,
    PoolStatus, PortsStatus, QueueStatus, RevocationStatus, Status, VirtualStatus,
};
use shunt_api::tables::TableStatus;

pub(crate) fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        epoch: 4,
        uptime_seconds: 3_725,
        workers: 2,
        draining: true,
        differences: vec![Difference {
            kind: "member".to_owned(),
            what: "10.0.0.2:80 in pool web".to_owned(),
            how: "is draining".to_owned(),
        }],
        log_lines_lost: 6,
        virtuals: vec![VirtualStatus {
            name: "shop".to_owned(),
            listen: "0.0.0.0:8443".to_owned(),
            protocol: "http".to_owned(),
            tls: true,
            certificates: vec![CertificateStatus {
                file: "/etc/shunt/shop.pem".to_owned(),
                names: vec!["shop.example".to_owned()],
                not_after: "2027-01-31T23:59:59Z".to_owned(),
                not_after_seconds: 1_801_439_999,
            }],
            revocation: vec![RevocationStatus {
                kind: "crl".to_owned(),
                file: "/etc/shunt/staff.crl".to_owned(),
                next_update: "2026-12-06T23:59:59Z".to_owned(),
                next_update_seconds: 1_796_601_599,
            }],
            pool: Some("web".to_owned()),
            rules: vec![rule()],
            counts: VirtualCounts {
                connections: 100,
                open: 7,
                refused: 1,
                requests_refused: 6,
                overloaded: 8,
                accept_pauses: 1,
                retries: 12,
                retries_withheld: 2,
                handshakes_failed: 2,
                passed_through: 2,
                proxy_headers_refused: 3,
                requests: 1_234,
                answers: [0, 1_200, 20, 9, 5],
                errors: 4,
                persistence_down: [3, 2, 1],
                tls_sessions_unknown: 5,
                straight: 6,
                loops: 1,
                relays_idle: 3,
                data_held: 64,
                data_late: 2,
                data_full: 1,
                relay_milliseconds: 70_000,
                datagrams_to_server: 40,
                datagrams_to_client: 38,
                datagrams_lost: 2,
                http1_stalled: 2,
                http2_refused: 3,
                http2_stalled: 1,
                http2_floods: [1, 0, 2, 0, 0, 0, 0],
            },
        }],
        pools: vec![PoolStatus {
            name: "web".to_owned(),
            balance: "least-connections".to_owned(),
            usable: 1,
            active: 4,
            max_connections: Some(100),
            queue: QueueStatus { waiting: 2, served: 30, waited_ms: 1_500, full: 1, timed_out: 3 },
            groups: vec![GroupStatus { priority: 0, members: 2, usable: 1, in_use: true }],
            members: vec![
                member("10.0.0.1:80", "up", "status 200"),
                member("10.0.0.2:80", "down", "connection refused"),
            ],
            names: vec![NameStatus {
                name: "app.internal:80".to_owned(),
                addresses: vec!["10.0.0.1:80".to_owned(), "10.0.0.2:80".to_owned()],
                ttl_seconds: Some(30),
                held: 1,
                left_out: 0,
                error: Some("app.internal AAAA: 10.0.0.53:53 answers SERVFAIL".to_owned()),
                lookups: 17,
                lookups_failed: 2,
            }],
            persistence: PersistenceStatus {
                counts: BindingCounts {
                    entries: 40,
                    hits: 900,
                    misses: 60,
                    expired: 20,
                    largest_percent: 12,
                    ..BindingCounts::default()
                },
            },
            rules: Vec::new(),
        }],
        packets: Some(packets()),
    }
}

fn packets() -> PacketStatus {
    PacketStatus {
        workers: 2,
        counts: PacketCounts {
            flows: 12,
            memory: 6_144,
            held: 0,
            fragments_held: 0,
            received: 4_000,
            handed_over: 40,
            answered: 3,
            answers_withheld: 1,
            checksums_finished: 60,
        },
        virtuals: vec![PacketVirtualStatus {
            name: "resolvers".to_owned(),
            listen: "203.0.113.53:53".to_owned(),
            transport: "udp".to_owned(),
            interfaces: vec!["eth0".to_owned()],
            mode: "snat".to_owned(),
            pool: Some("resolvers".to_owned()),
            rules: vec![RuleStatus { name: "resolvers/by-client".to_owned(), ..rule() }],
            counts: PacketVirtualCounts { refused: 17, persistence_down: [2, 1] },
            traffic: traffic(),
        }],
        translators: vec![TranslatorStatus {
            name: "clat".to_owned(),
            interfaces: vec!["eth1".to_owned()],
            counts: TranslatorCounts {
                packets_to_v4: 700,
                bytes_to_v4: 90_000,
                packets_to_v6: 650,
                bytes_to_v6: 880_000,
                refused: 2,
            },
        }],
        members: vec![PacketMemberStatus {
            pool: "resolvers".to_owned(),
            member: "10.0.0.4:53".to_owned(),
            traffic: traffic(),
        }],
        modes: vec![
            ModeStatus { mode: "nat".to_owned(), traffic: TrafficCounts::default() },
            ModeStatus { mode: "snat".to_owned(), traffic: traffic() },
        ],
        drops: vec![DropStatus {
            reason: "no-virtual".to_owned(),
            count: 17,
            remedy: "Clients try a port that no virtual listens on.".to_owned(),
        }],
        snat_pools: vec![SnatPoolStatus {
            name: "out".to_owned(),
            addresses: 4,
            counts: SnatPoolCounts { leased: 12, resting: 30 },
            least_free: Some(32_000),
        }],
        snat: SnatCounts { snat_exhausted: 0 },
        interfaces: vec![InterfaceStatus {
            name: "eth0".to_owned(),
            mode: "native".to_owned(),
            queues: 2,
            counts: InterfaceCounts {
                received: 4_000,
                sent: 3_900,
                copied: 40,
                send_full: 0,
                receive_full: 2,
                no_buffer: 0,
                dropped: 0,
            },
        }],
        steering: [("owned".to_owned(), 4_000), ("pass".to_owned(), 9)].into(),
    }
}

fn traffic() -> TrafficCounts {
    TrafficCounts {
        active: 12,
        flows: 1_200,
        packets_to_server: 3_100,
        bytes_to_server: 201_500,
        packets_to_client: 3_000,
        bytes_to_client: 1_560_000,
    }
}

pub(crate) fn flow() -> FlowDetails {
    FlowDetails {
        flow: FlowStatus {
            id: "40000008000003".to_owned(),
            virtual_name: "resolvers".to_owned(),
            protocol: "udp".to_owned(),
            client: "192.0.2.7:40000".to_owned(),
            vip: "203.0.113.53:53".to_owned(),
            pool: "resolvers".to_owned(),
            member: "10.0.0.4:53".to_owned(),
            mode: "snat".to_owned(),
            snat: Some("10.10.1.1:1024".to_owned()),
            state: "active".to_owned(),
            age_ms: 65_000,
            idle_ms: 1_500,
            expires_ms: 58_500,
            packets_to_server: 3,
            bytes_to_server: 195,
            packets_to_client: 3,
            bytes_to_client: 1_560,
        },
        to_server: vec![
            "source becomes 10.10.1.1:1024".to_owned(),
            "destination becomes 10.0.0.4:53".to_owned(),
        ],
        to_client: vec![
            "source becomes 203.0.113.53:53".to_owned(),
            "destination becomes 192.0.2.7:40000".to_owned(),
        ],
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
            not_granted: 5,
            p50_ns: Some(1_000),
            p99_ns: Some(2_000),
            times: Times {
                count: 4,
                seconds: 0.000_005,
                buckets: vec![(0.000_001, 1), (0.000_002, 2), (f64::MAX, 1)],
            },
        }],
        not_granted: vec!["read the field cookie of requests".to_owned()],
        tables: vec![TableStatus {
            rule: "shop/canary".to_owned(),
            name: "clients".to_owned(),
            purpose: "requests of each client".to_owned(),
            kind: "windows".to_owned(),
            key: "address".to_owned(),
            most_entries: 100_000,
            most_bytes: 16 << 20,
            idle_ms: None,
            lifetime_ms: Some(60_000),
            counts: TableCounts { entries: 70, bytes: 8_890, expired: 11, evicted: 12, refused: 13 },
        }],
        log: Some("debug".to_owned()),
        flags: vec![FlagStatus { name: "green".to_owned(), set: true, ..FlagStatus::default() }],
        breaker: Some("closed".to_owned()),
    }
}

fn version(number: u64, version: &str, digest: &str) -> RuleVersion {
    RuleVersion {
        number,
        pack: "canary".to_owned(),
        version: version.to_owned(),
        digest: digest.repeat(32),
        source: format!("registry.example/team/canary:{version}"),
        pack_digest: Some("c3".repeat(32)),
        policy: Some("registry.example/team/*".to_owned()),
        signers: vec![Signer { file: "team.pub".to_owned(), key: "d4".repeat(32) }],
        loaded_unix_ms: 1_700_000_000_000,
        hooks: vec!["on-request".to_owned()],
        faulty: false,
    }
}

fn member(address: &str, health: &str, reason: &str) -> MemberStatus {
    MemberStatus {
        name: None,
        address: address.to_owned(),
        weight: 1,
        priority: 0,
        health: health.to_owned(),
        reason: Some(reason.to_owned()),
        on_path: vec![OnPathStatus {
            virtual_name: "mail".to_owned(),
            mode: "nat".to_owned(),
            health: "up".to_owned(),
            reason: Some("connected".to_owned()),
        }],
        admin: "enabled".to_owned(),
        active: 3,
        max_connections: Some(50),
        ejected: false,
        ineligible: (health == "down").then(|| health.to_owned()),
        flows: Some(1),
        ports: vec![PortsStatus { source: "10.0.0.5".to_owned(), in_use: 12, left: 28_220 }],
        counts: MemberCounts {
            requests: 617,
            connects: 12,
            connects_failed: 1,
            sources_failed: [1, 5, 0, 0],
            vetoed: 0,
            failures: 2,
            http2_broken: 1,
            http2_unprocessed: 3,
            http2_resets: 2,
            http2_no_room: 4,
            http2_no_websocket: 1,
            bytes_to_client: 4_096,
            bytes_to_server: 1_024,
        },
    }
}

pub(crate) fn explained() -> Explained {
    let stage = |stage, found: &[&str]| StageStatus {
        stage: str::to_owned(stage),
        found: found.iter().map(|text| (*text).to_owned()).collect(),
    };
    let member = |member: &str, active, chosen, standing, why: &str| ConsideredStatus {
        pool: "resolvers".to_owned(),
        member: member.to_owned(),
        weight: 1,
        active,
        chosen,
        standing: str::to_owned(standing),
        why: why.to_owned(),
    };
    Explained {
        interface: "eth0".to_owned(),
        interface_is_a_guess: true,
        packet: vec![
            "Ethernet 02:00:00:00:0a:01 > 02:00:00:00:00:01".to_owned(),
            "IPv4 192.0.2.7 > 203.0.113.53, 33 bytes, time to live 64".to_owned(),
            "UDP 40000 > 53, 5 bytes".to_owned(),
        ],
        stages: vec![
            stage("flow-table", &["the packet belongs to no flow of this worker"]),
            stage("virtual", &["resolvers listens on 203.0.113.53:53, udp, on eth0"]),
            stage("rule", &["resolvers/by-client says: next", "no rule decides, so the configuration does"]),
        ],
        rules: vec![RuleSaid { rule: "resolvers/by-client".to_owned(), said: "next".to_owned() }],
        members: vec![
            member("10.0.0.4:53", 12, true, "turn", "it is its turn"),
            member("10.0.0.5:53", 0, false, "down", "down: connection refused"),
        ],
        flow: None,
        rewrite: Some(RewriteStatus {
            virtual_name: "resolvers".to_owned(),
            pool: "resolvers".to_owned(),
            member: "10.0.0.4:53".to_owned(),
            mode: "snat".to_owned(),
            snat: Some("10.10.1.1:1024".to_owned()),
            to_server: flow().to_server,
            to_client: flow().to_client,
        }),
        verdict: VerdictStatus {
            action: "send".to_owned(),
            means: "the packet leaves by eth1".to_owned(),
            reason: None,
            stage: None,
            remedy: None,
        },
        leaves: vec![LeavingStatus {
            interface: "eth1".to_owned(),
            packet: vec!["IPv4 10.10.1.1 > 10.0.0.4, 33 bytes, time to live 63".to_owned()],
            hex: "4500".to_owned(),
        }],
    }
}

pub(crate) fn explained_request() -> ExplainedRequest {
    let found = |phase: &str, found: &str| RequestStep {
        phase: phase.to_owned(),
        found: vec![found.to_owned()],
        ..RequestStep::default()
    };
    let call = |function: &str, argument: &str, result: Option<&str>, changes| HostCalled {
        function: function.to_owned(),
        arguments: vec![argument.to_owned()],
        result: result.map(str::to_owned),
        changes,
    };
    let member = |member: &str, active, chosen, standing: &str, why: &str| ConsideredStatus {
        pool: "web".to_owned(),
        member: member.to_owned(),
        weight: 1,
        active,
        chosen,
        standing: standing.to_owned(),
        why: why.to_owned(),
    };
    let rule = RuleCalled {
        rule: "shop/canary".to_owned(),
        verdict: "to".to_owned(),
        said: "to primary (pool web)".to_owned(),
        took: 3_210,
        calls: vec![
            call("request.header", "\"x-beta\"", Some("none"), false),
            call("request.set-path", "\"/b\"", None, true),
        ],
        more_calls: 0,
    };
    ExplainedRequest {
        virtual_name: "shop".to_owned(),
        client: "192.0.2.7:40000".to_owned(),
        client_is_assumed: false,
        vip: "203.0.113.1:80".to_owned(),
        vip_is_assumed: true,
        live: true,
        request: vec!["GET /a HTTP/1.1".to_owned(), "host: shop.example".to_owned()],
        steps: vec![
            found("virtual", "shop listens on 203.0.113.1:80, http"),
            RequestStep { phase: "on-request".to_owned(), rule: Some(rule), ..RequestStep::default() },
            found("persistence", "the client is known by 192.0.2.7: it is bound to no member of pool web"),
            RequestStep {
                members: vec![
                    member("10.0.0.1:80", 3, true, "hash", "the hash of the client's address leads to it"),
                    member("10.0.0.2:80", 0, false, "down", "down: connection refused"),
                ],
                ..found("selection", "pool web, balance source-hash")
            },
        ],
        outcome: RequestOutcome {
            action: "send".to_owned(),
            means: "the request is sent to 10.0.0.1:80 of pool web".to_owned(),
            pool: Some("web".to_owned()),
            member: Some("10.0.0.1:80".to_owned()),
            sent: vec!["GET /b HTTP/1.1".to_owned(), "host: shop.example".to_owned()],
            status: None,
            answer: Vec::new(),
        },
    }
}

/// Within `/v1` a field keeps its name and its place.
#[test]
fn the_status_is_sent_as_it_was() {
    let sent = serde_json::to_string_pretty(&status()).unwrap() + "\n";
    assert_eq!(sent, include_str!("sample.json"));
}
