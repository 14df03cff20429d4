//! The counters as OpenMetrics 1.0 text. What is counted is a row in [`shunt_api::counts`]; what else is measured
//! stands here. The book has the same list.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode as encode_text;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use shunt_api::counts::{Counts, Kind};
use shunt_api::rules::Times;
use shunt_api::status::{MemberStatus, NameStatus, PoolStatus, Status};

/// What goes with the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All of them as text.
///
/// # Errors
/// None that is known: text can always be appended to.
pub(super) fn encode(status: Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("shunt");
    registry.register_collector(Box::new(Reading(status)));
    let mut text = String::new();
    encode_text(&mut text, &registry)?;
    Ok(text)
}

/// The list for the book: a table in Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut table = String::from("| metric | kind | what |\n|---|---|---|\n");
    for Family { name, help, samples } in families(&Status::default()) {
        let (kind, suffix) = match samples {
            Samples::Numbers(Kind::Counter, _) => ("counter", "_total"),
            Samples::Numbers(Kind::Gauge, _) => ("gauge", ""),
            Samples::Histograms(_) => ("histogram", ""),
        };
        table.push_str(&format!("| `shunt_{name}{suffix}` | {kind} | {help} |\n"));
    }
    table
}

/// The metrics of one name. It is there without samples, too.
struct Family {
    /// Without the prefix `shunt_`, and for counters without the suffix `_total`.
    name: String,
    help: &'static str,
    samples: Samples,
}

enum Samples {
    Numbers(Kind, Vec<(Labels, u64)>),
    Histograms(Vec<(Labels, Times)>),
}

type Labels = Vec<(&'static str, String)>;

/// All there are.
fn families(status: &Status) -> Vec<Family> {
    let virtuals = status.virtuals.iter().map(|it| (label("virtual", &it.name), &it.counts));
    let members = members(status).map(|(pool, it)| (of_member(&pool.name, &it.address), &it.counts));
    let packets = || status.packets.iter();
    let packet_virtuals = || packets().flat_map(|it| &it.virtuals).map(|it| (label("virtual", &it.name), it));
    let translators =
        packets().flat_map(|it| &it.translators).map(|it| (label("virtual", &it.name), &it.counts));
    let packet_members =
        packets().flat_map(|it| &it.members).map(|it| (of_member(&it.pool, &it.member), &it.traffic));
    let modes = packets().flat_map(|it| &it.modes).map(|it| (label("mode", &it.mode), &it.traffic));
    let snat_pools = packets().flat_map(|it| &it.snat_pools).map(|it| (label("pool", &it.name), &it.counts));
    let interfaces =
        packets().flat_map(|it| &it.interfaces).map(|it| (label("interface", &it.name), &it.counts));
    let rule_tables = status.rules().flat_map(|it| &it.tables);
    let rule_tables =
        rule_tables.map(|it| ([label("rule", &it.rule), label("table", &it.name)].concat(), &it.counts));
    let parts = [
        of_process(status),
        counted("virtual", virtuals),
        of_certificates(status),
        of_pools(status),
        of_members(status),
        counted("member", members),
        of_names(status),
        counted(
            "persistence",
            status.pools.iter().map(|it| (label("pool", &it.name), &it.persistence.counts)),
        ),
        counted("packet", packets().map(|it| (Vec::new(), &it.counts))),
        of_packets(status),
        counted("packet_virtual", packet_virtuals().map(|(labels, it)| (labels, &it.counts))),
        counted("packet_virtual", packet_virtuals().map(|(labels, it)| (labels, &it.traffic))),
        counted("packet_translated", translators),
        counted("packet_member", packet_members),
        counted("packet_mode", modes),
        counted("snat", snat_pools),
        counted("snat", packets().map(|it| (Vec::new(), &it.snat))),
        counted("interface", interfaces),
        of_rules(status),
        counted("rule_table", rule_tables),
    ];
    parts.into_iter().flatten().collect()
}

/// A family for each metric of the rows.
fn counted<'a, T: Counts + 'a>(prefix: &str, subjects: impl Iterator<Item = (Labels, &'a T)>) -> Vec<Family> {
    let name = |metric| format!("{prefix}_{metric}");
    let mut families: Vec<Family> = Vec::new();
    for row in T::default().samples() {
        if !families.iter().any(|it| it.name == name(row.metric)) {
            let samples = Samples::Numbers(row.kind, Vec::new());
            families.push(Family { name: name(row.metric), help: row.help, samples });
        }
    }
    for (labels, counts) in subjects {
        for sample in counts.samples() {
            let mut labels = labels.clone();
            labels.extend(sample.label.map(|(label, value)| (label, value.to_owned())));
            let family = families.iter_mut().find(|it| it.name == name(sample.metric));
            if let Some(Family { samples: Samples::Numbers(_, samples), .. }) = family {
                samples.push((labels, sample.value));
            }
        }
    }
    families
}

fn of_process(status: &Status) -> Vec<Family> {
    let one = |value| vec![(Vec::new(), value)];
    vec![
        gauge(
            "build_info",
            "The version that runs, as a label; always 1",
            vec![(label("version", &status.version), 1)],
        ),
        gauge("uptime_seconds", "Seconds since the process began", one(status.uptime_seconds)),
        gauge("epoch", "Number of the snapshot in force; one more with every change", one(status.epoch)),
        gauge("workers", "Worker threads", one(status.workers as u64)),
        gauge(
            "config_differences",
            "Differences from the configuration that a restart would change, see `shunt status`",
            one(status.differences.len() as u64),
        ),
        gauge("draining", "1 from the signal to end until the process ends", one(status.draining.into())),
        counter(
            "log_lines_lost",
            "Log lines lost: the reader of the log was gone or too slow, or the disk was full",
            one(status.log_lines_lost),
        ),
    ]
}

fn of_certificates(status: &Status) -> Vec<Family> {
    let each = status.virtuals.iter().flat_map(|virtual_| {
        virtual_.certificates.iter().map(move |it| {
            let labels = [label("virtual", &virtual_.name), label("certificate", &it.file)].concat();
            (labels, it.not_after_seconds)
        })
    });
    let revocation = status.virtuals.iter().flat_map(|virtual_| {
        virtual_.revocation.iter().map(move |it| {
            let file = [label("kind", &it.kind), label("file", &it.file)].concat();
            ([label("virtual", &virtual_.name), file].concat(), it.next_update_seconds)
        })
    });
    vec![
        gauge(
            "certificate_not_after_seconds",
            "When the certificate expires, in seconds of Unix time",
            each.collect(),
        ),
        gauge(
            "revocation_next_update_seconds",
            "When the CRL, or the OCSP response, expires, in seconds of Unix time",
            revocation.collect(),
        ),
    ]
}

fn of_members(status: &Status) -> Vec<Family> {
    let each = |value: fn(&MemberStatus) -> u64| {
        members(status).map(|(pool, it)| (of_member(&pool.name, &it.address), value(it))).collect()
    };
    let on_path = members(status).flat_map(|(pool, member)| {
        member.on_path.iter().map(move |found| {
            let of_member = of_member(&pool.name, &member.address);
            let path = [label("virtual", &found.virtual_name), label("mode", &found.mode)].concat();
            ([path, of_member].concat(), u64::from(found.health == "up"))
        })
    });
    let ports = members(status).flat_map(|(pool, member)| {
        member.ports.iter().map(move |it| {
            let of_member = of_member(&pool.name, &member.address);
            ([of_member, label("source", &it.source)].concat(), it.left.into())
        })
    });
    vec![
        gauge(
            "member_up",
            "1 if its monitor finds it up, or it has none",
            each(|it| (it.health == "up").into()),
        ),
        gauge(
            "member_up_on_path",
            "1 if its monitor finds it up on the service path of the virtual, in this mode",
            on_path.collect(),
        ),
        gauge(
            "member_enabled",
            "1 unless an operator drains or disables it",
            each(|it| (it.admin == "enabled").into()),
        ),
        gauge(
            "member_ejected",
            "1 while requests at it failed and it gets none",
            each(|it| it.ejected.into()),
        ),
        gauge("member_active", "Requests in flight", each(|it| it.active.into())),
        gauge(
            "member_ports_left",
            "Ports left for connections to it over TCP, by the address that these come from",
            ports.collect(),
        ),
    ]
}

/// Names that members are written with.
fn of_names(status: &Status) -> Vec<Family> {
    let names = || {
        status.pools.iter().flat_map(|pool| {
            pool.names
                .iter()
                .map(move |it| ([label("pool", &pool.name), label("name", &it.name)].concat(), it))
        })
    };
    let each = |value: fn(&NameStatus) -> u64| names().map(|(labels, it)| (labels, value(it))).collect();
    vec![
        gauge("name_members", "Members that the name stands for", each(|it| it.addresses.len() as u64)),
        gauge("name_held", "Of these, those that the last answers of DNS lack", each(|it| it.held as u64)),
        counter("name_lookups", "Look-ups of the name", each(|it| it.lookups)),
        counter(
            "name_lookups_failed",
            "Look-ups that lacked an answer, or found no address",
            each(|it| it.lookups_failed),
        ),
    ]
}

fn of_pools(status: &Status) -> Vec<Family> {
    let each = |value: fn(&PoolStatus) -> u64| {
        status.pools.iter().map(|pool| (label("pool", &pool.name), value(pool))).collect()
    };
    vec![
        gauge("pool_usable", "Members that new clients can go to", each(|it| it.usable as u64)),
        gauge(
            "pool_queue_waiting",
            "Requests and connections that wait for a member",
            each(|it| it.queue.waiting.into()),
        ),
        counter(
            "pool_queue_served",
            "Requests and connections that waited and got a member",
            each(|it| it.queue.served),
        ),
        counter(
            "pool_queue_wait_milliseconds",
            "How long those waited together that got a member",
            each(|it| it.queue.waited_ms),
        ),
        counter(
            "pool_queue_full",
            "Requests and connections refused because as many waited as may",
            each(|it| it.queue.full),
        ),
        counter(
            "pool_queue_timed_out",
            "Requests and connections refused after they had waited",
            each(|it| it.queue.timed_out),
        ),
    ]
}

fn members(status: &Status) -> impl Iterator<Item = (&PoolStatus, &MemberStatus)> {
    status.pools.iter().flat_map(|pool| pool.members.iter().map(move |member| (pool, member)))
}

fn of_member(pool: &str, member: &str) -> Labels {
    [label("pool", pool), label("member", member)].concat()
}

fn of_packets(status: &Status) -> Vec<Family> {
    let packets = || status.packets.iter();
    let drops = packets().flat_map(|it| &it.drops);
    let snat_pools = packets().flat_map(|it| &it.snat_pools);
    let least_free = snat_pools.filter_map(|it| Some((label("pool", &it.name), it.least_free?.into())));
    let outcomes = packets().flat_map(|it| &it.steering);
    vec![
        counter(
            "packet_drops",
            "Packets dropped, by reason",
            drops.map(|it| (label("reason", &it.reason), it.count)).collect(),
        ),
        gauge("snat_ports_least_free", "Free ports toward the member with the fewest", least_free.collect()),
        counter(
            "steering_frames",
            "What the XDP program did with frames",
            outcomes.map(|(outcome, count)| (label("outcome", outcome), *count)).collect(),
        ),
    ]
}

fn of_rules(status: &Status) -> Vec<Family> {
    let rules = || status.rules().map(|it| (label("rule", &it.name), it));
    let hooks = || {
        rules().flat_map(|(labels, rule)| {
            rule.hooks.iter().map(move |it| ([labels.clone(), label("hook", &it.hook)].concat(), it))
        })
    };
    let faults = hooks().flat_map(|(labels, hook)| {
        hook.faults.iter().map(move |(kind, count)| ([labels.clone(), label("kind", kind)].concat(), *count))
    });
    vec![
        gauge(
            "rule_version",
            "Number of the version that runs; 0 while it is unloaded",
            rules().map(|(labels, rule)| (labels, rule.running.unwrap_or(0))).collect(),
        ),
        gauge(
            "rule_breaker_open",
            "1 while the rule is not called because it had too many faults",
            rules()
                .map(|(labels, rule)| (labels, (rule.breaker.as_deref() == Some("open")).into()))
                .collect(),
        ),
        counter("rule_calls", "Hook calls", hooks().map(|(labels, hook)| (labels, hook.calls)).collect()),
        counter("rule_faults", "Hook calls that gave no verdict, by kind", faults.collect()),
        counter(
            "rule_not_granted",
            "Reads and changes that were refused, because the pack does not ask for them",
            hooks().map(|(labels, hook)| (labels, hook.not_granted)).collect(),
        ),
        Family {
            name: "rule_call_seconds".to_owned(),
            help: "How long a hook call takes; one call of sixteen is timed",
            samples: Samples::Histograms(
                hooks().map(|(labels, hook)| (labels, hook.times.clone())).collect(),
            ),
        },
    ]
}

fn label(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

fn counter(name: &str, help: &'static str, samples: Vec<(Labels, u64)>) -> Family {
    Family { name: name.to_owned(), help, samples: Samples::Numbers(Kind::Counter, samples) }
}

fn gauge(name: &str, help: &'static str, samples: Vec<(Labels, u64)>) -> Family {
    Family { name: name.to_owned(), help, samples: Samples::Numbers(Kind::Gauge, samples) }
}

/// The status at one moment.
#[derive(Debug)]
struct Reading(Status);

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for Family { name, help, samples } in families(&self.0) {
            let kind = match samples {
                Samples::Numbers(Kind::Counter, _) => MetricType::Counter,
                Samples::Numbers(Kind::Gauge, _) => MetricType::Gauge,
                Samples::Histograms(_) => MetricType::Histogram,
            };
            let mut metrics = encoder.encode_descriptor(&name, help, None, kind)?;
            match samples {
                Samples::Numbers(kind, samples) => {
                    for (labels, value) in samples {
                        let mut metric = metrics.encode_family(&labels)?;
                        match kind {
                            Kind::Counter => metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
                            Kind::Gauge => metric.encode_gauge(&(value as f64))?,
                        }
                    }
                }
                Samples::Histograms(samples) => {
                    for (labels, Times { seconds, count, buckets }) in samples {
                        let mut metric = metrics.encode_family(&labels)?;
                        metric.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Serialize;
    use serde_json::Value;
    use shunt_api::counts::{
        BindingCounts, InterfaceCounts, MemberCounts, PacketCounts, PacketVirtualCounts, Sample, SnatCounts,
        SnatPoolCounts, TableCounts, TrafficCounts, TranslatorCounts, VirtualCounts,
    };

    use super::*;
    use crate::admin::sample;

    #[test]
    fn what_is_encoded() {
        let text = encode(sample::status()).unwrap();
        for line in [
            "# HELP shunt_virtual_requests Requests whose head was read",
            "# TYPE shunt_virtual_requests counter",
            "shunt_build_info{version=\"0.1.0\"} 1.0",
            "shunt_virtual_requests_total{virtual=\"shop\"} 1234",
            "shunt_virtual_answers_total{virtual=\"shop\",class=\"5xx\"} 5",
            "shunt_certificate_not_after_seconds{virtual=\"shop\",certificate=\"/etc/shunt/shop.pem\"} 1801439999.0",
            "shunt_revocation_next_update_seconds{virtual=\"shop\",kind=\"crl\",file=\"/etc/shunt/staff.crl\"} 1796601599.0",
            "shunt_member_up{pool=\"web\",member=\"10.0.0.2:80\"} 0.0",
            "shunt_member_response_bytes_total{pool=\"web\",member=\"10.0.0.1:80\"} 4096",
            "shunt_packet_flows{} 12.0",
            "shunt_packet_drops_total{reason=\"no-virtual\"} 17",
            "shunt_packet_virtual_packets_total{virtual=\"resolvers\",direction=\"to-client\"} 3000",
            "shunt_packet_member_flows_total{pool=\"resolvers\",member=\"10.0.0.4:53\"} 1200",
            "shunt_snat_ports_resting{pool=\"out\"} 30.0",
            "shunt_interface_lost_total{interface=\"eth0\",cause=\"receive-full\"} 2",
            "shunt_steering_frames_total{outcome=\"owned\"} 4000",
            "shunt_rule_version{rule=\"shop/canary\"} 2.0",
            "shunt_rule_faults_total{rule=\"shop/canary\",hook=\"on-request\",kind=\"timeout\"} 3",
            "shunt_rule_not_granted_total{rule=\"shop/canary\",hook=\"on-request\"} 5",
            "shunt_rule_call_seconds_bucket{le=\"0.000002\",rule=\"shop/canary\",hook=\"on-request\"} 3",
            "shunt_rule_call_seconds_count{rule=\"shop/canary\",hook=\"on-request\"} 4",
        ] {
            assert!(text.lines().any(|it| it == line), "no line {line:?} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn each_name_is_there_once_with_a_sample() {
        let text = encode(sample::status()).unwrap();
        let names: Vec<_> = families(&sample::status()).into_iter().map(|family| family.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for name in names {
            assert!(
                text.lines().any(|line| line.starts_with(&format!("shunt_{name}"))),
                "{name} has no sample"
            );
        }
    }

    /// A row is all that a counter needs.
    #[test]
    fn each_row_is_a_metric_a_line_of_the_book_and_a_property() {
        let text = encode(sample::status()).unwrap();
        let (book, document) = (reference_markdown(), shunt_api::openapi::document());
        let check = Check { text: &text, book: &book, schemas: &document["components"]["schemas"] };
        check.rows::<VirtualCounts>("virtual", "VirtualStatus");
        check.rows::<MemberCounts>("member", "MemberStatus");
        check.rows::<BindingCounts>("persistence", "PersistenceStatus");
        check.rows::<TableCounts>("rule_table", "TableStatus");
        check.rows::<PacketCounts>("packet", "PacketStatus");
        check.rows::<PacketVirtualCounts>("packet_virtual", "PacketVirtualStatus");
        check.rows::<TrafficCounts>("packet_virtual", "PacketVirtualStatus");
        check.rows::<TrafficCounts>("packet_member", "PacketMemberStatus");
        check.rows::<TrafficCounts>("packet_mode", "ModeStatus");
        check.rows::<TranslatorCounts>("packet_translated", "TranslatorStatus");
        check.rows::<SnatPoolCounts>("snat", "SnatPoolStatus");
        check.rows::<SnatCounts>("snat", "PacketStatus");
        check.rows::<InterfaceCounts>("interface", "InterfaceStatus");
    }

    struct Check<'a> {
        text: &'a str,
        book: &'a str,
        schemas: &'a Value,
    }

    impl Check<'_> {
        fn rows<T: Counts + Serialize>(&self, prefix: &str, schema: &str) {
            for Sample { metric, kind, help, label, .. } in T::default().samples() {
                let suffix = if kind == Kind::Counter { "_total" } else { "" };
                let name = format!("shunt_{prefix}_{metric}{suffix}");
                let label = label.map(|(label, value)| format!("{label}=\"{value}\"")).unwrap_or_default();
                let of = |line: &str| line.starts_with(&format!("{name}{{")) && line.contains(&label);
                assert!(self.text.lines().any(of), "{name} {label} has no sample");
                assert!(self.book.contains(&format!("| `{name}` | ")), "the book does not list {name}");
                assert!(!help.is_empty() && !help.ends_with('.'), "{name}: {help:?}");
            }
            for field in serde_json::to_value(T::default()).unwrap().as_object().unwrap().keys() {
                let described = &self.schemas[schema]["properties"][field]["description"];
                assert!(described.is_string(), "{schema} has no {field} with a description");
            }
        }
    }
}
