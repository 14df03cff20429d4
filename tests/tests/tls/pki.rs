//! A CA, what it signs, and programs that look at it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams, SerialNumber, date_time_ymd,
};
use shunt_tests::daemon::Folder;
use shunt_tests::program::{self, Ended};

pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    /// Writes `ca.pem` and `ca.key`.
    pub(crate) fn new(folder: &Folder) -> Ca {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "test CA");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        folder.write("ca.pem", ca.pem());
        folder.write("ca.key", ca.key().serialize_pem());
        Ca(ca)
    }

    /// Writes `name.pem` and `name.key`, with a key of ECDSA.
    pub(crate) fn sign(&self, folder: &Folder, name: &str, names: &[&str], serial: u8) {
        self.sign_key(folder, name, names, serial, &KeyPair::generate().unwrap());
    }

    /// The same, valid in these years.
    pub(crate) fn sign_in(&self, folder: &Folder, name: &str, names: &[&str], (from, to): (i32, i32)) {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name, names);
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        folder.write(&format!("{name}.pem"), params.signed_by(&key, &self.0).unwrap().pem());
        folder.write(&format!("{name}.key"), key.serialize_pem());
    }

    /// The same with a key of RSA.
    pub(crate) fn sign_rsa(&self, folder: &Folder, name: &str, names: &[&str], serial: u8) {
        self.sign_key(folder, name, names, serial, &KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());
    }

    fn sign_key(&self, folder: &Folder, name: &str, names: &[&str], serial: u8, key: &KeyPair) {
        let mut params = params(name, names);
        params.serial_number = Some(SerialNumber::from(vec![serial]));
        folder.write(&format!("{name}.pem"), params.signed_by(key, &self.0).unwrap().pem());
        folder.write(&format!("{name}.key"), key.serialize_pem());
    }

    /// Writes `crl.pem`.
    pub(crate) fn revoke(&self, folder: &Folder, serials: &[u8]) {
        self.revoke_until(folder, serials, date_time_ymd(2120, 1, 1).into());
    }

    /// The same, to be replaced at this time.
    pub(crate) fn revoke_until(&self, folder: &Folder, serials: &[u8], next: SystemTime) {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(vec![*serial]),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: next.into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        folder.write("crl.pem", params.signed_by(&self.0).unwrap().pem().unwrap());
    }
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&it| it.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}

/// openssl, in the folder.
#[track_caller]
pub(crate) fn openssl(folder: &Folder, arguments: &str) -> Ended {
    let mut command = Command::new("openssl");
    command.current_dir(folder.path()).args(arguments.split_whitespace()).stdin(std::process::Stdio::null());
    program::ended(&mut command)
}

/// What `openssl s_client` says, which ends the connection at once.
#[track_caller]
pub(crate) fn s_client(folder: &Folder, address: SocketAddr, arguments: &str) -> String {
    let said = openssl(folder, &format!("s_client -connect {address} -CAfile ca.pem {arguments}"));
    said.stdout + &said.stderr
}

/// curl, which asks for `/` of `a.example` and trusts the CA.
#[track_caller]
pub(crate) fn curl(folder: &Folder, address: SocketAddr, arguments: &[&str]) -> Ended {
    let port = address.port();
    let mut command = Command::new("curl");
    command.current_dir(folder.path()).args(["-sS", "--cacert", "ca.pem", "--resolve"]);
    command.arg(format!("a.example:{port}:{}", address.ip())).args(arguments);
    program::ended(command.arg(format!("https://a.example:{port}/")))
}
