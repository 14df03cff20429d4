//! Why a packet is not forwarded.

use std::fmt;

use shunt_wire::RewriteError;

use super::stage::Stage;

/// Declares the reasons once: variant, name, the stage of the slow path that gives it, remedy.
macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident = $name:literal, $stage:expr, $remedy:literal;)*) => {
        /// Why a packet was dropped or refused. Each has a counter and a name, and a sentence for the
        /// operator who wonders.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[$doc])* $reason,)*
        }

        impl DropReason {
            /// All of them; the place of each is its number.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$reason),*];

            /// Its name in counters, logs and on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$reason => $name),* }
            }

            /// What the operator can do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$reason => $remedy),* }
            }

            /// The stage of the slow path that gives it; `None` where it is given to packets outside of it.
            #[must_use]
            pub const fn stage(self) -> Option<Stage> {
                match self { $(Self::$reason => $stage),* }
            }
        }
    };
}

reasons! {
    /// The frame is cut short, or its headers contradict each other.
    Malformed = "malformed", None,
        "Check the sender: no host accepts such frames. Many of them mean a broken network card or cable.";
    /// The checksum of a header is wrong.
    BadChecksum = "bad-checksum", None,
        "The frame was damaged: check the error counters of the network cards and switches between the sender and Shunt.";
    /// Neither IPv4, IPv6 nor ARP, or tagged twice.
    OtherEthertype = "other-ethertype", None,
        "Nothing to do: Shunt forwards only IPv4 and IPv6. Many of them mean that the interface is in the wrong VLAN.";
    /// A source address that no host has, or a source route.
    Forged = "forged", None,
        "Filter such packets at the edge of the network; no honest host sends them.";
    /// A fragment whose packet's first fragment did not come in time.
    FragmentOrphan = "fragment-orphan", None,
        "The network lost the first fragment, or a router sends fragments of one packet by different paths. Otherwise it is a flood of fragments.";
    /// A fragment of a packet whose first fragment was not forwarded.
    FragmentRefused = "fragment-refused", None,
        "See the reason that is counted for first fragments; or the flow ended between the fragments.";
    /// A first fragment that ends within the transport header.
    FragmentTiny = "fragment-tiny", None,
        "Check the sender, and the path to Shunt for a link with an impossible MTU: no honest host fragments a transport header.";
    /// Fragments of one packet have the same bytes.
    FragmentOverlap = "fragment-overlap", None,
        "The sender forges fragments, or reuses IP identifications too soon: make it send smaller packets.";
    /// Fragments of one packet disagree about where it ends.
    FragmentLength = "fragment-length", None,
        "The sender forges fragments, or reuses IP identifications too soon: make it send smaller packets.";
    /// A fragment that came before.
    FragmentTwice = "fragment-twice", None,
        "The network duplicates frames: look for a loop or a mirror port.";
    /// More fragments wait, or of more packets, than are kept.
    FragmentFull = "fragment-full", None,
        "Under attack: nothing to do. Otherwise make senders use smaller packets: path MTU discovery, EDNS buffer sizes.";
    /// Neither TCP, UDP nor ICMP.
    OtherProtocol = "other-protocol", None,
        "No virtual forwards this protocol. Use `transport = \"all\"`, or send it to an address that Shunt does not own.";
    /// Addressed to nothing that Shunt owns, and of no flow.
    NotOurs = "not-ours", None,
        "Another host uses this host as a router. Check the routes that lead to this host.";
    /// Its link-layer address is a group of stations, its IP address one of Shunt's.
    GroupMac = "group-mac", None,
        "A switch floods, or a neighbour maps the address to a multicast MAC. Clear stale ARP entries.";
    /// An address of Shunt's, but no virtual has this port.
    NoVirtual = "no-virtual", Some(Stage::Virtual),
        "Clients use a port on which no virtual listens. Add a virtual, or ignore scanners.";
    /// The virtual does not take clients from this interface.
    WrongInterface = "wrong-interface", Some(Stage::Virtual),
        "Add the interface to `interfaces` of the virtual, or fix the route by which clients arrive there.";
    /// Another host says that it has an address of Shunt's.
    AddressConflict = "address-conflict", None,
        "Remove the address from the other host (`arping -D` finds it), or from Shunt's configuration.";
    /// More new connections in a second than the virtual allows.
    SynRate = "syn-rate", Some(Stage::Limits),
        "Under attack: nothing to do. Otherwise raise `limits.syn-rate` of the virtual.";
    /// More new flows in a second than the virtual allows.
    FlowRate = "flow-rate", Some(Stage::Limits),
        "Under attack: nothing to do. Otherwise raise `limits.flow-rate` of the virtual.";
    /// The virtual has as many flows as it may have.
    VirtualFull = "virtual-full", Some(Stage::Limits),
        "Raise `limits.flows` of the virtual, or shorten its `timeouts.idle`.";
    /// The worker's flow table is full.
    TableFull = "table-full", Some(Stage::Limits),
        "Shorten `timeouts.idle`; or raise `limits.flows` of the virtuals and restart Shunt: the table has room for their sum, for 1,048,576 at least, and a reload does not enlarge it.";
    /// A rule said to drop it.
    RuleDrop = "rule-drop", Some(Stage::Rule),
        "Nothing to do where the rule is right: `shunt explain` and the log of the rule show why.";
    /// A rule said to reject it.
    RuleReject = "rule-reject", Some(Stage::Rule),
        "Nothing to do where the rule is right: `shunt explain` and the log of the rule show why.";
    /// A rule failed, and `on-fault` is to reject.
    RuleFault = "rule-fault", Some(Stage::Rule),
        "Fix the rule (the log names the fault), roll it back, or set `on-fault` to `continue`.";
    /// A rule chose a mode that the virtual cannot have: it lacks the SNAT pool or the DSCP, or routes any address.
    ModeIncomplete = "mode-incomplete", Some(Stage::Rule),
        "Add to the virtual what the mode of the rule needs: `snat-pool` for snat, `dscp` for l3dsr-dscp, and for nat a virtual whose own mode is not `route`.";
    /// Neither the virtual nor a rule names a pool.
    NoPool = "no-pool", Some(Stage::Selection),
        "Give the virtual a `pool`, or make the rule choose one for every flow.";
    /// A rule named a member that the pool has not got.
    NoSuchMember = "no-such-member", Some(Stage::Selection),
        "The rule names an address that is not a member of the pool. Fix the rule, or add the member.";
    /// The client is bound to a member that is down or disabled, and `when-down` is to refuse.
    BoundMemberDown = "bound-member-down", Some(Stage::Selection),
        "Bring the member back: `shunt status` shows why it is down. Or use `when-down = \"reselect\"`: its clients then go to other members.";
    /// No member of the pool may take a new flow.
    NoMember = "no-member", Some(Stage::Selection),
        "All members are down, disabled or draining: `shunt status` shows which, and why.";
    /// The middle of a TCP connection that Shunt does not know, and whose member it cannot find.
    MidStream = "mid-stream", Some(Stage::Selection),
        "After a restart clients reconnect. Otherwise a router moves flows between load balancers, or `timeouts.idle` is too short.";
    /// The usable members are of the other IP family, and the mode cannot bridge that.
    OtherFamily = "other-family", Some(Stage::Translation),
        "Add members of the client's IP family to the pool, or use mode `snat` or a tunnel mode.";
    /// The member is of the other IP family, and the virtual knows no address there for the client.
    ClientUnmapped = "client-unmapped", Some(Stage::Translation),
        "Use mode `snat`, or add a prefix or a map for the client's address to the `translation` of the virtual.";
    /// The SNAT pool has no port left toward this member.
    SnatExhausted = "snat-exhausted", Some(Stage::SnatLease),
        "Add addresses to the SNAT pool, or shorten its `time-wait`; `shunt status` shows its occupancy.";
    /// The SNAT pool has no address of the member's IP family.
    SnatFamily = "snat-family", Some(Stage::SnatLease),
        "Add addresses of the member's IP family to the SNAT pool.";
    /// `snat` of a protocol without ports: return traffic could not be matched to a flow.
    NoPorts = "no-ports", Some(Stage::SnatLease),
        "Mode `snat` works for TCP, UDP and ICMP echo only: forward other protocols by `nat` or `route`.";
    /// There is no route to the member, or back to the client.
    NoRoute = "no-route", Some(Stage::Compile),
        "Add a route on this host; `ip route get` with the member's address shows what is missing.";
    /// `l2dsr`, but a router stands between Shunt and the member.
    NotOnLink = "not-on-link", Some(Stage::Compile),
        "Mode `l2dsr` reaches only members on a segment of this host. Move the member, or use an l3dsr mode.";
    /// The interface toward the member has no address to send a tunnel from.
    NoTunnelSource = "no-tunnel-source", Some(Stage::Compile),
        "Give the interface toward the member an address of the member's IP family.";
    /// Another flow has the same addresses and ports toward the member.
    TupleTaken = "tuple-taken", Some(Stage::Insert),
        "A client reached the same member through two virtuals from one port, and retries. Use mode `snat` where this is frequent.";
    /// The member of the flow went down or was disabled.
    MemberDown = "member-down", None,
        "Clients reconnect by themselves, to another member. `shunt status` shows why the member is down.";
    /// The virtual of the flow is not in the configuration any more.
    VirtualGone = "virtual-gone", None,
        "A reload removed or moved the virtual; clients must connect again.";
    /// The SNAT address of the flow is not in the configuration any more.
    SnatGone = "snat-gone", None,
        "A reload removed the SNAT address; clients must connect again.";
    /// From a member or to a SNAT address, and of no flow.
    NoFlow = "no-flow", None,
        "Late replies after a flow ended are normal. Otherwise a member begins connections: add a wildcard virtual for outbound SNAT.";
    /// A TCP reset of no flow: nothing is left to reset, and resets are not answered.
    LateReset = "late-reset", None,
        "Nothing to do: the flow had ended before.";
    /// From the probe interface but sent by no monitor, or to the probe source address but no reply to a probe.
    StrayProbe = "stray-probe", Some(Stage::Virtual),
        "Late replies to probes are normal. Otherwise `shunt pool list` shows the last probes; or a program on this host connects to a virtual, which only other hosts can do.";
    /// An ICMP error about a packet of no flow.
    StrayError = "stray-error", None,
        "Late errors after a flow ended are normal; many of them are a sign of forgery.";
    /// An ICMP error: a packet in a tunnel did not fit a link on the way to the member. Senders of such packets
    /// get Packet Too Big from Shunt from now on.
    TunnelTooBig = "tunnel-too-big", None,
        "Path MTU discovery corrects this. To avoid the delay, raise the MTU toward the members, or make them announce a smaller MSS.";
    /// An ICMP error: the member does not take what the tunnel brings.
    TunnelRefused = "tunnel-refused", None,
        "Set up the tunnel on the member (the book has the commands for each mode), and allow it in the member's firewall.";
    /// An ICMP error: the tunnel does not reach the member.
    TunnelUnreachable = "tunnel-unreachable", None,
        "A router on the way to the member has no route or forbids the tunnel's protocol: `ip route get` and its filter rules show which.";
    /// Larger than the path MTU to its destination; its sender got an ICMP error.
    TooBig = "too-big", None,
        "Path MTU discovery corrects this where filters pass ICMP. Otherwise raise the MTU toward members, or set `mss` of the virtual.";
    /// The hop limit ended at Shunt; its sender got an ICMP error.
    HopLimit = "hop-limit", None,
        "Look for a routing loop. Traceroutes are counted here too.";
    /// Of mode `siit`: no prefix and no map knows one of its addresses.
    NoMapping = "no-mapping", None,
        "Add a prefix or a map for both addresses to the `translation` of the virtual, or route such packets elsewhere.";
    /// A fragment of UDP without a checksum, which IPv6 requires and which cannot be computed from a part.
    NoChecksum = "no-checksum", None,
        "Make the sender compute UDP checksums, or send smaller datagrams.";
    /// It asks to be sent over an address that it names, which no translator can keep to.
    SourceRoute = "source-route", None,
        "Filter such packets at the edge of the network; no honest host sends them.";
    /// A fragment of IPv6 in which headers follow that IPv4 has not got.
    ExtendedFragment = "extended-fragment", None,
        "Make the sender leave such headers out, or send smaller datagrams.";
    /// There is no such packet in the other IP family: a message of one link, a fragment of ICMP, an error within an error.
    Untranslatable = "untranslatable", None,
        "Nothing to do: the other IP family has no such packet.";
    /// The frame has no room for what must be put in front of it.
    NoRoom = "no-room", None,
        "Report this bug: Shunt must leave headroom before frames.";
    /// The next hop is being asked for, and more packets wait for it than are kept.
    HoldFull = "hold-full", None,
        "A burst toward a host that has not answered ARP or neighbour discovery yet. If it lasts, check the next hop.";
    /// The next hop did not answer in time.
    NextHopSilent = "next-hop-silent", None,
        "The member or gateway does not answer ARP or neighbour discovery: check that it is up, and its VLAN.";
    /// Another worker owns the flow, and its queue is full.
    HandOverFull = "hand-over-full", None,
        "One worker is overloaded: check that the network card spreads flows over its queues (`shunt doctor`).";
    /// The interface takes no more frames.
    SendFull = "send-full", None,
        "The interface is slower than its traffic, or its driver is stuck: check its speed and `ethtool -S`.";
}

impl DropReason {
    /// Why a packet is dropped that was not rewritten.
    pub(in crate::datapath) const fn of_rewrite_error(error: RewriteError) -> Self {
        match error {
            RewriteError::TooBig { .. } => Self::TooBig,
            RewriteError::HopLimit => Self::HopLimit,
            RewriteError::NoRoom => Self::NoRoom,
            RewriteError::NoChecksum => Self::NoChecksum,
            RewriteError::SourceRoute { .. } => Self::SourceRoute,
            RewriteError::ExtendedFragment => Self::ExtendedFragment,
            RewriteError::Untranslatable | RewriteError::MustFragment => Self::Untranslatable,
            RewriteError::Mismatch => Self::Malformed,
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The daemon makes the tables when it starts.
    #[test]
    fn a_full_table_asks_for_a_restart() {
        assert!(DropReason::TableFull.remedy().contains("restart Shunt"));
    }

    #[test]
    fn names_are_kebab_case_and_remedies_are_sentences() {
        for (number, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
            let name = reason.as_str();
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            assert_eq!(DropReason::ALL.iter().filter(|other| other.as_str() == name).count(), 1, "{name}");
            let remedy = reason.remedy();
            assert!(
                remedy.starts_with(|it: char| it.is_ascii_uppercase()) && remedy.ends_with('.'),
                "{name}"
            );
        }
    }
}
