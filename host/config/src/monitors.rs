//! Kinds of monitors. Each is a file beside this one, with its keys and what they say, and a row in the table below;
//! how it asks is in the file of the same name of the daemon's monitors.

mod agent;
mod dns;
mod exec;
mod expected;
mod grpc;
mod http;
mod ping;
mod rule;
mod script;
mod service;
mod settings;
mod sip;
mod tcp;
mod tls;
mod udp;

use shunt_engine::datapath::Transport;

use super::walk::Table;

pub use agent::Agent;
pub use dns::{CODES as DNS_CODES, Dns};
pub use exec::Exec;
pub use expected::Expected;
pub use grpc::Grpc;
pub use http::{Http, HttpVersion};
pub use ping::Ping;
pub use rule::{Over, Rule};
pub use script::{Script, Step};
pub use service::{Protocol, Service};
pub use settings::{Monitor, Origin, Start, Target};
pub use sip::Sip;
pub use tcp::Tcp;
pub use tls::Tls;
pub use udp::Udp;

use expected::expected;

/// What a kind of monitors is to the configuration.
trait Kind: Sized {
    /// The key that asks for it.
    const KEY: &'static str;
    /// Keys that mean something beside that one only.
    const MORE: &'static [&'static str] = &[];
    /// Whether what it asks is of a port.
    const HAS_PORT: bool = true;
    /// Whether it can send packets of a given length.
    const HAS_SIZE: bool = false;

    /// Reads the key and those beside it.
    fn read(table: &mut Table<'_>) -> Option<Self>;

    /// Whether a virtual of this transport lets it through.
    fn passes(transport: Transport) -> bool;

    /// The same of this one, where its keys decide.
    fn is_passed(&self, transport: Transport) -> bool {
        Self::passes(transport)
    }
}

/// Writes the enum of all kinds, and what is asked of each, from the rows.
macro_rules! monitors {
    ($($(#[$doc:meta])* $kind:ident;)+) => {
        /// What a probe does.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Probe {
            $($(#[$doc])* $kind($kind),)+
        }

        impl Probe {
            /// The keys, of which exactly one asks for a probe.
            pub(super) const KEYS: &[&str] = &[$($kind::KEY),+];

            /// The key that asks for it.
            pub const fn as_str(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $kind::KEY,)+
                }
            }

            /// Whether what it asks is of a port.
            pub const fn has_port(&self) -> bool {
                match self {
                    $(Self::$kind(_) => $kind::HAS_PORT,)+
                }
            }

            /// Whether it can send packets of a given length.
            pub(super) const fn has_size(&self) -> bool {
                match self {
                    $(Self::$kind(_) => $kind::HAS_SIZE,)+
                }
            }

            /// Whether a virtual of this transport lets it through.
            pub fn passes(&self, transport: Transport) -> bool {
                match self {
                    $(Self::$kind(it) => it.is_passed(transport),)+
                }
            }

            /// The keys of the kinds that a virtual of this transport lets through.
            pub(super) fn passing(transport: Transport) -> Vec<&'static str> {
                let all = [$(($kind::KEY, $kind::passes(transport))),+];
                all.into_iter().filter(|(_, passes)| *passes).map(|(key, _)| key).collect()
            }
        }

        /// Reads the keys of all kinds, of which one may be written.
        pub(super) fn read(table: &mut Table<'_>) -> Option<Probe> {
            let mut probe = None;
            $(
                let read = $kind::read(table).map(Probe::$kind);
                probe = probe.or(read);
            )+
            table.exactly_one(Probe::KEYS);
            $(
                let others = || Probe::KEYS.iter().filter(|key| **key != $kind::KEY);
                if !$kind::MORE.is_empty() && others().any(|key| table.wrote(key)) {
                    table.only_with($kind::MORE, $kind::KEY);
                }
            )+
            probe
        }
    };
}

monitors! {
    /// `tcp = true`: the member must accept a connection.
    Tcp;
    /// `http = "/path"`: a request must get a status of `expect`.
    Http;
    /// `tls = {}`: a TLS handshake must succeed.
    Tls;
    /// `script = […]`: a conversation must go as it is written.
    Script;
    /// `service = "smtp"`: a server of a known protocol must greet.
    Service;
    /// `grpc = {}`: the health service of gRPC must say SERVING.
    Grpc;
    /// `udp = { send = "…", expect = "…" }`: a datagram must get a reply.
    Udp;
    /// `dns = { name = "…" }`: a query must get a response.
    Dns;
    /// `sip = "udp"`: an OPTIONS request must get a response.
    Sip;
    /// `ping = true`: an ICMP echo request must get a reply.
    Ping;
    /// `exec = ["/path", …]`: a program must succeed.
    Exec;
    /// `agent = { port = … }`: an agent of the member says how it is.
    Agent;
    /// `rule = { … }`: a rule judges what the member says.
    Rule;
}
