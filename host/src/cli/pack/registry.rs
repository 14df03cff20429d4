//! `shunt pack push|pull|list`, and packs of registries where others of the commands take a pack.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use shunt_registry::{Cache, Client, Progress, RegistryError, Settings, Tag, Version};
use shunt_rules::artefact::reference::{tag_of, version_of};
use shunt_rules::artefact::{Artefact, Reference};
use tokio::runtime::{Builder, Runtime};

use super::super::failure::Failure;
use super::super::format::{bytes, count};
use super::super::screen::{Paint, Screen, Tone};
use super::{open, write};

/// How many versions a list shows what they point to: each needs a request or two.
const SHOWN: usize = 50;

/// How registries are asked.
#[derive(Debug, Args)]
pub(in super::super) struct RegistryArgs {
    /// A registry that is asked without TLS, such as localhost:5000
    #[arg(long = "insecure-registry", value_name = "HOST")]
    insecure: Vec<String>,
    /// A file of certificates in PEM, of a CA that is trusted beside those of the system
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
}

/// A client, and what runs it.
struct Session {
    client: Client,
    runtime: Runtime,
}

impl Session {
    fn new(args: &RegistryArgs) -> Result<Session, Failure> {
        let settings =
            Settings { insecure: args.insecure.clone(), ca: args.ca.clone(), ..Settings::default() };
        let client = Client::new(&settings).map_err(refused)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Session { client, runtime: runtime.map_err(|error| Failure::failed("system", error))? })
    }
}

/// Sends a pack file.
///
/// # Errors
/// It is none, or the registry does not take it.
pub(super) fn push(
    file: &Path,
    reference: &Reference,
    replace: bool,
    args: &RegistryArgs,
    screen: &Screen,
) -> Result<(), Failure> {
    let artefact = open(file)?;
    let session = Session::new(args)?;
    let tag = if replace { Tag::Replace } else { Tag::Keep };
    let bar = Bar::new(screen, "push");
    let pushed = session.runtime.block_on(session.client.push(&artefact, reference, tag, &bar));
    bar.end();
    let pushed = pushed.map_err(refused)?;
    let (manifest, signatures) = (artefact.pack().manifest(), artefact.signatures().len());
    let pinned = pushed.reference.to_string();
    let answer = json!({
        "reference": pinned, "name": manifest.name, "version": manifest.version.to_string(),
        "tag": pushed.reference.tag(), "digest": format!("sha256:{}", artefact.digest()),
        "signatures": signatures, "sent": pushed.sent,
    });
    screen.show(&answer, |paint| {
        let sent = match pushed.sent {
            0 => "all of it was there".to_owned(),
            sent => format!("{} sent", bytes(sent)),
        };
        format!(
            "{} {} {}, {}, {sent}\n{pinned}\n{}",
            paint.on(Tone::Good, "pushed"),
            manifest.name,
            manifest.version,
            count(signatures, "signature"),
            of_unsigned(signatures, "`shunt pack sign` adds one, then push it again")
        )
    });
    Ok(())
}

/// Gets a pack file.
///
/// # Errors
/// There is no such pack, it is refused, or the file cannot be written.
pub(super) fn pull(
    reference: &Reference,
    file: Option<PathBuf>,
    args: &RegistryArgs,
    screen: &Screen,
) -> Result<(), Failure> {
    let artefact = get(reference, args, screen)?;
    let manifest = artefact.pack().manifest();
    let (name, version) = (&manifest.name, manifest.version.to_string());
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{name}-{version}.pack.tar")));
    let content = artefact.to_bytes();
    may_replace(&file, name)?;
    write(&file, &content)?;
    let pinned = reference.with_digest(artefact.digest()).to_string();
    let answer = json!({
        "reference": pinned, "file": file.display().to_string(), "name": name, "version": version,
        "bytes": content.len(), "digest": format!("sha256:{}", artefact.digest()),
        "signatures": artefact.signatures().len(),
    });
    screen.show(&answer, |paint| {
        format!(
            "{} {name} {version}, {}, {}: {}\n{pinned}\n{}",
            paint.on(Tone::Good, "pulled"),
            bytes(content.len() as u64),
            count(artefact.signatures().len(), "signature"),
            file.display(),
            of_unsigned(artefact.signatures().len(), "have its authors sign it")
        )
    });
    Ok(())
}

/// What a pack without a signature lacks.
fn of_unsigned(signatures: usize, remedy: &str) -> String {
    if signatures > 0 {
        return String::new();
    }
    format!("nobody signed it, so that only a policy with `unsigned = true` lets it run; {remedy}\n")
}

/// Whether a file may be put in the place of what is there: of another version of the pack, and of nothing else.
fn may_replace(file: &Path, name: &str) -> Result<(), Failure> {
    if file.symlink_metadata().is_err() {
        return Ok(());
    }
    let there = Artefact::open(file).ok().flatten();
    let what = match there.as_ref().map(|it| it.pack().manifest()) {
        Some(there) if there.name == name => return Ok(()),
        Some(other) => format!("the pack {} {}", other.name, other.version),
        None => "something that is no pack file".to_owned(),
    };
    Err(Failure::failed("pack", format!("{} is there, and is {what}", file.display()))
        .help("remove it, or name another file by --file"))
}

/// A pack of a registry.
///
/// # Errors
/// There is no such pack, or it is refused.
pub(super) fn get(reference: &Reference, args: &RegistryArgs, screen: &Screen) -> Result<Artefact, Failure> {
    let session = Session::new(args)?;
    // Only for a transfer that breaks; without it, the next begins anew.
    let cache = cache_folder().and_then(|folder| Cache::open(&folder).ok());
    let bar = Bar::new(screen, "pull");
    let pulled = session.runtime.block_on(session.client.pull(reference, cache.as_ref(), &bar));
    bar.end();
    pulled.map_err(refused)
}

/// Where this user keeps what can be had again (XDG Base Directory Specification).
fn cache_folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(folder.join("shunt"))
}

/// Lists the versions of a pack.
///
/// # Errors
/// There is no such repository, or it cannot be asked.
pub(super) fn list(at: &Reference, args: &RegistryArgs, screen: &Screen) -> Result<(), Failure> {
    let session = Session::new(args)?;
    let mut tags = session.runtime.block_on(session.client.tags(at)).map_err(refused)?;
    in_order(&mut tags);
    let (shown, more) = tags.split_at(tags.len().min(SHOWN));
    let versions = session.runtime.block_on(session.client.versions(at, shown)).map_err(refused)?;
    let rows = versions.iter().map(|it| {
        let digest = it.digest.map(|digest| format!("sha256:{digest}"));
        json!({ "tag": it.tag, "version": it.version, "digest": digest })
    });
    let answer = json!({ "repository": at.name(), "tags": rows.collect::<Vec<_>>(), "more": more });
    screen.show(&answer, |paint| listed(at, &versions, more.len(), paint));
    Ok(())
}

/// The highest version first, then what is no version.
fn in_order(tags: &mut [String]) {
    tags.sort_by(|one, other| version_of(other).cmp(&version_of(one)).then_with(|| one.cmp(other)));
}

fn listed(at: &Reference, versions: &[Version], more: usize, paint: Paint) -> String {
    let width = versions.iter().map(|it| it.tag.len()).max().unwrap_or_default();
    let mut text = String::new();
    for it in versions {
        let what = match (&it.digest, &it.version) {
            (Some(digest), Some(version)) if tag_of(version) != it.tag => {
                format!("sha256:{digest}  version {version}")
            }
            (Some(digest), _) => format!("sha256:{digest}"),
            (None, _) => paint.on(Tone::Faint, "no pack"),
        };
        text.push_str(&format!("{:width$}  {what}\n", it.tag));
    }
    match (versions.len(), more) {
        (0, _) => text.push_str(&format!("{} has no tags\n", at.name())),
        (_, 0) => {}
        (_, more) => text.push_str(&format!("{}, which `-o json` names\n", count(more, "more tag"))),
    }
    text
}

fn refused(error: RegistryError) -> Failure {
    Failure::failed("registry", error)
}

/// Shows people how far it is: on a terminal, and not for programs.
pub(super) struct Bar(indicatif::ProgressBar);

impl Bar {
    pub(super) fn new(screen: &Screen, what: &'static str) -> Bar {
        use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
        let target =
            if screen.is_json() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target).with_message(what);
        let style =
            ProgressStyle::with_template("{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}");
        let bar = style.map(|style| bar.clone().with_style(style.progress_chars("=> "))).unwrap_or(bar);
        // A registry may take its time before the first byte.
        bar.tick();
        Bar(bar)
    }

    /// The result says what came of it.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn more(&self, bytes: u64) {
        self.0.inc_length(bytes);
    }

    fn moved(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shunt_rules::Digest;

    #[test]
    fn the_highest_version_is_listed_first() {
        let mut tags = ["1.2.0", "latest", "1.10.0", "dev", "1.10.0-rc.1"].map(str::to_owned);
        in_order(&mut tags);
        assert_eq!(tags, ["1.10.0", "1.10.0-rc.1", "1.2.0", "dev", "latest"]);
    }

    #[test]
    fn what_a_list_looks_like() {
        let at = Reference::parse("registry.example/team/steer").unwrap();
        let digest = Digest::of(b"x");
        let version = |tag: &str, version: &str| Version {
            tag: tag.to_owned(),
            version: Some(version.to_owned()),
            digest: Some(digest),
        };
        let other = Version { tag: "image".to_owned(), version: None, digest: None };
        let versions = [version("1.2.0_b", "1.2.0+b"), version("latest", "1.2.0"), other];
        assert_eq!(
            listed(&at, &versions, 1, Paint(false)),
            format!(
                "1.2.0_b  sha256:{digest}\nlatest   sha256:{digest}  version 1.2.0\nimage    no pack\n\
                 1 more tag, which `-o json` names\n"
            )
        );
        assert_eq!(listed(&at, &[], 0, Paint(false)), "registry.example/team/steer has no tags\n");
    }
}
