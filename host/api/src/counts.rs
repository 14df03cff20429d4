//! What is counted, each declared by one row: what it is, its kind, its field.
//!
//! A row is the field of a status with its description in OpenAPI, the metric with its help and its line in the book,
//! and, where the cell is one that a worker writes, the cell.
//!
//! | a row | its metric |
//! |---|---|
//! | `counter requests` | `requests` |
//! | `gauge open => connections_open` | `connections_open`: the metric has another name |
//! | `counter answers[class: "1xx", "2xx"]` | `answers` by `class`: the field is an array |
//! | `counter bytes_to_client => bytes{direction: "to-client"}` | `bytes` by `direction`, of which other fields are other samples |
//!
//! The help of a metric is what its first row says it is, or the text at the end of that row. Before the name comes
//! what the counts are of, such as `shunt_virtual_`, which is where the metrics are put together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts of one virtual, member, interface or the like.
pub trait Counts: Default {
    /// All of them, in the order of the rows.
    fn samples(&self) -> Vec<Sample>;
}

/// One number, and what its row says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Several samples are of one metric, told apart by a label.
    pub metric: &'static str,
    pub kind: Kind,
    /// Without a full stop.
    pub help: &'static str,
    /// Name and value.
    pub label: Option<(&'static str, &'static str)>,
    pub value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// What is so now.
    Gauge,
}

/// Structs of counts. The cells are numbers, or what `C` says: a worker's are atomic.
macro_rules! counts {
    ($(
        $(#[doc = $about:tt])+
        $name:ident {$(
            $(#[doc = $doc:tt])+
            $kind:ident $field:ident $([$axis:ident: $($of:literal),+])?
            $(=> $metric:ident $({$label:ident: $is:literal})? $($help:literal)?)?,
        )+}
    )+) => {$(
        cells! {
            {
                $(#[doc = $about])+
                #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
                #[serde(rename_all = "kebab-case", default)]
                // It reads the defaults of fields.
                #[schemars(bound = "C: JsonSchema + Serialize + Default")]
                pub struct $name<C = u64>
            }
            {}
            $($(#[doc = $doc])+ $field $([$($of),+])?,)+
        }

        impl<C> $name<C> {
            /// All of them added up.
            pub fn sum<'a>(all: impl Iterator<Item = &'a Self> + Clone, read: impl Fn(&C) -> u64) -> $name
            where
                C: 'a,
            {
                $name { $($field: cell!(sum all, read, $field, $([$($of),+])?),)+ }
            }
        }

        impl Counts for $name {
            fn samples(&self) -> Vec<Sample> {
                let mut samples = Vec::new();
                $(
                    let sample = |label, value| Sample {
                        metric: cell!(metric $field, $($metric)?),
                        kind: cell!(kind $kind),
                        help: cell!(help [$($doc),+], $($($help)?)?),
                        label,
                        value,
                    };
                    cell!(samples samples, sample, self.$field, $([$axis: $($of),+])? $($({$label: $is})?)?);
                )+
                samples
            }
        }
    )+};
}

/// A struct, field by field: no derive takes a type that is a macro.
macro_rules! cells {
    ({$($head:tt)+} {$($fields:tt)+}) => { $($head)+ { $($fields)+ } };
    ({$($head:tt)+} {$($fields:tt)*} $(#[doc = $doc:tt])+ $field:ident, $($rest:tt)*) => {
        cells! { {$($head)+} {$($fields)* $(#[doc = $doc])+ pub $field: C,} $($rest)* }
    };
    ({$($head:tt)+} {$($fields:tt)*} $(#[doc = $doc:tt])+ $field:ident [$($of:literal),+], $($rest:tt)*) => {
        cells! {
            {$($head)+} {$($fields)* $(#[doc = $doc])+ pub $field: [C; [$($of),+].len()],} $($rest)*
        }
    };
}

/// The parts of a row that depend on what it leaves out.
macro_rules! cell {
    (sum $all:ident, $read:ident, $field:ident,) => { $all.clone().map(|it| $read(&it.$field)).sum() };
    (sum $all:ident, $read:ident, $field:ident, [$($of:literal),+]) => {
        std::array::from_fn(|at| $all.clone().map(|it| $read(&it.$field[at])).sum())
    };
    (metric $field:ident,) => { stringify!($field) };
    (metric $field:ident, $metric:ident) => { stringify!($metric) };
    (kind counter) => { Kind::Counter };
    (kind gauge) => { Kind::Gauge };
    (help [$($doc:tt),+],) => { concat!($($doc),+).trim().trim_end_matches('.') };
    (help [$($doc:tt),+], $help:literal) => { $help };
    (samples $samples:ident, $sample:ident, $value:expr,) => { $samples.push($sample(None, $value)) };
    (samples $samples:ident, $sample:ident, $value:expr, {$label:ident: $is:literal}) => {
        $samples.push($sample(Some((stringify!($label), $is)), $value))
    };
    (samples $samples:ident, $sample:ident, $values:expr, [$label:ident: $($of:literal),+]) => {
        $samples.extend([$($of),+].into_iter().zip($values).map(|(of, value)| {
            $sample(Some((stringify!($label), of)), value)
        }))
    };
}

counts! {
    /// What is counted of a virtual of the proxy.
    VirtualCounts {
        /// Connections accepted.
        counter connections,
        /// Connections open now.
        gauge open => connections_open,
        /// Connections refused: too many, or by a rule.
        counter refused => connections_refused,
        /// Requests that got 503 because `limits.requests` was reached.
        counter requests_refused,
        /// Requests, connections and sessions refused because the process is at `max-memory`.
        counter overloaded,
        /// Times that accepting paused because descriptors or memory were used up.
        counter accept_pauses,
        /// Requests sent again to another member, and members tried after one that could not be connected to.
        counter retries,
        /// Requests not sent again because the pool's `retry` has a budget, or a limit, that was used up.
        counter retries_withheld,
        /// TLS handshakes that failed.
        counter handshakes_failed,
        /// TLS connections passed through to a member.
        counter passed_through => connections_passed_through,
        /// Connections closed because they do not begin with a valid PROXY header.
        counter proxy_headers_refused,
        /// Requests whose head was read.
        counter requests,
        /// Responses by the class of their status, from 1xx to 5xx.
        counter answers[class: "1xx", "2xx", "3xx", "4xx", "5xx"],
        /// Responses that Shunt made in a member's place because of an error, and relayed connections that got no member.
        counter errors,
        /// Requests and connections whose client is bound to a member that is down or disabled, by what became of them.
        counter persistence_down[then: "reselected", "refused", "waited"],
        /// ClientHellos with a session that no member is known to have begun, where `tls-session` looks for it.
        counter tls_sessions_unknown,
        /// Requests and connections that went straight to the address that the client connected to.
        counter straight,
        /// Connections refused because they are Shunt's own to such addresses, and came back to it.
        counter loops => connections_looped,
        /// Relayed connections reset because neither side sent anything for `timeouts.idle`.
        counter relays_idle,
        /// Bytes of relayed connections that are held now for rules with `on-data`.
        gauge data_held => data_held_bytes,
        /// Times that such a rule was called with less than it had asked for, because more did not come within `timeouts.data`.
        counter data_late,
        /// Times that such a rule was called with as much as `limits.data` allows to hold.
        counter data_full,
        /// How long relayed connections were open that have ended, in milliseconds.
        counter relay_milliseconds,
        /// Datagrams that clients of a UDP virtual sent.
        counter datagrams_to_server => datagrams{to: "server"} "Datagrams of UDP virtuals, by where they go",
        /// Answers to them.
        counter datagrams_to_client => datagrams{to: "client"},
        /// Datagrams that went no further: no member, no room, refused.
        counter datagrams_lost,
        /// Answers of HTTP/1 cut off because the client took nothing of them for `timeouts.idle`.
        counter http1_stalled => http1_answers_stalled,
        /// Streams of HTTP/2 clients refused before they were requests: malformed, too large, too many.
        counter http2_refused => http2_streams_refused,
        /// Streams of HTTP/2 ended because the client took nothing of the answer for `timeouts.idle`.
        counter http2_stalled => http2_streams_stalled,
        /// HTTP/2 connections closed because of what their client sent too much of.
        counter http2_floods[of: "resets", "settings", "pings", "empty-frames", "continuations", "heads", "others"],
    }

    /// What is counted of a member where the proxy sends requests to it.
    MemberCounts {
        /// Requests sent to the member.
        counter requests,
        /// Connections opened to it.
        counter connects,
        /// Connects that failed.
        counter connects_failed,
        /// Addresses of `source` that no connection to it could come from, by cause.
        counter sources_failed[cause: "not-own", "no-port", "other-family", "not-permitted"],
        /// Selections of the member that a rule vetoed.
        counter vetoed,
        /// Responses that were missing, late or incomplete.
        counter failures,
        /// HTTP/2 connections to it that an error ended.
        counter http2_broken => http2_connections_broken,
        /// Requests that it said it had not processed: REFUSED_STREAM, or GOAWAY with a lower stream.
        counter http2_unprocessed => http2_streams_unprocessed,
        /// Streams of HTTP/2 that it reset for another reason before the answer was whole.
        counter http2_resets => http2_streams_reset,
        /// Requests that waited for room on its HTTP/2 connections until `timeouts.connect` was over.
        counter http2_no_room,
        /// WebSockets that it does not take by HTTP/2, which its pool has for `protocol`.
        counter http2_no_websocket => websockets_not_taken,
        /// Bytes of response bodies, and of what is relayed to clients unread.
        counter bytes_to_client => response_bytes,
        /// Bytes of request bodies, and of what is relayed to the member unread.
        counter bytes_to_server => request_bytes,
    }

    /// What is counted of the bindings of a pool.
    BindingCounts {
        /// Bindings in the table now, expired ones that no sweep has met among them.
        gauge entries,
        /// Lookups that found a member.
        counter hits,
        /// Lookups that found none.
        counter misses,
        /// Bindings that ended because they were not used for their time-out.
        counter expired,
        /// Bindings that gave way to new ones because the table was full.
        counter evicted,
        /// Keys that could not be bound.
        counter refused,
        /// Percent of the look-ups that are of the key with the most, rounded down; 0 until there were some thousand.
        gauge largest_percent,
    }

    /// What is counted of a table of a rule.
    TableCounts {
        /// Entries in the table now, expired ones that no sweep has met among them.
        gauge entries,
        /// Bytes that the entries take.
        gauge bytes,
        /// Entries whose time was over.
        counter expired,
        /// Entries that gave way to new ones because the table was full.
        counter evicted,
        /// Entries for which there was no room.
        counter refused,
    }

    /// What is counted of all packet workers together.
    PacketCounts {
        /// Flows of packet virtuals now.
        gauge flows,
        /// Bytes that flows, their timers and ports take, and fragments.
        gauge memory => memory_bytes,
        /// Packets that wait for a next hop now.
        gauge held,
        /// Fragments that wait for the first one of their packet now.
        gauge fragments_held,
        /// Frames received.
        counter received,
        /// Frames handed over from one packet worker to another.
        counter handed_over,
        /// Replies for Shunt's addresses: ARP, neighbour discovery, ICMP echo.
        counter answered,
        /// Resets and ICMP errors not sent, beyond the rate limit.
        counter answers_withheld,
        /// Frames whose checksum the sender left unfinished, and Shunt finished.
        counter checksums_finished,
    }

    /// Traffic of flows: of a packet virtual, a member or a mode.
    TrafficCounts {
        /// Flows now.
        gauge active => flows_active,
        /// Flows ever.
        counter flows,
        /// Packets forwarded to the server.
        counter packets_to_server => packets{direction: "to-server"} "Packets forwarded, by direction",
        /// Bytes of IP datagrams forwarded to the server.
        counter bytes_to_server => bytes{direction: "to-server"} "Bytes of IP datagrams forwarded, by direction",
        /// Packets forwarded to the client: 0 in modes in which replies do not come through Shunt.
        counter packets_to_client => packets{direction: "to-client"},
        /// Bytes of IP datagrams forwarded to the client.
        counter bytes_to_client => bytes{direction: "to-client"},
    }

    /// What is counted of a packet virtual beside its traffic.
    PacketVirtualCounts {
        /// First packets for which no flow was made.
        counter refused,
        /// New flows of clients that are bound to a member that is down or disabled, by what became of them.
        counter persistence_down[then: "reselected", "refused"],
    }

    /// What is counted of a virtual of mode `siit`.
    TranslatorCounts {
        /// Packets that became IPv4.
        counter packets_to_v4 => packets{to: "ipv4"} "Packets of virtuals of mode siit, by what they became",
        /// Bytes of IP datagrams that became IPv4.
        counter bytes_to_v4 => bytes{to: "ipv4"} "Bytes of IP datagrams that were translated",
        /// Packets that became IPv6.
        counter packets_to_v6 => packets{to: "ipv6"},
        /// Bytes of IP datagrams that became IPv6.
        counter bytes_to_v6 => bytes{to: "ipv6"},
        /// Packets that were not translated.
        counter refused,
    }

    /// What is counted of an SNAT pool.
    SnatPoolCounts {
        /// Ports leased now, over all members.
        gauge leased => ports_leased,
        /// Ports in quarantine, not leased again yet.
        gauge resting => ports_resting,
    }

    /// What is counted of all SNAT pools together.
    SnatCounts {
        /// Leases refused because no port was free, of all SNAT pools.
        counter snat_exhausted => exhausted,
    }

    /// What is counted of an interface with packet workers.
    InterfaceCounts {
        /// Frames that the packet workers received.
        counter received,
        /// Frames that the packet workers sent.
        counter sent,
        /// Frames sent that had to be copied.
        counter copied,
        /// Not sent: the interface took no more.
        counter send_full => lost{cause: "send-full"} "Frames lost at the packet workers' sockets, by cause",
        /// Lost: the workers did not take frames fast enough.
        counter receive_full => lost{cause: "receive-full"},
        /// Lost: no buffer was free.
        counter no_buffer => lost{cause: "no-buffer"},
        /// Lost: larger than a buffer.
        counter dropped => lost{cause: "dropped"},
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn cells_add_up() {
        let shard = |open, ok| VirtualCounts {
            open: Cell::new(open),
            answers: [0, ok, 0, 0, 0].map(Cell::new),
            ..VirtualCounts::default()
        };
        let shards = [shard(2, 10), shard(3, 1)];
        let sum = VirtualCounts::sum(shards.iter(), Cell::get);
        assert_eq!(sum, VirtualCounts { open: 5, answers: [0, 11, 0, 0, 0], ..VirtualCounts::default() });
    }

    #[test]
    fn a_row_says_name_help_and_labels() {
        let counts = VirtualCounts { open: 7, answers: [0, 0, 0, 4, 5], ..VirtualCounts::default() };
        let samples = counts.samples();
        let help = "Connections open now";
        assert!(samples.contains(&Sample {
            metric: "connections_open",
            kind: Kind::Gauge,
            help,
            label: None,
            value: 7,
        }));
        let answers = samples.iter().filter(|it| it.metric == "answers");
        let answers: Vec<_> = answers.map(|it| (it.label, it.value)).collect();
        assert_eq!(answers[3..], [(Some(("class", "4xx")), 4), (Some(("class", "5xx")), 5)]);

        let lost = InterfaceCounts { no_buffer: 9, ..InterfaceCounts::default() }.samples();
        let lost: Vec<_> = lost.iter().filter(|it| it.metric == "lost").collect();
        assert_eq!(lost[0].help, "Frames lost at the packet workers' sockets, by cause");
        assert_eq!((lost[2].label, lost[2].value), (Some(("cause", "no-buffer")), 9));
    }
}
