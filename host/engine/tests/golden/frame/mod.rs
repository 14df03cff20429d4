//! Frames as text, one word per field: what golden packets are written in.
//!
//! ```text
//! eth 02:00:00:00:00:01 > 02:00:00:00:00:02 | ip4 192.0.2.7 > 203.0.113.1 ttl 64 id 7 df
//!   | tcp 40000 > 80 S seq 1 win 65535 mss 1460 | "payload"
//! ```
//!
//! Layers stand in the order of the wire, with a `|` between them:
//!
//! | layer | fields; what stands in brackets may be left out |
//! |---|---|
//! | `eth SOURCE > DESTINATION` | `[type N]` where no layer follows |
//! | `vlan ID` | `[pcp N] [dei]` |
//! | `arp request MAC ADDRESS > ADDRESS` | `[mac M]`, the target's; also `arp reply` |
//! | `ip4 SOURCE > DESTINATION` | `[ttl N] [tos N] [id N] [df] [mf] [off BYTES] [options HEX] [proto N] [len N] [check N]` |
//! | `ip6 SOURCE > DESTINATION` | `[hop N] [class N] [flow N] [next N] [len N]` |
//! | `hop-by-hop HEX`, `dest-options HEX`, `routing HEX` | the header behind its first two bytes; `[next N]` |
//! | `fragment` | `[id N] [off BYTES] [mf] [next N]` |
//! | `tcp SOURCE > DESTINATION FLAGS` | flags of `FSRPAUEC`, `-` for none; `[seq N] [ack N] [win N] [urg N] [mss N] [options HEX] [partial] [check N]` |
//! | `udp SOURCE > DESTINATION` | `[no-checksum] [partial] [len N] [check N]` |
//! | `icmp4 KIND`, `icmp6 KIND` | `echo-request id N seq N`, `echo-reply …`, `port-unreachable`, `host-unreachable`, `prohibited`, `time-exceeded`, `too-big mtu N`, `type N code N rest HEX`; `[check N]` |
//! | `icmp6 neighbour-solicitation ADDRESS` | `[mac M]` |
//! | `icmp6 neighbour-advertisement ADDRESS` | `[solicited] [override] [mac M]` |
//! | `gre`, `gue` | |
//! | `part FROM LENGTH` | behind an IP or fragment header: of what follows, only so many bytes |
//! | `"text"`, `hex HEX`, `bytes N` | payload; `bytes` counts up from 0 |
//! | `cut N` | last: what an ICMP error quotes, else the frame, ends after N bytes |
//! | `pad N` | last: the frame is filled with zeros to N bytes |
//!
//! Lengths, protocols and checksums are computed unless they are given; numbers may be written `0x…`. A `partial`
//! checksum is the sum of the pseudo-header alone, as a sender writes it that leaves the rest to its device. A frame
//! is read and written with etherparse's headers alone, so it shares nothing with the code under test.

mod layer;
mod read;
mod words;
mod write;

pub(crate) use read::read;
pub(crate) use write::write;
