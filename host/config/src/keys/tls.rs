//! `tls` of proxies and of pools.

use std::path::PathBuf;

use super::super::containers::{list, one_or_list, or_table, table as in_table};
use super::super::model::Http2Start;
use super::super::reference::Type;
use super::super::report::{Cause, Refusal};
use super::super::shape::{OnlyTrue, Shape, Text, file, new_file, one_of, server_name, server_pattern};
use super::super::tls::{
    CIPHER_SUITES, Certificate, CertificateField, CipherSuite, ClientCertificates, ClientTls, GROUPS,
    MemberTls, Policy, ServerName, Version,
};
use super::super::walk::{At, Table, Walk};

/// RFC 8996.
const TOO_OLD: &str = "use `\"1.2\"`: older versions are broken, and Shunt does not speak them";

const PEM: &str = "the path of a PEM file";
const CERTIFICATE: &str =
    "The certificate and its intermediate certificates, PEM; relative to the folder of the file.";

/// What a virtual does with the TLS of its clients.
pub(super) enum WithClients {
    Terminated(Box<ClientTls>),
    PassedThrough,
}

pub(super) fn with_clients(table: &mut Table<'_>) -> Option<WithClients> {
    let pass_through = table.optional(
        "pass-through",
        "Shunt reads the first message of TLS, and relays the connection to a member as it is: the certificate is the member's, \
         and Shunt sees no requests. `tls` of the pool does not apply.",
        OnlyTrue,
    );
    let terminated = client_tls(table);
    table.exactly_one(&["certificate", "certificates", "pass-through"]);
    if pass_through.is_none() {
        return terminated.map(Box::new).map(WithClients::Terminated);
    }
    for name in ["min-version", "ciphers", "groups", "client-certificates", "ticket-keys", "key-log"] {
        if table.wrote(name) {
            let message = format!("`{name}` means nothing beside `pass-through`");
            let refusal = Refusal::new(Cause::Conflict, message).help("remove one of them");
            let refusal = table.also(refusal, "pass-through");
            table.refuse(name, refusal);
        }
    }
    Some(WithClients::PassedThrough)
}

fn client_tls(table: &mut Table<'_>) -> Option<ClientTls> {
    let certificate_file = table.optional("certificate", CERTIFICATE, file(PEM));
    let key = table.optional(
        "key",
        "The private key of the certificate, PEM; relative to the folder of the file. Required beside `certificate`.",
        file(PEM),
    );
    let one = of_files(table, certificate_file, key);
    let several = table.optional(
        "certificates",
        "Several certificates, each with `key`, `names` and `ocsp` of its own. The server name that the client sends (SNI) \
         chooses one: the name itself before a wildcard, which stands for one label. Of several for a name, such as one with an \
         RSA and one with an ECDSA key, the first whose signatures the client can verify. The first of all serves clients that \
         send no name or an unknown one.",
        list(in_table(certificate)),
    );
    let policy = policy(table);
    let clients = table.optional(
        "client-certificates",
        "Asks clients for certificates.",
        in_table(client_certificates),
    );
    let ticket_keys = table.derived(
        "ticket-keys",
        "A file with the keys of session tickets, for several balancers that resume each other's sessions: a key a line, 32 \
         bytes in base64 (`openssl rand -base64 32`). The first encrypts, all decrypt. Shunt reads the file again when it \
         changes.",
        file("the path of a file"),
        "keys that Shunt makes and replaces every six hours",
    );
    let key_log = table.optional(
        "key-log",
        "Appends the secrets of every session to this file, in the format of `SSLKEYLOGFILE`: whoever has it can decrypt all \
         traffic of this virtual. For debugging; `check` warns of it.",
        new_file("the path of a file"),
    );
    if table.wrote("certificate") {
        table.needs("key");
    }
    table.only_with(&["key", "names", "ocsp"], "certificate");
    let certificates = one.map(|one| vec![one]).or(several)?;
    // `http2` stands beside `tls` and may say otherwise.
    let protocols = Http2Start::Alpn.protocols();
    Some(ClientTls { certificates, policy, protocols, clients, ticket_keys, key_log })
}

/// The keys of a certificate, in a table of its own.
fn certificate(table: &mut Table<'_>) -> Option<Certificate> {
    let certificate = table.required("certificate", CERTIFICATE, file(PEM));
    let key = table.required(
        "key",
        "The private key of the certificate, PEM; relative to the folder of the file.",
        file(PEM),
    );
    of_files(table, certificate, key)
}

fn of_files(
    table: &mut Table<'_>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Option<Certificate> {
    let names = table.derived(
        "names",
        "The server names that it serves: `shop.example`, `*.shop.example`.",
        list(server_pattern()),
        "the DNS names in the certificate",
    );
    let ocsp = table.optional(
        "ocsp",
        "A file with an OCSP response for the certificate, DER (`openssl ocsp -respout`), which clients that ask get stapled. \
         Shunt reads it again when it changes.",
        file("the path of a DER file"),
    );
    Some(Certificate { certificate: certificate?, key: key?, names: names.unwrap_or_default(), ocsp })
}

/// What may be negotiated; the same toward clients and members.
fn policy(table: &mut Table<'_>) -> Policy {
    let min_version = table.or(
        "min-version",
        "The oldest version of TLS that is spoken. Older ones than 1.2 are not there.",
        one_of(&[("1.2", Version::Tls12), ("1.3", Version::Tls13)]).instead(&[
            ("1.0", TOO_OLD),
            ("1.1", TOO_OLD),
            ("tls1.2", "write `\"1.2\"`"),
            ("tls1.3", "write `\"1.3\"`"),
        ]),
        Version::Tls12,
    );
    let ciphers = table.derived(
        "ciphers",
        "Cipher suites in the order of preference, by their names at IANA. Without one of TLS 1.3 (`TLS_AES_…`, \
         `TLS_CHACHA20_…`) there is no TLS 1.3, without one of TLS 1.2 (`TLS_ECDHE_…`) no TLS 1.2.",
        list(one_of(CIPHER_SUITES).instead(OF_OPENSSL)),
        "all of them",
    );
    let groups = table.derived(
        "groups",
        "Groups for the key exchange, by their names at IANA. Of those that both sides have, the client's first is taken; toward members \
         Shunt is the client, and this list its order.",
        list(one_of(GROUPS).instead(GROUPS_OF_OPENSSL)),
        "hybrids with a post-quantum half, `X25519MLKEM768` and `SecP256r1MLKEM768`, then `x25519`, `secp256r1` and `secp384r1`",
    );
    let policy =
        Policy { min_version, ciphers: ciphers.unwrap_or_default(), groups: groups.unwrap_or_default() };
    fits(table, &policy);
    policy
}

/// Something must be left to agree on.
fn fits(table: &mut Table<'_>, policy: &Policy) {
    let of_tls13 = |suite: &CipherSuite| suite.is_tls13();
    if policy.min_version == Version::Tls13
        && !policy.ciphers.is_empty()
        && !policy.ciphers.iter().any(of_tls13)
    {
        let refusal =
            Refusal::new(Cause::Conflict, "`ciphers` has no suite of TLS 1.3, and `min-version` is 1.3")
                .help("add one, such as `TLS_AES_128_GCM_SHA256`, or remove `min-version`");
        let refusal = table.also(refusal, "min-version");
        table.refuse("ciphers", refusal);
    }
    let only_tls12 = !policy.ciphers.is_empty() && !policy.ciphers.iter().any(of_tls13);
    if only_tls12 && !policy.groups.is_empty() && !policy.groups.iter().any(|group| group.is_in_tls12()) {
        let refusal =
            Refusal::new(Cause::Conflict, "`ciphers` leaves TLS 1.2 only, which has none of these groups")
                .help("add `x25519`, or a suite of TLS 1.3");
        let refusal = table.also(refusal, "ciphers");
        table.refuse("groups", refusal);
    }
}

fn client_certificates(table: &mut Table<'_>) -> Option<ClientCertificates> {
    let ca = table.required(
        "ca",
        "The CAs whose certificates are taken, PEM; a file may have several.",
        one_or_list(file(PEM)),
    );
    let crl = table.optional(
        "crl",
        "Lists of revoked certificates (CRL), PEM; a file may have several. With `crl` each certificate between the client and \
         its CA needs a list of its issuer that has not expired. Shunt reads them again when they change.",
        one_or_list(file(PEM)),
    );
    let required = table.or(
        "verify",
        "`required`: a client without a certificate gets no connection; `optional`: it gets one, and no header says anything of a \
         certificate. A certificate that is wrong never gets one.",
        one_of(&[("required", true), ("optional", false)]).instead(&[
            ("on", "write `\"required\"`"),
            ("require", "write `\"required\"`"),
            ("request", "write `\"optional\"`"),
        ]),
        true,
    );
    let headers = table.optional(
        "headers",
        "What members and rules are told of the client's certificate: `subject` in `X-Client-Cert-Subject` and so on, `der` in \
         `Client-Cert` (RFC 9440). Shunt removes all of these fields from requests of clients, whether they are asked for here or \
         not.",
        list(one_of(&[
            ("subject", CertificateField::Subject),
            ("issuer", CertificateField::Issuer),
            ("serial", CertificateField::Serial),
            ("sha256", CertificateField::Sha256),
            ("not-before", CertificateField::NotBefore),
            ("not-after", CertificateField::NotAfter),
            ("san", CertificateField::San),
            ("pem", CertificateField::Pem),
            ("der", CertificateField::Der),
        ])),
    );
    let headers = headers.unwrap_or_default();
    for (index, field) in headers.iter().enumerate() {
        if headers[..index].contains(field) {
            let refusal =
                Refusal::new(Cause::Duplicate, "`headers` has a field twice").help("keep one of them");
            table.refuse("headers", refusal);
            break;
        }
    }
    Some(ClientCertificates { ca: ca?, crl: crl.unwrap_or_default(), required, headers })
}

pub(super) fn member_tls(table: &mut Table<'_>) -> Option<MemberTls> {
    let ca = table.derived(
        "ca",
        "The CAs that certificates of members must come from, PEM; a file may have several.",
        one_or_list(file(PEM)),
        "the CAs of the system",
    );
    let server_name = table.derived(
        "server-name",
        "The name of the members: sent to them (SNI), and what their certificates must be for. A member's own `server-name` goes \
         before it. `{ request-host = true }`: the host of each request; connections are reused for requests of the same host \
         only.",
        or_table(PoolName(server_name()), of_request),
        "the name that the member is written with; where it is written with its address, the address, which its certificate must \
         have, and no name is sent",
    );
    let certificate = table.optional(
        "certificate",
        "The certificate that Shunt shows to members that ask for one, with its intermediate certificates, PEM.",
        file(PEM),
    );
    let key = table.optional("key", "The private key of `certificate`, PEM.", file(PEM));
    let policy = policy(table);
    if table.wrote("certificate") {
        table.needs("key");
    }
    table.only_with(&["key"], "certificate");
    Some(MemberTls {
        ca: ca.unwrap_or_default(),
        server_name: server_name.unwrap_or(ServerName::OfMember),
        certificate: certificate.zip(key),
        policy,
    })
}

/// One name for the members of a pool.
struct PoolName(Text<String>);

impl Shape for PoolName {
    type Value = ServerName;

    fn describe(&self) -> Type {
        self.0.describe()
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<ServerName> {
        self.0.read(at, walk).map(ServerName::Name)
    }
}

fn of_request(table: &mut Table<'_>) -> Option<ServerName> {
    let host = table.required("request-host", "The host of the request, without its port.", OnlyTrue);
    host.map(|()| ServerName::OfRequest)
}

/// Suites by the names that OpenSSL gives those of TLS 1.2.
const OF_OPENSSL: &[(&str, &str)] = &[
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "write `TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384`"),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "write `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`"),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", "write `TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256`"),
    ("ECDHE-RSA-AES256-GCM-SHA384", "write `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "write `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`"),
    ("ECDHE-RSA-CHACHA20-POLY1305", "write `TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256`"),
    ("TLS13_AES_256_GCM_SHA384", "write `TLS_AES_256_GCM_SHA384`"),
    ("TLS13_AES_128_GCM_SHA256", "write `TLS_AES_128_GCM_SHA256`"),
    ("TLS13_CHACHA20_POLY1305_SHA256", "write `TLS_CHACHA20_POLY1305_SHA256`"),
];

/// Groups by the names of NIST, of OpenSSL and of drafts, whatever their case.
const GROUPS_OF_OPENSSL: &[(&str, &str)] = &[
    ("P-256", "write `secp256r1`"),
    ("prime256v1", "write `secp256r1`"),
    ("P-384", "write `secp384r1`"),
    ("X25519", "write `x25519`"),
    ("secp256r1", "write `secp256r1`"),
    ("secp384r1", "write `secp384r1`"),
    ("x25519mlkem768", "write `X25519MLKEM768`"),
    ("secp256r1mlkem768", "write `SecP256r1MLKEM768`"),
    ("x25519kyber768draft00", "write `X25519MLKEM768`, which replaced it"),
];
