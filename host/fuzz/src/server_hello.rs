use shunt_wire::server_hello::{MOST, MOST_SESSION_ID, Session, session};

/// Reads `data` as what a server sends first, byte by byte: what was said once stays said, and is said in time.
pub fn server_hello(data: &[u8]) {
    let data = &data[..data.len().min(MOST)];
    let whole = session(data);
    for end in 0..=data.len() {
        match session(&data[..end]) {
            Session::Unsaid => assert!(end < MOST),
            said => {
                assert_eq!(said, whole);
                break;
            }
        }
    }
    if let Session::Named(id) = whole {
        assert!(!id.is_empty() && id.len() <= MOST_SESSION_ID);
    }
}
