//! What a configuration says about TLS, with clients and with members.

use std::path::PathBuf;

/// `tls = { … }` of a proxy: TLS with clients.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientTls {
    /// At least one. The first serves names that no other is for.
    pub certificates: Vec<Certificate>,
    pub policy: Policy,
    /// Offered by ALPN (RFC 7301), what is preferred first; by what `http2` of the virtual says.
    pub protocols: &'static [&'static str],
    /// `None`: clients are not asked for certificates.
    pub clients: Option<ClientCertificates>,
    /// The keys of session tickets; `None`: random ones of this process.
    pub ticket_keys: Option<PathBuf>,
    /// Secrets of all sessions are appended here.
    pub key_log: Option<PathBuf>,
}

/// `{ certificate = "…", key = "…" }`, PEM files.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// In lower case, some with `*.` in front; empty: those in the certificate.
    pub names: Vec<String>,
    /// A file with an OCSP response, DER.
    pub ocsp: Option<PathBuf>,
}

/// What is negotiated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    pub min_version: Version,
    /// In the order of preference; empty: all of [`CIPHER_SUITES`].
    pub ciphers: Vec<CipherSuite>,
    /// In the order in which a client offers them; empty: [`Group::DEFAULT`].
    pub groups: Vec<Group>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    #[default]
    Tls12,
    Tls13,
}

/// A cipher suite by its number at IANA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherSuite(pub u16);

/// A group of key exchange by its number at IANA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(pub u16);

/// All there are, in the order of preference, by their names at IANA.
pub const CIPHER_SUITES: &[(&str, CipherSuite)] = &[
    ("TLS_AES_256_GCM_SHA384", CipherSuite(0x1302)),
    ("TLS_AES_128_GCM_SHA256", CipherSuite(0x1301)),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite(0x1303)),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite(0xc02c)),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite(0xc02b)),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite(0xcca9)),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite(0xc030)),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite(0xc02f)),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite(0xcca8)),
];

/// All there are, by their names at IANA.
pub const GROUPS: &[(&str, Group)] = &[
    ("X25519MLKEM768", Group(0x11ec)),
    ("SecP256r1MLKEM768", Group(0x11eb)),
    ("MLKEM768", Group(0x0201)),
    ("MLKEM1024", Group(0x0202)),
    ("x25519", Group(0x001d)),
    ("secp256r1", Group(0x0017)),
    ("secp384r1", Group(0x0018)),
];

impl CipherSuite {
    /// Whether it is one of TLS 1.3 (RFC 8446 appendix B.4); the others are of TLS 1.2.
    pub fn is_tls13(self) -> bool {
        self.0 >> 8 == 0x13
    }
}

impl Group {
    /// Hybrids with a post-quantum half first.
    pub const DEFAULT: &'static [Group] =
        &[Group(0x11ec), Group(0x11eb), Group(0x001d), Group(0x0017), Group(0x0018)];

    /// Whether TLS 1.2 has it, too.
    pub fn is_in_tls12(self) -> bool {
        self.0 <= 0x001d
    }
}

/// `client-certificates = { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct ClientCertificates {
    /// At least one file.
    pub ca: Vec<PathBuf>,
    pub crl: Vec<PathBuf>,
    /// Clients without one are refused.
    pub required: bool,
    /// What members and rules are told of it, each once.
    pub headers: Vec<CertificateField>,
}

/// What a header field says of a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateField {
    Subject,
    Issuer,
    Serial,
    Sha256,
    NotBefore,
    NotAfter,
    San,
    Pem,
    /// `Client-Cert` of RFC 9440.
    Der,
}

/// `tls = { … }` of a pool: TLS with its members.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberTls {
    /// Empty: the CAs of the system.
    pub ca: Vec<PathBuf>,
    pub server_name: ServerName,
    /// What Shunt shows to members that ask for a certificate: the file and that of the key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    pub policy: Policy,
}

/// What members are called: in SNI, and what their certificates have to be for.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerName {
    /// By its own `server-name`, else by the name or the address that it is written with.
    OfMember,
    /// One name for those that have none of their own.
    Name(String),
    /// The host of the request.
    OfRequest,
}
