//! What a program compressed. Packs are not: so none can unpack to more than what came.

/// A format, with the program that unpacks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compression {
    pub(crate) format: &'static str,
    pub(crate) unpack: &'static str,
}

impl Compression {
    /// By the bytes that its files begin with.
    const ALL: [(&[u8], Compression); 5] = [
        // RFC 1952 section 2.3.1, with the only method that there is.
        (b"\x1f\x8b\x08", Compression { format: "gzip", unpack: "gunzip" }),
        // RFC 8878 section 3.1.1.
        (b"\x28\xb5\x2f\xfd", Compression { format: "zstd", unpack: "unzstd" }),
        // The .xz File Format 1.2.1, section 2.1.1.1.
        (b"\xfd7zXZ\0", Compression { format: "xz", unpack: "unxz" }),
        (b"BZh", Compression { format: "bzip2", unpack: "bunzip2" }),
        // APPNOTE.TXT 6.3.10 section 4.3.7.
        (b"PK\x03\x04", Compression { format: "zip", unpack: "unzip" }),
    ];

    /// Of a file; `None`: it is not compressed.
    pub(crate) fn of(bytes: &[u8]) -> Option<Compression> {
        Compression::ALL.into_iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, of)| of)
    }

    /// Whether a media type is of something that is compressed: `+gzip` and `+zstd` in OCI (image-spec 1.1, `layer.md`),
    /// `.gzip` and `.zstd` in Docker.
    pub(crate) fn is_in_media_type(media_type: &str) -> bool {
        let suffix = media_type.rsplit(['+', '.']).next();
        suffix.is_some_and(|suffix| matches!(suffix, "gzip" | "zstd"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_what_they_begin_with() {
        for (magic, compression) in Compression::ALL {
            assert_eq!(Compression::of(&[magic, b"anything"].concat()), Some(compression));
            assert_eq!(Compression::of(&magic[..magic.len() - 1]), None);
        }
        for other in [&b""[..], b"\0asm\x0d\0\x01\0", b"blobs/sha256/", b"[pack]"] {
            assert_eq!(Compression::of(other), None);
        }
    }

    #[test]
    fn media_types_say_it_at_their_end() {
        for media_type in [
            "application/wasm+gzip",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ] {
            assert!(Compression::is_in_media_type(media_type), "{media_type}");
        }
        for media_type in ["application/wasm", "application/gzip", "application/vnd.gzip.x+json", ""] {
            assert!(!Compression::is_in_media_type(media_type), "{media_type}");
        }
    }
}
