use shunt_wire::client_hello::{ClientHello, HelloError, MOST_MESSAGE, Records};

/// Reads `data` as what a client sends first. How it is cut into segments must not matter, and what is read must lie
/// inside the message.
pub fn client_hello(data: &[u8]) {
    let whole = gathered(data, data.len().max(1));
    for segment in [1, 7] {
        assert_eq!(gathered(data, segment), whole);
    }
    let Ok(Some(message)) = whole else { return };
    let Ok(hello) = ClientHello::read(&message) else { return };
    assert!(hello.ciphers().count() > 0 && hello.extensions().count() <= 256);
    assert!(hello.protocols().all(|name| !name.is_empty()));
    if let Some(name) = hello.server_name() {
        assert!(!name.is_empty() && name.is_ascii());
    }
    let lists = [hello.versions(), hello.groups(), hello.signature_schemes()];
    let read: usize = lists.into_iter().map(|list| 2 * list.count()).sum();
    assert!(read + hello.session_id.len() < message.len());
}

fn gathered(received: &[u8], segment: usize) -> Result<Option<Vec<u8>>, HelloError> {
    let mut records = Records::default();
    let mut message = vec![0; MOST_MESSAGE];
    let mut end = 0;
    while end < received.len() {
        end = received.len().min(end + segment);
        if let Some(length) = records.take(&received[..end], &mut message)? {
            message.truncate(length);
            return Ok(Some(message));
        }
    }
    Ok(None)
}
