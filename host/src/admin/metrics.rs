//! The counters as OpenMetrics 1.0 text. One list says what there is; a test and the book walk it.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode as encode_text;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use shunt_api::packets::{InterfaceStatus, PacketStatus, SnatPoolStatus, TrafficStatus, TranslatorStatus};
use shunt_api::rules::{HookStatus, RuleStatus, Times};
use shunt_api::status::{MemberStatus, Status, VirtualStatus};

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
    for Family { name, help, values } in families() {
        let (kind, suffix) = match values {
            Values::Counter(_) => ("counter", "_total"),
            Values::Gauge(_) => ("gauge", ""),
            Values::Histogram(_) => ("histogram", ""),
        };
        table.push_str(&format!("| `shunt_{name}{suffix}` | {kind} | {help} |\n"));
    }
    table
}

/// Metrics of one name.
struct Family {
    /// Without the prefix `shunt_`, and for counters without the suffix `_total`.
    name: &'static str,
    help: &'static str,
    values: Values,
}

enum Values {
    Counter(fn(&Status) -> Vec<(Labels, u64)>),
    Gauge(fn(&Status) -> Vec<(Labels, f64)>),
    Histogram(fn(&Status) -> Vec<(Labels, Times)>),
}

type Labels = Vec<(&'static str, String)>;

/// Traffic of flows that is counted on `$subject`, as one function gives it.
macro_rules! traffic {
    ($subject:literal, $each:ident) => {
        [
            gauge(concat!("packet_", $subject, "_flows_active"), "Flows now", |status| {
                floats($each(status, |it| it.active))
            }),
            counter(concat!("packet_", $subject, "_flows"), "Flows", |status| $each(status, |it| it.flows)),
            counter(concat!("packet_", $subject, "_packets"), "Packets forwarded, by direction", |status| {
                directions($each(status, |it| it.packets_to_server), $each(status, |it| it.packets_to_client))
            }),
            counter(
                concat!("packet_", $subject, "_bytes"),
                "Bytes of IP datagrams forwarded, by direction",
                |status| {
                    directions($each(status, |it| it.bytes_to_server), $each(status, |it| it.bytes_to_client))
                },
            ),
        ]
    };
}

/// All there are.
fn families() -> impl Iterator<Item = &'static Family> {
    [FAMILIES, &VIRTUALS, &MEMBERS, &MODES].into_iter().flatten()
}

const VIRTUALS: [Family; 4] = traffic!("virtual", packet_virtuals);
const MEMBERS: [Family; 4] = traffic!("member", packet_members);
const MODES: [Family; 4] = traffic!("mode", modes);

const FAMILIES: &[Family] = &[
    gauge("build_info", "The version that runs, as a label; always 1", |status| {
        vec![(vec![("version", status.version.to_owned())], 1.0)]
    }),
    gauge("uptime_seconds", "Seconds since the process began", |status| one(status.uptime_seconds)),
    gauge("epoch", "Number of the snapshot in force; one more with every change", |status| one(status.epoch)),
    gauge("workers", "Worker threads", |status| one(status.workers as u64)),
    gauge("config_differences", "What runs and a restart would change, see `shunt status`", |status| {
        one(status.differences.len() as u64)
    }),
    gauge("draining", "1 from the signal to end until the process ends", |status| {
        one(u64::from(status.draining))
    }),
    counter(
        "log_lines_lost",
        "Lines of the log that could not be written: its reader was gone or too slow, or its disk full",
        |status| vec![(Vec::new(), status.log_lines_lost)],
    ),
    counter("virtual_connections", "Connections accepted", |status| virtuals(status, |it| it.connections)),
    gauge("virtual_connections_open", "Connections open now", |status| {
        floats(virtuals(status, |it| it.open))
    }),
    counter("virtual_connections_refused", "Connections refused: too many, or by a rule", |status| {
        virtuals(status, |it| it.refused)
    }),
    counter("virtual_handshakes_failed", "TLS handshakes that failed", |status| {
        virtuals(status, |it| it.handshakes_failed)
    }),
    counter("virtual_requests", "Requests whose head was read", |status| virtuals(status, |it| it.requests)),
    counter("virtual_answers", "Answers by the class of their status", |status| {
        let answers = |it: &VirtualStatus| {
            let of = it.name.clone();
            let class = move |(class, count)| {
                (vec![("virtual", of.clone()), ("class", format!("{}xx", class + 1))], count)
            };
            it.answers.into_iter().enumerate().map(class)
        };
        status.virtuals.iter().flat_map(answers).collect()
    }),
    counter("virtual_errors", "Answers that Shunt made in a member's place because of an error", |status| {
        virtuals(status, |it| it.errors)
    }),
    gauge("member_up", "1 if its monitor finds it up, or it has none", |status| {
        floats(members(status, |it| u64::from(it.health == "up")))
    }),
    gauge("member_up_on_path", "1 if its monitor finds it up on the service path of the virtual", |status| {
        floats(members_on_path(status))
    }),
    gauge("member_enabled", "1 if it takes new clients as far as the operator is concerned", |status| {
        floats(members(status, |it| u64::from(it.admin == "enabled")))
    }),
    gauge("member_active", "Requests in flight", |status| floats(members(status, |it| it.active.into()))),
    counter("member_requests", "Requests sent to the member", |status| members(status, |it| it.requests)),
    counter("member_connects", "Connections opened to it", |status| members(status, |it| it.connects)),
    counter("member_connects_failed", "Connects that failed", |status| {
        members(status, |it| it.connects_failed)
    }),
    counter("member_failures", "Responses that did not come, came late or broke off", |status| {
        members(status, |it| it.failures)
    }),
    counter("member_response_bytes", "Bytes of response bodies", |status| {
        members(status, |it| it.bytes_to_client)
    }),
    counter("member_request_bytes", "Bytes of request bodies", |status| {
        members(status, |it| it.bytes_to_server)
    }),
    gauge("packet_flows", "Flows of packet virtuals now", |status| packets(status, |it| it.flows)),
    gauge("packet_memory_bytes", "Bytes that flows, their timers and ports take, and fragments", |status| {
        packets(status, |it| it.memory)
    }),
    gauge("packet_held", "Packets that wait for a next hop now", |status| packets(status, |it| it.held)),
    gauge("packet_fragments_held", "Fragments that wait for the first one of their packet now", |status| {
        packets(status, |it| it.fragments_held)
    }),
    counter("packet_received", "Frames received", |status| totals(status, |it| it.received)),
    counter("packet_handed_over", "Frames handed over from one packet worker to another", |status| {
        totals(status, |it| it.handed_over)
    }),
    counter(
        "packet_answered",
        "Questions for Shunt's addresses answered: ARP, neighbour discovery, echo",
        |status| totals(status, |it| it.answered),
    ),
    counter("packet_answers_withheld", "Refusals that were not sent because too many had been", |status| {
        totals(status, |it| it.answers_withheld)
    }),
    counter("packet_checksums_finished", "Frames whose checksum was left to the sender's device", |status| {
        totals(status, |it| it.checksums_finished)
    }),
    counter("packet_drops", "Packets dropped, by reason", |status| {
        let drops = status.packets.iter().flat_map(|packets| &packets.drops);
        drops.map(|it| (vec![("reason", it.reason.clone())], it.count)).collect()
    }),
    counter("packet_virtual_refused", "First packets that became no flow", |status| {
        let virtuals = status.packets.iter().flat_map(|packets| &packets.virtuals);
        virtuals.map(|it| (vec![("virtual", it.name.clone())], it.refused)).collect()
    }),
    counter("packet_translated_packets", "Packets of virtuals of mode siit, by what they became", |status| {
        translated(status, |it| it.packets_to_v4, |it| it.packets_to_v6)
    }),
    counter("packet_translated_bytes", "Bytes of IP datagrams that were translated", |status| {
        translated(status, |it| it.bytes_to_v4, |it| it.bytes_to_v6)
    }),
    counter("packet_translated_refused", "Packets that were not translated", |status| {
        let translators = status.packets.iter().flat_map(|packets| &packets.translators);
        translators.map(|it| (vec![("virtual", it.name.clone())], it.refused)).collect()
    }),
    gauge("snat_ports_leased", "Ports leased now, over all members", |status| {
        floats(snat_pools(status, |it| it.leased))
    }),
    gauge("snat_ports_resting", "Ports that rest until they may be used again", |status| {
        floats(snat_pools(status, |it| it.resting))
    }),
    gauge("snat_ports_least_free", "Ports left where they are fewest", |status| {
        let pools = status.packets.iter().flat_map(|packets| &packets.snat_pools);
        let least = |it: &SnatPoolStatus| Some((vec![("pool", it.name.clone())], it.least_free?.into()));
        pools.filter_map(least).collect()
    }),
    counter("snat_exhausted", "Leases that could not be had", |status| {
        totals(status, |it| it.snat_exhausted)
    }),
    counter("interface_received", "Frames that the packet workers received", |status| {
        interfaces(status, |it| it.received)
    }),
    counter("interface_sent", "Frames that the packet workers sent", |status| {
        interfaces(status, |it| it.sent)
    }),
    counter("interface_copied", "Frames sent that had to be copied", |status| {
        interfaces(status, |it| it.copied)
    }),
    counter("interface_lost", "Frames lost at the packet workers' sockets, by cause", |status| {
        let lost = |cause, count| labelled("cause", cause, interfaces(status, count));
        lost("send-full", |it| it.send_full)
            .chain(lost("receive-full", |it| it.receive_full))
            .chain(lost("no-buffer", |it| it.no_buffer))
            .chain(lost("dropped", |it| it.dropped))
            .collect()
    }),
    counter("steering_frames", "What the XDP program did with frames", |status| {
        let outcomes = status.packets.iter().flat_map(|packets| &packets.steering);
        outcomes.map(|(outcome, count)| (vec![("outcome", outcome.clone())], *count)).collect()
    }),
    gauge("rule_version", "Number of the version that runs; 0 while it is unloaded", |status| {
        floats(rules(status, |it| it.running.unwrap_or(0)))
    }),
    gauge("rule_breaker_open", "1 while the rule is not called because it faulted too often", |status| {
        floats(rules(status, |it| u64::from(it.breaker.as_deref() == Some("open"))))
    }),
    counter("rule_calls", "Hook calls", |status| {
        hooks(status).map(|(labels, hook)| (labels, hook.calls)).collect()
    }),
    counter("rule_faults", "Hook calls that gave no verdict, by kind", |status| {
        let faults = hooks(status).flat_map(|(labels, hook)| {
            let kind = move |(kind, count): (&String, &u64)| {
                ([&labels[..], &[("kind", kind.clone())]].concat(), *count)
            };
            hook.faults.iter().map(kind)
        });
        faults.collect()
    }),
    Family {
        name: "rule_call_seconds",
        help: "How long a hook call takes; one call of sixteen is timed",
        values: Values::Histogram(|status| {
            hooks(status).map(|(labels, hook)| (labels, hook.times.clone())).collect()
        }),
    },
];

const fn counter(
    name: &'static str,
    help: &'static str,
    values: fn(&Status) -> Vec<(Labels, u64)>,
) -> Family {
    Family { name, help, values: Values::Counter(values) }
}

const fn gauge(name: &'static str, help: &'static str, values: fn(&Status) -> Vec<(Labels, f64)>) -> Family {
    Family { name, help, values: Values::Gauge(values) }
}

fn one(value: u64) -> Vec<(Labels, f64)> {
    vec![(Vec::new(), value as f64)]
}

fn floats(values: Vec<(Labels, u64)>) -> Vec<(Labels, f64)> {
    values.into_iter().map(|(labels, value)| (labels, value as f64)).collect()
}

fn virtuals(status: &Status, value: fn(&VirtualStatus) -> u64) -> Vec<(Labels, u64)> {
    status.virtuals.iter().map(|it| (vec![("virtual", it.name.clone())], value(it))).collect()
}

/// Members as the clients of virtuals find them.
fn members_on_path(status: &Status) -> Vec<(Labels, u64)> {
    let pools = status.pools.iter().flat_map(|pool| pool.members.iter().map(move |member| (pool, member)));
    pools
        .flat_map(|(pool, member)| member.on_path.iter().map(move |found| (pool, member, found)))
        .map(|(pool, member, found)| {
            let labels = vec![
                ("virtual", found.virtual_name.clone()),
                ("pool", pool.name.clone()),
                ("member", member.address.clone()),
            ];
            (labels, u64::from(found.health == "up"))
        })
        .collect()
}

fn members(status: &Status, value: fn(&MemberStatus) -> u64) -> Vec<(Labels, u64)> {
    let pools = status.pools.iter().flat_map(|pool| pool.members.iter().map(move |member| (pool, member)));
    pools
        .map(|(pool, member)| {
            (vec![("pool", pool.name.clone()), ("member", member.address.clone())], value(member))
        })
        .collect()
}

fn packets(status: &Status, value: fn(&PacketStatus) -> u64) -> Vec<(Labels, f64)> {
    floats(totals(status, value))
}

fn totals(status: &Status, value: fn(&PacketStatus) -> u64) -> Vec<(Labels, u64)> {
    status.packets.iter().map(|packets| (Vec::new(), value(packets))).collect()
}

fn packet_virtuals(status: &Status, value: fn(&TrafficStatus) -> u64) -> Vec<(Labels, u64)> {
    let virtuals = status.packets.iter().flat_map(|packets| &packets.virtuals);
    virtuals.map(|it| (vec![("virtual", it.name.clone())], value(&it.traffic))).collect()
}

fn translated(
    status: &Status,
    to_v4: fn(&TranslatorStatus) -> u64,
    to_v6: fn(&TranslatorStatus) -> u64,
) -> Vec<(Labels, u64)> {
    let translators = status.packets.iter().flat_map(|packets| &packets.translators);
    let both = |it: &TranslatorStatus| {
        [("ipv4", to_v4(it)), ("ipv6", to_v6(it))]
            .map(|(word, value)| (vec![("virtual", it.name.clone()), ("to", word.to_owned())], value))
    };
    translators.flat_map(both).collect()
}

fn packet_members(status: &Status, value: fn(&TrafficStatus) -> u64) -> Vec<(Labels, u64)> {
    let members = status.packets.iter().flat_map(|packets| &packets.members);
    members
        .map(|it| (vec![("pool", it.pool.clone()), ("member", it.member.clone())], value(&it.traffic)))
        .collect()
}

fn modes(status: &Status, value: fn(&TrafficStatus) -> u64) -> Vec<(Labels, u64)> {
    let modes = status.packets.iter().flat_map(|packets| &packets.modes);
    modes.map(|it| (vec![("mode", it.mode.clone())], value(&it.traffic))).collect()
}

fn snat_pools(status: &Status, value: fn(&SnatPoolStatus) -> u64) -> Vec<(Labels, u64)> {
    let pools = status.packets.iter().flat_map(|packets| &packets.snat_pools);
    pools.map(|it| (vec![("pool", it.name.clone())], value(it))).collect()
}

fn interfaces(status: &Status, value: fn(&InterfaceStatus) -> u64) -> Vec<(Labels, u64)> {
    let interfaces = status.packets.iter().flat_map(|packets| &packets.interfaces);
    interfaces.map(|it| (vec![("interface", it.name.clone())], value(it))).collect()
}

fn directions(to_server: Vec<(Labels, u64)>, to_client: Vec<(Labels, u64)>) -> Vec<(Labels, u64)> {
    labelled("direction", "to-server", to_server)
        .chain(labelled("direction", "to-client", to_client))
        .collect()
}

/// With one more label.
fn labelled(
    name: &'static str,
    value: &'static str,
    values: Vec<(Labels, u64)>,
) -> impl Iterator<Item = (Labels, u64)> {
    values.into_iter().map(move |(mut labels, count)| {
        labels.push((name, value.to_owned()));
        (labels, count)
    })
}

fn all_rules(status: &Status) -> impl Iterator<Item = &RuleStatus> {
    status.rules()
}

fn rules(status: &Status, value: fn(&RuleStatus) -> u64) -> Vec<(Labels, u64)> {
    all_rules(status).map(|it| (vec![("rule", it.name.clone())], value(it))).collect()
}

fn hooks(status: &Status) -> impl Iterator<Item = (Labels, &HookStatus)> {
    all_rules(status).flat_map(|rule| {
        rule.hooks.iter().map(|hook| (vec![("rule", rule.name.clone()), ("hook", hook.hook.clone())], hook))
    })
}

/// The status at one moment.
#[derive(Debug)]
struct Reading(Status);

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for family in families() {
            match family.values {
                Values::Counter(values) => {
                    let mut metric =
                        encoder.encode_descriptor(family.name, family.help, None, MetricType::Counter)?;
                    for (labels, value) in values(&self.0) {
                        metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
                    }
                }
                Values::Gauge(values) => {
                    let mut metric =
                        encoder.encode_descriptor(family.name, family.help, None, MetricType::Gauge)?;
                    for (labels, value) in values(&self.0) {
                        metric.encode_family(&labels)?.encode_gauge(&value)?;
                    }
                }
                Values::Histogram(values) => {
                    let mut metric =
                        encoder.encode_descriptor(family.name, family.help, None, MetricType::Histogram)?;
                    for (labels, times) in values(&self.0) {
                        let Times { seconds, count, buckets } = times;
                        let mut metric = metric.encode_family(&labels)?;
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
        let names: BTreeSet<_> = families().map(|family| family.name).collect();
        assert_eq!(names.len(), families().count());
        for name in names {
            assert!(
                text.lines().any(|line| line.starts_with(&format!("shunt_{name}"))),
                "{name} has no sample"
            );
        }
    }
}
