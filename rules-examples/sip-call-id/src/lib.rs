use shunt_sdk::prelude::*;

/// Keeps the messages of a call at one server: those with the same Call-ID (RFC 3261 section 8.1.1.4).
struct SipCallId;

#[rule]
impl SipCallId {
    fn on_data(&self, _: &Flow, data: &Data) -> data::Verdict {
        // A client may begin with empty lines, which keep its connection open (RFC 5626 section 3.5.1).
        let message = data.bytes.trim_ascii_start();
        match call_id(message) {
            // Longer than a key may be.
            Some(id) if id.len() > 256 => to_pool("servers").persist(stable_hash(id).to_be_bytes()),
            Some(id) => to_pool("servers").persist(id),
            None if !is_whole(message) && data.is_open() => data::need(1),
            None => reject(),
        }
    }
}

/// All fields have come.
fn is_whole(message: &[u8]) -> bool {
    message.windows(4).any(|four| four == b"\r\n\r\n")
}

/// The value of `Call-ID`, or of `i`, its short form (RFC 3261 section 7.3.3), where its line has come whole.
fn call_id(message: &[u8]) -> Option<&[u8]> {
    let end = message.iter().rposition(|byte| *byte == b'\n')?;
    let lines = message[..end].split(|byte| *byte == b'\n').skip(1);
    let fields = lines.map(<[u8]>::trim_ascii_end).take_while(|line| !line.is_empty());
    fields
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = line[..colon].trim_ascii_end();
            let is_id = name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i");
            is_id.then(|| line[colon + 1..].trim_ascii())
        })
        .next()
}
