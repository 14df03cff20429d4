//! What `host/fuzz` runs with any bytes: it panics where something does not hold.

use super::decoder::{Decoder, Malformed, Scratch};
use super::encoder::Encoder;

const MOST: usize = 16 << 10;

/// Names, values, and whether they are never to be indexed.
type Fields = Vec<(Vec<u8>, Vec<u8>, bool)>;

fn read(decoder: &mut Decoder, block: &[u8], most: usize) -> Result<Fields, Malformed> {
    let mut fields = Vec::new();
    decoder.decode(block, most, &mut Scratch::default(), |name, value, secret| {
        fields.push((name.as_bytes().to_vec(), value.to_vec(), secret));
    })?;
    Ok(fields)
}

/// The first byte says how many blocks the others are, one behind the other. What is read of them is read again when it
/// is written, to a reader whose table changes its size.
pub(crate) fn hpack(bytes: &[u8]) {
    let Some((count, bytes)) = bytes.split_first() else { return };
    let length = bytes.len().div_ceil(usize::from(count % 8) + 1).max(1);
    let (mut decoder, mut again) = (Decoder::new(), Decoder::new());
    let mut encoder = Encoder::new();
    for block in bytes.chunks(length) {
        let Ok(fields) = read(&mut decoder, block, MOST) else { return };
        let size: usize = fields.iter().map(|(name, value, _)| name.len() + value.len() + 32).sum();
        assert!(size <= MOST);
        if let [first @ ..=8, ..] = block {
            encoder.set_capacity(u32::from(*first) * 700);
        }
        let mut out = Vec::new();
        encoder.begin(&mut out);
        for (name, value, secret) in &fields {
            encoder.field(name, value, *secret, &mut out);
        }
        let read = read(&mut again, &out, MOST).unwrap_or_else(|why| panic!("{why:?}: {out:x?}"));
        assert_eq!(read.len(), fields.len(), "written as {out:x?}");
        for (read, field) in read.iter().zip(&fields) {
            assert_eq!((&read.0, &read.1), (&field.0, &field.1), "written as {out:x?}");
            assert!(read.2 || !field.2, "what is never to be indexed stays so");
        }
    }
}
