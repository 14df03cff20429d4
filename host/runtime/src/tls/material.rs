//! The files that TLS settings name. They are read once, all at a time: what is made of them fits together, and its
//! digest says whether anything has changed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use shunt_config::tls::{ClientTls, MemberTls};
use shunt_rules::plain_file;

use super::{Problem, TlsError};

/// Larger than any list of CAs or revoked certificates that is of use.
const MOST: u64 = 64 << 20;

/// The contents of files.
pub(super) struct Material(BTreeMap<PathBuf, Vec<u8>>);

type Named<'a> = (&'static [&'static str], &'a PathBuf);

impl Material {
    /// # Errors
    /// Those that cannot be read.
    pub(super) fn of_clients(settings: &ClientTls) -> Result<Material, Vec<Problem>> {
        Material::read(named_by_clients(settings))
    }

    /// # Errors
    /// Those that cannot be read.
    pub(super) fn of_members(settings: &MemberTls) -> Result<Material, Vec<Problem>> {
        Material::read(named_by_members(settings))
    }

    fn read(named: Vec<Named<'_>>) -> Result<Material, Vec<Problem>> {
        let (mut contents, mut problems) = (BTreeMap::new(), Vec::new());
        for (key, path) in named {
            match read(path) {
                Ok(bytes) => drop(contents.insert(path.clone(), bytes)),
                Err(error) => problems.push(Problem::new(key, TlsError::Read(shown(path), error))),
            }
        }
        if problems.is_empty() { Ok(Material(contents)) } else { Err(problems) }
    }

    /// What is in a file that the settings name.
    pub(super) fn get(&self, path: &Path) -> &[u8] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }

    /// Of all files, and of the settings that name them.
    pub(super) fn digest(&self, settings: &impl Debug) -> [u8; 32] {
        let settings = format!("{settings:?}");
        digest(std::iter::once(settings.as_bytes()).chain(self.0.values().map(Vec::as_slice)))
    }
}

/// SHA-256 of parts, each behind its length.
pub(super) fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// The files that settings name.
pub fn files_of_clients(settings: &ClientTls) -> impl Iterator<Item = PathBuf> {
    named_by_clients(settings).into_iter().map(|(_, path)| path.clone())
}

/// The files that settings name.
pub fn files_of_members(settings: &MemberTls) -> impl Iterator<Item = PathBuf> {
    named_by_members(settings).into_iter().map(|(_, path)| path.clone())
}

fn named_by_clients(settings: &ClientTls) -> Vec<Named<'_>> {
    let mut named: Vec<Named<'_>> = Vec::new();
    for it in &settings.certificates {
        named.push((&["certificate"], &it.certificate));
        named.push((&["key"], &it.key));
        named.extend(it.ocsp.iter().map(|path| (&["ocsp"][..], path)));
    }
    if let Some(clients) = &settings.clients {
        named.extend(clients.ca.iter().map(|path| (&["client-certificates", "ca"][..], path)));
        named.extend(clients.crl.iter().map(|path| (&["client-certificates", "crl"][..], path)));
    }
    named.extend(settings.ticket_keys.iter().map(|path| (&["ticket-keys"][..], path)));
    named
}

fn named_by_members(settings: &MemberTls) -> Vec<Named<'_>> {
    let mut named: Vec<Named<'_>> = settings.ca.iter().map(|path| (&["ca"][..], path)).collect();
    if let Some((certificate, key)) = &settings.certificate {
        named.push((&["certificate"], certificate));
        named.push((&["key"], key));
    }
    named
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    plain_file::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB"));
    }
    Ok(bytes)
}

/// A path in a message.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
