/// Why a frame is not read. Each is a reason to drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreadable {
    /// The frame is longer than 65,535 bytes.
    TooLong,
    /// The frame ends within an Ethernet header or a VLAN tag.
    Ethernet,
    /// Neither IPv4, IPv6 nor ARP, or a second VLAN tag.
    EtherType(u16),
    /// Not ARP for IPv4 over Ethernet, or cut short.
    Arp,
    /// An ARP operation other than a request.
    ArpOperation(u16),
    /// The IP version is not the one that the Ethernet type names.
    IpVersion,
    /// The IP header or a chain of extension headers is cut short or has an impossible length.
    IpHeader,
    /// The datagram is longer than the frame, or shorter than its header (RFC 1812 section 5.2.2).
    IpLength,
    /// The checksum of the IPv4 header is wrong (RFC 1812 section 5.2.2).
    IpChecksum,
    /// The source address is one that no packet may come from: multicast, broadcast, unspecified or loopback.
    Source,
    /// An IPv6 header with a v4-mapped address, which means IPv4 (RFC 5156 section 2.2).
    Mapped,
    /// It asks to be sent over another address: an IPv4 source route, or an IPv6 routing header that is not
    /// used up. Where such a packet really goes, and what its checksum covers, is not what its header says.
    SourceRoute,
    /// The fragment is impossible: empty, of a length that is no multiple of eight, or beyond 65,535 bytes.
    Fragment,
    /// The TCP header is cut short or has an impossible length.
    Tcp,
    /// The UDP header is cut short or its length is impossible.
    Udp,
    /// The ICMP header is cut short.
    Icmp,
    /// The checksum of an ICMP error, or of neighbour discovery, is wrong (RFC 5508 section 4.1).
    IcmpChecksum,
    /// The packet in an ICMP error cannot be identified: not TCP, UDP or ICMP echo, or quoted
    /// without its first eight bytes.
    Embedded,
    /// Neighbour discovery that RFC 4861 section 7.1.1 calls invalid.
    NeighbourDiscovery,
}
