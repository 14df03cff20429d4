//! Packets as hosts send them that leave checksums to their devices.

use crate::case::{Case, Step};
use crate::frame::{read, write};

/// The case with partial checksums in all frames that come in, and in how many of them.
pub(crate) fn case(case: &Case) -> (Case, usize) {
    let mut case = case.clone();
    let mut changed = 0;
    for step in &mut case.steps {
        if let Step::In { frame, .. } = step
            && let Some(partial) = frame_of(frame)
        {
            *frame = partial;
            changed += 1;
        }
    }
    (case, changed)
}

/// The frame with a partial checksum; none if it is no whole packet of TCP or UDP with a right checksum.
pub(crate) fn frame_of(frame: &[u8]) -> Option<Vec<u8>> {
    let text = write(frame);
    let mut layers: Vec<String> = text.split(" | ").map(str::to_owned).collect();
    let is = |layer: &String, names: &[&str]| names.iter().any(|name| layer.split(' ').next() == Some(name));
    // The first transport header: not one that an error quotes, nor one in a tunnel.
    let at = layers.iter().position(|layer| is(layer, &["tcp", "udp", "icmp4", "icmp6", "gre"]))?;
    let is_in_tunnel = layers[..at].iter().filter(|layer| is(layer, &["ip4", "ip6"])).count() > 1;
    let layer = &mut layers[at];
    let has_none = ["check ", "no-checksum", "partial", "len "].iter().any(|word| layer.contains(word));
    if is(layer, &["icmp4", "icmp6", "gre"]) || is_in_tunnel || has_none {
        return None;
    }
    layer.push_str(" partial");
    Some(read(&layers.join(" | ")).unwrap_or_else(|error| panic!("{text}: {error}")))
}

/// The frame with its whole checksum.
pub(crate) fn whole(frame: &[u8]) -> Vec<u8> {
    let text = write(frame).replace(" partial", "");
    read(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
