use shunt_wire::proxy_protocol::{Header, LONGEST_WRITTEN_V2, MOST_V1, MOST_V2, Origin, Writer, write_v1};

/// Reads `data` as what a proxy sends first. What was refused or read stays so whatever follows, and a client that was
/// read is the same when it is written again.
pub fn proxy_protocol(data: &[u8]) {
    let read = |bytes: &[u8]| Header::read(bytes).map(|header| header.map(|it| (it.origin, it.length)));
    let whole = read(data);
    for cut in 0..data.len().min(MOST_V1) {
        match read(&data[..cut]) {
            Ok(None) => {}
            sure => assert_eq!(sure, whole),
        }
    }
    let Ok(Some(header)) = Header::read(data) else { return };
    assert!((1..=data.len().min(MOST_V2)).contains(&header.length));
    assert!(header.tlvs.map(|(_, value)| value.len()).sum::<usize>() <= header.length);
    let _ = header.tlvs.tls();
    let Origin::Client { source, destination } = header.origin else { return };
    let mut line = [0; MOST_V1];
    let length = write_v1(Some((source, destination)), &mut line);
    assert_eq!(read(&line[..length]), Ok(Some((header.origin, length))));
    let mut binary = [0; LONGEST_WRITTEN_V2];
    let length = Writer::new(Some((source, destination)), &mut binary).end();
    assert_eq!(read(&binary[..length]), Ok(Some((header.origin, length))));
}
