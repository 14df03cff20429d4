//! ClientHellos, made byte by byte (RFC 8446 section 4.1.2).

/// What one says, beside what every one says.
#[derive(Default)]
pub(crate) struct Hello<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) protocols: &'a [&'a str],
    pub(crate) early_data: bool,
    /// Bytes of an extension that says nothing (padding, RFC 7685).
    pub(crate) padding: usize,
}

fn vec8(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8], content].concat()
}

fn vec16(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes(), content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vec16(content)].concat()
}

impl Hello<'_> {
    /// The message, without records.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut extensions = vec![
            extension(43, &vec8(&[3, 4])),
            extension(10, &vec16(&[0x11, 0xec, 0, 0x1d])),
            extension(13, &vec16(&[4, 3, 8, 4])),
        ];
        if self.padding > 0 {
            extensions.push(extension(21, &vec![0; self.padding]));
        }
        if !self.protocols.is_empty() {
            let list: Vec<u8> = self.protocols.iter().flat_map(|it| vec8(it.as_bytes())).collect();
            extensions.push(extension(16, &vec16(&list)));
        }
        if let Some(name) = self.name {
            extensions.push(extension(0, &vec16(&[&[0], &vec16(name.as_bytes())[..]].concat())));
        }
        if self.early_data {
            extensions.push(extension(42, b""));
            extensions.push(extension(41, &[0; 40]));
        }
        let body = [
            &[3, 3][..],
            &[7; 32],
            &vec8(&[9; 32]),
            &vec16(&[0x13, 1, 0x13, 2]),
            &vec8(&[0]),
            &vec16(&extensions.concat()),
        ];
        let body = body.concat();
        [&[1][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
    }

    /// In one record.
    pub(crate) fn record(&self) -> Vec<u8> {
        in_records(&self.message(), 1 << 14)
    }
}

pub(crate) fn in_records(message: &[u8], most: usize) -> Vec<u8> {
    message.chunks(most).flat_map(|part| [&[22, 3, 1][..], &vec16(part)].concat()).collect()
}

/// A fatal alert.
pub(crate) fn alert(description: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description]
}
