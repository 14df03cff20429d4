use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConnection, SupportedProtocolVersion,
    version,
};
use shunt_config::tls::{Certificate, ClientCertificates, Policy, Version};
use tempfile::TempDir;

use super::*;

/// A CA, and files of what it signed.
struct Lab {
    folder: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

/// How long a certificate is valid, in years.
type Years = (i32, i32);

const NOW: Years = (2020, 2120);

impl Lab {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "test CA");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Lab { folder: tempfile::tempdir().unwrap(), ca }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// A certificate for these names, in files.
    fn certificate(&self, file: &str, names: &[&str], key: &KeyPair, (from, to): Years) -> Certificate {
        let mut params =
            CertificateParams::new(names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params.serial_number = Some(SerialNumber::from(vec![0x0a, file.len() as u8]));
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "a,b");
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("{file} \u{fc}"));
        params.subject_alt_names.push(SanType::URI("spiffe://a/b".try_into().unwrap()));
        let certificate = params.signed_by(key, &self.ca).unwrap();
        Certificate {
            certificate: self.write(&format!("{file}.pem"), certificate.pem()),
            key: self.write(&format!("{file}.key"), key.serialize_pem()),
            names: Vec::new(),
            ocsp: None,
        }
    }

    fn ecdsa(&self, file: &str, names: &[&str]) -> Certificate {
        self.certificate(file, names, &KeyPair::generate().unwrap(), NOW)
    }

    fn rsa(&self, file: &str, names: &[&str]) -> Certificate {
        self.certificate(file, names, &KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(), NOW)
    }

    fn ca_file(&self) -> PathBuf {
        self.write("ca.pem", self.ca.pem())
    }

    fn crl(&self, file: &str, serials: &[&[u8]], next: i32) -> PathBuf {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial.to_vec()),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(next, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        self.write(file, params.signed_by(&self.ca).unwrap().pem().unwrap())
    }

    /// A client that trusts the CA.
    fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        shows: Option<&Certificate>,
    ) -> ClientConfig {
        self.client_of(policy::provider(&Policy::default()), version, shows)
    }

    fn client_of(
        &self,
        provider: CryptoProvider,
        version: &'static SupportedProtocolVersion,
        shows: Option<&Certificate>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        match shows {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let chain = vec![der(files)];
                let key = std::fs::read(&files.key).unwrap();
                builder.with_client_auth_cert(chain, pem::private_key(&key).unwrap()).unwrap()
            }
        }
    }
}

fn der(files: &Certificate) -> CertificateDer<'static> {
    pem::certificates(&std::fs::read(&files.certificate).unwrap()).unwrap().remove(0).1
}

fn settings(certificates: &[&Certificate]) -> ClientTls {
    ClientTls {
        certificates: certificates.iter().map(|&it| it.clone()).collect(),
        policy: Policy::default(),
        protocols: &["h2", "http/1.1"],
        clients: None,
        ticket_keys: None,
        key_log: None,
    }
}

fn asking(lab: &Lab, crl: Vec<PathBuf>, required: bool) -> ClientCertificates {
    ClientCertificates { ca: vec![lab.ca_file()], crl, required, headers: Vec::new() }
}

fn load(settings: &ClientTls) -> Arc<Tls> {
    Tls::load(settings, None, Invalid::Refused).unwrap_or_else(|problems| panic!("{}", problems[0].error))
}

/// What is wrong: key and text, with the folder left out.
fn refused(lab: &Lab, settings: &ClientTls) -> Vec<(String, String)> {
    let problems = Tls::load(settings, None, Invalid::Refused).err().unwrap();
    let folder = format!("{}/", lab.folder.path().display());
    let told = |it: Problem| (it.key.join("."), it.error.to_string().replace(&folder, ""));
    problems.into_iter().map(told).collect()
}

/// A handshake to its end, and an answer of one byte, behind which tickets are there.
fn handshake(
    server: &Tls,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<(ServerConnection, ClientConnection), rustls::Error> {
    use std::io::{Read as _, Write as _};
    let mut server = ServerConnection::new(Arc::clone(&server.config)).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut wrote = false;
    for _ in 0..10 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut read = &bytes[..];
        while !read.is_empty() {
            server.read_tls(&mut read).unwrap();
            server.process_new_packets()?;
        }
        if !server.is_handshaking() && !wrote {
            server.writer().write_all(b"x").unwrap();
            wrote = true;
        }
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut read = &bytes[..];
        while !read.is_empty() {
            client.read_tls(&mut read).unwrap();
            client.process_new_packets()?;
        }
    }
    let mut byte = [0];
    assert_eq!(client.reader().read(&mut byte).unwrap(), 1);
    Ok((server, client))
}

fn presented(
    lab: &Lab,
    server: &Tls,
    version: &'static SupportedProtocolVersion,
    name: &str,
) -> CertificateDer<'static> {
    let (_, client) = handshake(server, &Arc::new(lab.client(version, None)), name).unwrap();
    client.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn a_client_gets_a_certificate_that_it_can_verify() {
    let lab = Lab::new();
    let (ecdsa, rsa) = (lab.ecdsa("ecdsa", &["both.test"]), lab.rsa("rsa", &["both.test", "*.w.test"]));
    for order in [[&ecdsa, &rsa], [&rsa, &ecdsa]] {
        let server = load(&settings(&order));
        let mut provider = policy::provider(&Policy::default());
        provider.cipher_suites.retain(|it| format!("{:?}", it.suite()).contains("_RSA_"));
        let only_rsa = lab.client_of(provider, &version::TLS12, None);
        let (_, client) = handshake(&server, &Arc::new(only_rsa), "both.test").unwrap();
        assert_eq!(client.peer_certificates().unwrap()[0], der(&rsa));
        for version in [&version::TLS12, &version::TLS13] {
            assert_eq!(presented(&lab, &server, version, "both.test"), der(order[0]), "{version:?}");
        }
    }
}

#[test]
fn names_that_are_written_go_before_those_of_the_certificate() {
    let lab = Lab::new();
    let first = lab.ecdsa("first", &["a.test", "b.test", "a.w.test"]);
    let mut second = lab.ecdsa("second", &["a.test", "b.test", "a.w.test"]);
    second.names = vec!["b.test".to_owned(), "*.w.test".to_owned()];
    let server = load(&settings(&[&first, &second]));
    let of = |name| presented(&lab, &server, &version::TLS13, name);
    assert_eq!((of("a.test"), of("A.TEST"), of("a.w.test")), (der(&first), der(&first), der(&first)));
    assert_eq!(of("b.test"), der(&first), "the first of those that serve it");
    let mut other = first;
    other.names = vec!["a.test".to_owned()];
    let server = load(&settings(&[&other, &second]));
    let of = |name| presented(&lab, &server, &version::TLS13, name);
    assert_eq!((of("b.test"), of("a.w.test")), (der(&second), der(&second)));
    let served: Vec<_> = server.certificates.iter().map(|it| it.names.len()).collect();
    assert_eq!((served, server.certificates[0].not_after), (vec![1, 2], 4_733_510_400));
}

#[test]
fn what_cannot_be_served_is_refused_with_place_and_remedy() {
    let lab = Lab::new();
    let good = lab.ecdsa("good", &["a.test"]);
    let old = lab.certificate("old", &["a.test"], &KeyPair::generate().unwrap(), (2020, 2021));
    let new = lab.certificate("new", &["a.test"], &KeyPair::generate().unwrap(), (2119, 2120));
    let swapped = Certificate { key: old.key.clone(), ..good.clone() };
    let keyless = Certificate { key: good.certificate.clone(), ..good.clone() };
    let nameless = lab.certificate("nameless", &[], &KeyPair::generate().unwrap(), NOW);
    let broken = Certificate {
        certificate: lab.write(
            "broken.pem",
            std::fs::read_to_string(&good.certificate).unwrap()
                + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
        ..good.clone()
    };
    for (files, key, told) in [
        (&old, "certificate", "old.pem: the certificate expired at 2021-01-01T00:00:00Z: renew it"),
        (&new, "certificate", "new.pem: the certificate is not valid before 2119-01-01T00:00:00Z: wait"),
        (&swapped, "key", "old.key: the key does not belong to the certificate in good.pem: use the key"),
        (&keyless, "key", "good.pem: the file has no private key, but CERTIFICATE"),
        (&nameless, "certificate", "nameless.pem: the certificate has no DNS name, "),
        (&broken, "certificate", "broken.pem: line 10: the certificate that begins here cannot be parsed: "),
    ] {
        let problems = refused(&lab, &settings(&[files]));
        assert_eq!((problems.len(), problems[0].0.as_str()), (1, key));
        assert!(problems[0].1.starts_with(told), "{problems:?}");
    }
    assert_eq!(refused(&lab, &settings(&[&old, &good, &swapped])).len(), 2, "all are told");
    assert!(Tls::load(&settings(&[&old]), None, Invalid::Served).is_ok());
    // What runs goes on, whatever else a reload is for, and whatever other file changes.
    let served = Tls::load(&settings(&[&old]), None, Invalid::Served).unwrap();
    assert!(Tls::load(&settings(&[&old]), Some(&served), Invalid::Refused).is_ok());
    assert!(Tls::load(&settings(&[&good, &old]), Some(&served), Invalid::Refused).is_ok());
}

#[test]
fn clients_show_certificates() {
    let lab = Lab::new();
    let server = lab.ecdsa("server", &["a.test"]);
    let (good, revoked) = (lab.ecdsa("good", &["client"]), lab.ecdsa("revoked", &["client"]));
    let crl = lab.crl("crl.pem", &[&[0x0a, 7]], 2120);
    let elsewhere = Lab::new();
    let untrusted = elsewhere.ecdsa("untrusted", &["client"]);
    for version in [&version::TLS12, &version::TLS13] {
        for required in [true, false] {
            let clients = Some(asking(&lab, vec![crl.clone()], required));
            let tls = load(&ClientTls { clients, ..settings(&[&server]) });
            let tried = |shows| handshake(&tls, &Arc::new(lab.client(version, shows)), "a.test");
            let (accepted, _) = tried(Some(&good)).unwrap();
            assert_eq!(accepted.peer_certificates().unwrap()[0], der(&good));
            assert_eq!(tried(None).is_ok(), !required);
            // Another CA of the same name.
            use rustls::CertificateError::{BadSignature, Revoked};
            for (shows, why) in [(&revoked, Revoked), (&untrusted, BadSignature)] {
                assert_eq!(tried(Some(shows)).unwrap_err(), rustls::Error::InvalidCertificate(why));
            }
        }
    }
}

#[test]
fn bad_lists_of_cas_and_revoked_certificates_are_refused() {
    let lab = Lab::new();
    let server = lab.ecdsa("server", &["a.test"]);
    let ca = std::fs::read_to_string(lab.ca_file()).unwrap();
    let lines = ca.lines().count();
    let broken = lab.write(
        "broken.pem",
        format!("{ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{ca}"),
    );
    let glued = lab.write("glued.pem", format!("{}{ca}", ca.trim_end()));
    let expired = lab.crl("expired.pem", &[], 2022);
    let good = lab.crl("good.pem", &[], 2120);
    let with = |ca: &PathBuf, crl: &PathBuf| {
        let clients = ClientCertificates {
            ca: vec![ca.clone()],
            crl: vec![crl.clone()],
            required: true,
            headers: Vec::new(),
        };
        refused(&lab, &ClientTls { clients: Some(clients), ..settings(&[&server]) })
    };
    let told = with(&broken, &good);
    let begins =
        format!("broken.pem: line {}: the CA certificate that begins here cannot be used: ", lines + 1);
    assert!(
        told.len() == 1 && told[0].0 == "client-certificates.ca" && told[0].1.starts_with(&begins),
        "{told:?}"
    );
    assert!(with(&glued, &good)[0].1.contains("is not on a line of its own"));
    let told = with(&lab.path("ca.pem"), &expired);
    assert!(
        told[0].0 == "client-certificates.crl" && told[0].1.contains("expired at 2022-01-01T00:00:00Z"),
        "{told:?}"
    );
    let told = with(&lab.path("ca.pem"), &lab.path("ca.pem"));
    assert!(told[0].1.starts_with("ca.pem: the file has no CRL, but CERTIFICATE"), "{told:?}");
    assert_eq!(with(&broken, &expired).len(), 2);

    // A start takes it, and its clients are refused.
    let clients = Some(asking(&lab, vec![good, expired.clone()], true));
    let asks = ClientTls { clients, ..settings(&[&server]) };
    assert!(Tls::load(&asks, None, Invalid::Refused).is_err());
    let tls = Tls::load(&asks, None, Invalid::Served).unwrap();
    let of_crls: Vec<_> = tls.revocation.iter().map(|it| (it.kind, it.next_update)).collect();
    assert_eq!(of_crls, [(RevocationKind::Crl, 4_733_510_400), (RevocationKind::Crl, 1_640_995_200)]);
    assert_eq!(tls.revocation[1].file, expired);
    // What has expired since does not keep another file from being taken over.
    let renewed = lab.ecdsa("server", &["a.test", "b.test"]);
    assert_eq!(renewed.certificate, server.certificate);
    let next = Tls::load(&asks, Some(&tls), Invalid::Refused).unwrap();
    assert_eq!(next.certificates[0].names.len(), 2);
}

/// A client that resumes its session, and how it went.
fn again(client: &Arc<ClientConfig>, server: &Tls) -> HandshakeKind {
    handshake(server, client, "a.test").unwrap().1.handshake_kind().unwrap()
}

#[test]
fn sessions_outlive_certificates_and_nothing_else() {
    let lab = Lab::new();
    let (one, two) = (lab.ecdsa("one", &["a.test"]), lab.ecdsa("two", &["a.test"]));
    for version in [&version::TLS12, &version::TLS13] {
        let client = Arc::new(lab.client(version, Some(&one)));
        let before = load(&settings(&[&one]));
        assert_eq!(again(&client, &before), HandshakeKind::Full);
        assert_eq!(again(&client, &before), HandshakeKind::Resumed);
        let next =
            |settings: &ClientTls, before| Tls::load(settings, Some(before), Invalid::Refused).unwrap();
        assert!(Arc::ptr_eq(&next(&settings(&[&one]), &before), &before));
        let swapped = next(&settings(&[&two]), &before);
        assert_eq!(again(&client, &swapped), HandshakeKind::Resumed, "another certificate");
        // A resumed handshake verifies no certificate of the client.
        let closed = ClientTls { clients: Some(asking(&lab, Vec::new(), true)), ..settings(&[&two]) };
        let closed = next(&closed, &swapped);
        assert_eq!(again(&client, &closed), HandshakeKind::Full, "certificates are demanded");
        assert_eq!(again(&client, &closed), HandshakeKind::Resumed);
        let crl = vec![lab.crl("crl.pem", &[&[0x0a, 9]], 2120)];
        let listed = ClientTls { clients: Some(asking(&lab, crl, true)), ..settings(&[&two]) };
        assert_eq!(again(&client, &next(&listed, &closed)), HandshakeKind::Full, "some are revoked");
    }
}

#[test]
fn balancers_share_tickets_by_a_file() {
    let lab = Lab::new();
    let certificate = lab.ecdsa("one", &["a.test"]);
    let keys = |name: &str, keys: &[&str]| {
        let ticket_keys = Some(lab.write(name, keys.join("\n")));
        ClientTls { ticket_keys, ..settings(&[&certificate]) }
    };
    let [old, new] =
        ["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="];
    for version in [&version::TLS12, &version::TLS13] {
        let client = Arc::new(lab.client(version, None));
        let (one, other) = (load(&keys("one", &[old])), load(&keys("other", &[new, old])));
        assert_eq!(again(&client, &one), HandshakeKind::Full);
        assert_eq!(again(&client, &other), HandshakeKind::Resumed);
        let last = load(&keys("last", &[new]));
        assert_eq!(again(&client, &last), HandshakeKind::Resumed, "of the new key");
        let asked = ClientTls { clients: Some(asking(&lab, Vec::new(), false)), ..keys("last", &[new]) };
        assert_eq!(again(&client, &load(&asked)), HandshakeKind::Full, "certificates are asked for");
    }
    let told = refused(&lab, &keys("short", &["AQEBAQ=="]));
    assert_eq!(told[0].0, "ticket-keys");
    assert!(
        told[0].1.starts_with("short: line 1: a ticket key has 32 bytes, and this one has 4: "),
        "{told:?}"
    );
}

#[test]
fn policies_are_kept() {
    use rustls::{CipherSuite, NamedGroup};
    let lab = Lab::new();
    let certificate = lab.ecdsa("one", &["a.test"]);
    let newest = Policy { min_version: Version::Tls13, ..Policy::default() };
    let tls = load(&ClientTls { policy: newest, ..settings(&[&certificate]) });
    assert!(handshake(&tls, &Arc::new(lab.client(&version::TLS12, None)), "a.test").is_err());
    let (server, _) = handshake(&tls, &Arc::new(lab.client(&version::TLS13, None)), "a.test").unwrap();
    assert_eq!(server.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);

    let narrow = Policy {
        ciphers: vec![shunt_config::tls::CipherSuite(0x1303), shunt_config::tls::CipherSuite(0x1301)],
        groups: vec![shunt_config::tls::Group(0x17)],
        ..Policy::default()
    };
    let tls = load(&ClientTls { policy: narrow, ..settings(&[&certificate]) });
    assert!(handshake(&tls, &Arc::new(lab.client(&version::TLS12, None)), "a.test").is_err());
    let (server, _) = handshake(&tls, &Arc::new(lab.client(&version::TLS13, None)), "a.test").unwrap();
    assert_eq!(server.negotiated_key_exchange_group().unwrap().name(), NamedGroup::secp256r1);
    assert_eq!(
        server.negotiated_cipher_suite().unwrap().suite(),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
    );
}

#[test]
fn a_clients_certificate_is_described() {
    use CertificateField::{Der, Issuer, NotAfter, NotBefore, Pem, San, Serial, Sha256, Subject};
    let lab = Lab::new();
    let certificate = der(&lab.ecdsa("client", &["a.test"]));
    let fields = [Subject, Issuer, Serial, NotBefore, NotAfter, San, Sha256, Pem, Der];
    let described = peer::describe(&certificate, &fields);
    assert_eq!(described.len(), fields.len());
    let told = |field| described.iter().find(|(it, _)| *it == field).unwrap().1.as_str();
    for (field, text) in [
        (Subject, "O=a\\,b,CN=client \\C3\\BC"),
        (Issuer, "CN=test CA"),
        (Serial, "0A06"),
        (NotBefore, "2020-01-01T00:00:00Z"),
        (NotAfter, "2120-01-01T00:00:00Z"),
        (San, "DNS:a.test, URI:spiffe://a/b"),
    ] {
        assert_eq!(told(field), text);
    }
    assert_eq!(told(Sha256).len(), 64);
    assert!(told(Pem).starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"), "{}", told(Pem));
    assert!(told(Der).starts_with(":MII") && told(Der).ends_with(':'));
    assert!(described.iter().all(|(_, text)| text.bytes().all(|it| (b' '..=b'~').contains(&it))));
    assert!(peer::is_in_date(&certificate));
    assert_eq!(peer::describe(b"none", &fields), []);
    let key = PrivateKeyDer::try_from(KeyPair::generate().unwrap().serialize_der()).unwrap();
    assert!(!peer::is_in_date(key.secret_der()));
}
