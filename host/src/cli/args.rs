//! What can be written on the command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use shunt_engine::flow::FlowId;
use shunt_rules::artefact::Reference;

use super::failure::EXIT_CODES;
use super::pack::PackCommand;
use crate::control::RuleName;

/// Shunt, a load balancer that you program.
#[derive(Debug, Parser)]
#[command(name = "shunt", version, after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// The daemon's admin socket; default: SHUNT_SOCKET, then /run/shunt/admin.sock
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,

    /// The format of results and errors
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Format,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // For people.
    Text,
    // For programs, as the admin interface sends it.
    Json,
}

impl Arguments {
    /// Where the daemon's admin socket is.
    pub(super) fn client_socket(&self) -> PathBuf {
        let named = std::env::var_os(SOCKET).filter(|path| !path.is_empty()).map(PathBuf::from);
        self.socket.clone().or(named).unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))
    }
}

impl Command {
    /// The name of a command that asks no daemon, and has no use for its socket.
    pub(super) fn asks_nobody(&self) -> Option<&'static str> {
        match self {
            Command::Check { .. } => Some("check"),
            Command::Rule(RuleCommand::New { .. }) => Some("rule new"),
            Command::Rule(RuleCommand::Build { .. }) => Some("rule build"),
            Command::Rule(RuleCommand::Test { .. }) => Some("rule test"),
            Command::Pack(command) => Some(command.name()),
            Command::Explain(ExplainArgs {
                request: Some(ExplainCommand::Http(RequestArgs { config: Some(_), .. })),
                ..
            }) => Some("explain http --config"),
            _ => None,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon until SIGTERM
    ///
    /// SIGHUP reads the configuration again, as `shunt reload` does, and makes the admin socket again
    /// if its file is gone. SIGTERM, SIGINT and SIGQUIT stop accepting and wait for requests and flows in
    /// flight, at most for `process.drain`; a second one ends at once. While it waits, `shunt status`
    /// shows what is open. Other signals are logged and do not end it.
    ///
    /// `--socket` is the path of the admin socket, in place of `admin.socket`.
    ///
    /// SHUNT_LOG sets the level of the log: off, error, warn, info (the default), debug, trace, or a
    /// filter of targets and levels such as `info,rule=debug`.
    #[command(verbatim_doc_comment)]
    Run {
        /// The configuration: a TOML file, or a folder of them
        #[arg(short, long, value_name = "PATH", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
    /// Check a configuration and the files that it names, without privileges and without changing anything
    Check {
        /// The configuration: a TOML file, or a folder of them
        #[arg(value_name = "PATH", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
    /// Show what runs: virtuals, pools and rules with their counters
    Status,
    /// Read the configuration again and apply it; change nothing if it has an error
    Reload(Allowing),
    /// Load, list, show, roll back and unload rules; write, build and test packs
    #[command(subcommand)]
    Rule(RuleCommand),
    /// Build, inspect, compare, sign and verify packs, and push them to registries, without a daemon
    #[command(subcommand)]
    Pack(PackCommand),
    /// Show pools, and say which of their members come first
    #[command(subcommand)]
    Pool(PoolCommand),
    /// Drain, disable and enable members of pools
    #[command(subcommand)]
    Member(MemberCommand),
    /// List, show and delete flows of packet virtuals
    #[command(subcommand)]
    Flow(FlowCommand),
    /// List, show and delete bindings of clients to members
    #[command(subcommand)]
    Persistence(PersistenceCommand),
    /// List tables of rules and their entries; get, set and delete entries
    #[command(subcommand)]
    Table(TableCommand),
    /// List, set and reset the flags of rules
    #[command(subcommand)]
    Flag(FlagCommand),
    /// List, show, replace and test the sets of rules
    #[command(subcommand)]
    Set(SetCommand),
    /// Trace how a packet or a request would be handled, and why
    ///
    /// `explain http` is for requests to proxy virtuals. Without it, each stage is shown that such a packet would
    /// pass now at a packet virtual, with what it finds, and for each member of the pool why it is chosen or not.
    /// Changes no flow, binding, port or limit, but calls the rules. Write addresses with their ports, and for
    /// icmp (an echo request) without:
    ///
    ///   shunt explain tcp 192.0.2.7:40000 203.0.113.1:80
    ///   shunt explain tcp 192.0.2.7:40000 '>' 203.0.113.1:80 --flags SA --interface eth0
    ///   shunt explain icmp 2001:db8::7 2001:db8:f::1
    ///   shunt explain --hex '45 00 00 1c …'
    ///   shunt explain http http://203.0.113.1/cart -H 'X-Beta: 1'
    #[command(verbatim_doc_comment)]
    Explain(ExplainArgs),
    /// Check whether this host is set up for packet virtuals; needs no daemon
    ///
    /// Reports each problem with what to do about it. Exit code 1 if there is any.
    #[command(verbatim_doc_comment)]
    Doctor {
        /// The configuration: a TOML file, or a folder of them
        #[arg(value_name = "PATH", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
}

/// The variable of the environment that names the admin socket for commands.
const SOCKET: &str = "SHUNT_SOCKET";

const DEFAULT_SOCKET: &str = "/run/shunt/admin.sock";

pub(super) const DEFAULT_CONFIG: &str = shunt_config::DEFAULT_PATH;

#[derive(Debug, Subcommand)]
pub(super) enum RuleCommand {
    /// Load a version of a rule; it applies to new flows and requests
    ///
    /// Shunt checks it first: the policies for packs, the versions that ran, and what it may do; then the
    /// component, its imports, its hooks against the virtual, slots, settings, the rule's own check of its
    /// settings, and the cases of a pack file. A rule that does not pass changes nothing.
    #[command(verbatim_doc_comment)]
    Load {
        /// The rule, as in the configuration: shop/canary
        #[arg(value_name = "VIRTUAL/RULE")]
        rule: RuleName,
        /// A pack folder that was built, or the file that `shunt pack build` or `shunt rule build` wrote
        #[arg(required_unless_present = "reference")]
        pack: Option<PathBuf>,
        /// In place of a file: a pack that the daemon gets from a registry, registry.example/team/canary:1.2.0
        #[arg(long = "pack", value_name = "REFERENCE", conflicts_with = "pack")]
        reference: Option<Reference>,
        #[command(flatten)]
        allowed: Allowing,
    },
    /// List rules with the versions that are kept
    List,
    /// Show a rule: where its versions came from, who signed them, and how its hooks do
    Show {
        /// The rule, as in the configuration: shop/canary
        #[arg(value_name = "VIRTUAL/RULE")]
        rule: RuleName,
    },
    /// Follow the requests of a virtual as they are served, with what its rules do
    ///
    /// Shows each request once the head of its answer is there: what each rule reads, changes and returns, and
    /// how long each call takes, by what the client is known, and why its member was chosen. Ends by itself.
    /// No request waits for it: those that come faster than they are shown are served, and counted at the end.
    ///
    ///   shunt rule trace --virtual shop --match 'path=/cart*' --match client=192.0.2.0/24
    #[command(verbatim_doc_comment)]
    Trace(TraceArgs),
    /// Roll a rule back to the version that ran before, or to the one given by `--to`
    ///
    /// Undoes the last step: a load, an unload, a reload that applied another version, or a
    /// rollback with `--to`. Each further rollback undoes the step before.
    #[command(verbatim_doc_comment)]
    Rollback {
        /// The rule, as in the configuration: shop/canary
        #[arg(value_name = "VIRTUAL/RULE")]
        rule: RuleName,
        /// The number of the version, as the list shows it
        #[arg(long, value_name = "NUMBER", value_parser = number::<u64>)]
        to: Option<u64>,
    },
    /// Unload a rule from its virtual; `load` and `rollback` bring it back
    Unload {
        /// The rule, as in the configuration: shop/canary
        #[arg(value_name = "VIRTUAL/RULE")]
        rule: RuleName,
    },
    /// Say which lines of a rule are written to the log
    ///
    /// From this level on, whatever SHUNT_LOG says. It stays over reloads and versions of the rule, and
    /// ends with the process.
    #[command(verbatim_doc_comment)]
    Log {
        /// The rule, as in the configuration: shop/canary
        #[arg(value_name = "VIRTUAL/RULE")]
        rule: RuleName,
        /// `default`: as of other lines
        level: LineLevel,
    },
    /// Create the folder of a new pack, with a rule that builds and cases that pass
    New {
        /// The folder to create; its last part names the pack
        #[arg(value_name = "NAME")]
        folder: PathBuf,
        /// The SDK: `vendored` (its sources, copied into the pack), a version, a git URL (URL#TAG) or a folder; default: vendored
        #[arg(long, value_name = "SDK")]
        sdk: Option<String>,
    },
    /// Compile a pack to DIR/dist/NAME.wasm
    Build {
        /// The pack's folder
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
    },
    /// Run the cases of a pack on the rule host, without a daemon
    Test {
        /// The pack's folder
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LineLevel {
    Error,
    Warn,
    Info,
    Debug,
    Default,
}

/// What is refused unless it is written.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Allowing {
    /// Run a version that is older than the highest that ran at the rule
    #[arg(long)]
    pub(super) allow_downgrade: bool,
    /// Run a version that asks for more than what ran at the rule
    #[arg(long)]
    pub(super) accept_grants: bool,
}

impl Allowing {
    /// As the admin interface takes it.
    pub(super) fn query(self) -> Vec<(&'static str, String)> {
        let all = [("allow-downgrade", self.allow_downgrade), ("accept-grants", self.accept_grants)];
        all.into_iter().filter(|(_, is)| *is).map(|(name, is)| (name, is.to_string())).collect()
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum PoolCommand {
    /// List pools with their members
    List,
    /// Move members to other priority groups, at once
    Priority {
        /// The pool's name
        pool: String,
        /// The member's address and port, and its priority: 10.0.0.1:80=10
        #[arg(
            value_name = "ADDRESS:PORT=PRIORITY", value_parser = member_priority,
            required_unless_present = "configured"
        )]
        priorities: Vec<(SocketAddr, u16)>,
        /// Give all members their configured priorities
        #[arg(long, conflicts_with = "priorities")]
        configured: bool,
    },
    /// Use the highest priority groups again that have enough usable members
    FailBack {
        /// The pool's name
        pool: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum MemberCommand {
    /// Drain a member: it gets no new clients, and keeps those bound to it
    Drain(MemberName),
    /// Enable a member again
    Enable(MemberName),
    /// Disable a member: it gets no clients
    Disable(MemberName),
}

#[derive(Debug, Subcommand)]
pub(super) enum PersistenceCommand {
    /// List bindings of a pool: by source address, by session and by a rule's key; cookies are with the clients
    List {
        /// The pool's name
        pool: String,
        /// Only those to this member: 10.0.0.1:80
        #[arg(long, value_name = "ADDRESS:PORT", value_parser = address_and_port)]
        member: Option<SocketAddr>,
        /// List at most so many
        #[arg(long, default_value_t = 100, value_parser = number::<usize>)]
        limit: usize,
    },
    /// Show the bindings of a key
    Show {
        /// The pool's name
        pool: String,
        /// As the list shows it, or what the application calls the session
        key: String,
    },
    /// Delete the bindings of a key; its client is bound anew
    Delete {
        /// The pool's name
        pool: String,
        /// As the list shows it, or what the application calls the session
        key: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TableCommand {
    /// List tables; or the entries of one, by pages
    List {
        /// The virtual and the rule
        #[arg(value_name = "VIRTUAL/RULE")]
        rule: Option<RuleName>,
        /// The table, as the pack declares it; its entries are listed
        table: Option<String>,
        /// Begin where the page before ended
        #[arg(long, value_name = "PLACE", requires = "table")]
        after: Option<String>,
        /// List at most so many entries
        #[arg(long, default_value_t = 100, value_parser = number::<usize>)]
        limit: usize,
    },
    /// Show the value of an entry
    Get {
        /// The virtual and the rule
        #[arg(value_name = "VIRTUAL/RULE")]
        rule: RuleName,
        /// The table, as the pack declares it
        table: String,
        /// As the list shows it
        key: String,
    },
    /// Put an entry into a table of values or of counters
    Set {
        /// The virtual and the rule
        #[arg(value_name = "VIRTUAL/RULE")]
        rule: RuleName,
        /// The table, as the pack declares it
        table: String,
        /// As the list shows it
        key: String,
        /// Text, or 0x and pairs of hexadecimal digits; of counters an integer
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Delete an entry
    Delete {
        /// The virtual and the rule
        #[arg(value_name = "VIRTUAL/RULE")]
        rule: RuleName,
        /// The table, as the pack declares it
        table: String,
        /// As the list shows it
        key: String,
    },
    /// Delete all entries of a table
    Clear {
        /// The virtual and the rule
        #[arg(value_name = "VIRTUAL/RULE")]
        rule: RuleName,
        /// The table, as the pack declares it
        table: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum FlagCommand {
    /// List the flags of the rules that run
    List,
    /// Set a flag; the next call of its rule finds it
    ///
    /// It stays over reloads and versions of the rule, and ends with the process.
    #[command(verbatim_doc_comment)]
    Set {
        #[command(flatten)]
        flag: FlagName,
        /// `true` or `false`, a whole number, or a text, as the flag's default is
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Give a flag its default
    Reset {
        #[command(flatten)]
        flag: FlagName,
    },
}

#[derive(Debug, Args)]
pub(super) struct FlagName {
    /// The rule, as in the configuration: shop/colour
    #[arg(value_name = "VIRTUAL/RULE")]
    pub(super) rule: RuleName,
    /// The flag, as in its pack
    #[arg(value_name = "FLAG")]
    pub(super) name: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum SetCommand {
    /// List the sets of the rules that run
    List,
    /// Show a set
    Show {
        #[command(flatten)]
        set: SetName,
    },
    /// Replace what is in a set by the lines of a file, as a whole; the next look-up finds them
    ///
    /// They stay over reloads until the configuration has other lines for the set, and end with the
    /// process.
    #[command(verbatim_doc_comment)]
    Load {
        #[command(flatten)]
        set: SetName,
        /// A line for each entry, with its value behind a space
        file: PathBuf,
    },
    /// Show what a text, or an address, finds in a set; exit code 1 if nothing
    Test {
        #[command(flatten)]
        set: SetName,
        /// The text, or the address
        text: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct SetName {
    /// The rule, as in the configuration: shop/deny
    #[arg(value_name = "VIRTUAL/RULE")]
    pub(super) rule: RuleName,
    /// The set, as in its pack
    #[arg(value_name = "SET")]
    pub(super) name: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum FlowCommand {
    /// List flows
    List(FlowFilter),
    /// Show a flow, and what is done to its packets
    Show {
        /// The id that `shunt flow list` shows
        #[arg(value_parser = flow_id)]
        id: FlowId,
    },
    /// Delete a flow; both ends of a TCP connection get a reset, if its replies come through Shunt
    Delete {
        /// The id that `shunt flow list` shows
        #[arg(value_parser = flow_id)]
        id: FlowId,
    },
}

#[derive(Debug, Args)]
pub(super) struct FlowFilter {
    /// Only flows of this virtual
    #[arg(long = "virtual", value_name = "NAME")]
    pub(super) virtual_name: Option<String>,
    /// Only flows of this client
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(super) client: Option<IpAddr>,
    /// Only flows to this member: 10.0.0.1:80
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address_and_port)]
    pub(super) member: Option<SocketAddr>,
    /// Only flows in this mode: nat, snat, route, l2dsr, l3dsr-dscp, l3dsr-ipip, l3dsr-gre or l3dsr-gue
    #[arg(long)]
    pub(super) mode: Option<String>,
    /// Only flows in this state, as the list shows it
    #[arg(long)]
    pub(super) state: Option<String>,
    /// List at most so many flows
    #[arg(long, default_value_t = 100, value_parser = number::<usize>)]
    pub(super) limit: usize,
}

#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    /// The virtual's name
    #[arg(long = "virtual", value_name = "NAME")]
    pub(super) virtual_name: String,
    /// Only such: path=PATTERN, host=PATTERN, method=METHOD, client=ADDRESS or client=PREFIX; all have to match
    #[arg(long = "match", value_name = "WHAT=VALUE", value_parser = matching)]
    pub(super) matching: Vec<(String, String)>,
    /// How many requests at most
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(super) count: u32,
    /// For how long at most: 30s, 5m
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = seconds)]
    pub(super) seconds: u64,
}

fn matching(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((what @ ("path" | "host" | "method" | "client"), value)) if !value.is_empty() => {
            Ok((what.to_owned(), value.to_owned()))
        }
        _ => Err("write path=, host=, method= or client= and what it is".to_owned()),
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let times = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("write a time such as 30s, 5m or 1h".to_owned()),
    };
    let number = number.parse::<u64>().map_err(|_| "write a time such as 30s, 5m or 1h".to_owned())?;
    number.checked_mul(times).ok_or_else(|| "that is too long".to_owned())
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ExplainArgs {
    #[command(subcommand)]
    pub(super) request: Option<ExplainCommand>,
    #[command(flatten)]
    pub(super) packet: PacketArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum ExplainCommand {
    /// Trace how a request would be handled, and why
    ///
    /// The request passes the code that serves requests, on copies of what it would change: nothing is sent to
    /// a member, counted, bound or logged. Shown are the virtual, TLS, each rule with what it read, changed
    /// and returned, persistence, each member with why it is chosen or not, and the request as the member
    /// would get it. Flags are those of curl where curl has them:
    ///
    ///   shunt explain http https://shop.example/cart -H 'X-Beta: 1' --to 203.0.113.1:443
    ///   shunt explain http http://127.0.0.1:8080/login -d user=a --from 192.0.2.7
    ///   shunt explain http http://127.0.0.1:8080/ --config next.toml
    #[command(verbatim_doc_comment)]
    Http(RequestArgs),
}

#[derive(Debug, Args)]
pub(super) struct RequestArgs {
    /// The URL, with http:// or https://
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// The method; default: GET, and POST with --data
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub(super) method: Option<String>,
    /// A field of the request, 'Name: value'; may be given several times
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    pub(super) headers: Vec<String>,
    /// The body of the request
    #[arg(short = 'd', long, value_name = "TEXT")]
    pub(super) data: Option<String>,
    /// Speak HTTP/1.1 alone; default over TLS: as ALPN agrees
    #[arg(long = "http1.1", conflicts_with = "http2")]
    pub(super) http1: bool,
    /// Speak HTTP/2 alone; without TLS by prior knowledge
    #[arg(long = "http2")]
    pub(super) http2: bool,
    /// The client: an address, or an address and port
    #[arg(long, value_name = "ADDRESS")]
    pub(super) from: Option<String>,
    /// Address and port that the client connects to; default: those of the URL, or what listens on its port
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) to: Option<String>,
    /// A configuration that does not run, in place of the daemon's: a TOML file, or a folder of them
    #[arg(long, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PacketArgs {
    /// tcp, udp or icmp, the source, and the destination
    #[arg(value_name = "PACKET", required_unless_present = "hex", num_args = 1..=4)]
    pub(super) packet: Vec<String>,
    /// TCP flags, one letter each: S, A, F, R, P; default: S
    #[arg(long, conflicts_with = "hex")]
    pub(super) flags: Option<String>,
    /// In place of PACKET: the bytes of an Ethernet frame or an IP datagram
    #[arg(long, value_name = "BYTES", conflicts_with = "packet")]
    pub(super) hex: Option<String>,
    /// The interface that receives the packet; default: the one with the route to its source
    #[arg(long, value_name = "NAME")]
    pub(super) interface: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct MemberName {
    /// The pool's name
    pub(super) pool: String,
    /// The member's address and port: 10.0.0.1:80
    #[arg(value_parser = address_and_port)]
    pub(super) address: SocketAddr,
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "write an address, such as 192.0.2.7 or 2001:db8::7".to_owned())
}

fn member_priority(text: &str) -> Result<(SocketAddr, u16), String> {
    let (address, priority) =
        text.rsplit_once('=').ok_or("write a member and its priority, such as 10.0.0.1:80=10")?;
    let priority = priority.parse().map_err(|_| "write a priority from 0 to 65535".to_owned())?;
    Ok((address_and_port(address)?, priority))
}

fn address_and_port(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write an address and a port, such as 10.0.0.1:80 or [2001:db8::1]:80".to_owned())
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "write a whole number".to_owned())
}

fn flow_id(text: &str) -> Result<FlowId, String> {
    text.parse().map_err(|_| "write the id as `shunt flow list` shows it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_hold_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_options_stand_anywhere() {
        for words in [
            ["shunt", "-o", "json", "--socket", "/s", "rule", "list"],
            ["shunt", "rule", "list", "--socket", "/s", "--output", "json"],
        ] {
            let arguments = Arguments::try_parse_from(words).unwrap();
            assert_eq!((arguments.output, arguments.socket), (Format::Json, Some(PathBuf::from("/s"))));
        }
    }
}
