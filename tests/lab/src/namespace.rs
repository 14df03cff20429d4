//! A network namespace that goes when nobody uses it any more.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// All namespaces of all labs begin with it; the number of the process that made them comes next.
const PREFIX: &str = "shunt-lab-";

/// What comes behind that in names of folders.
const FOLDER: &str = "files-";

/// Where `ip netns` keeps the names.
const NAMES: &str = "/run/netns";

/// A named network namespace. What runs in it keeps it by an `Arc`; the last one removes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// `lab` is a number that this process gives only once.
    ///
    /// # Errors
    /// Not root, or no `ip`.
    pub(crate) fn create(lab: u32, host: &str) -> Result<Arc<Self>> {
        let namespace = Namespace { name: format!("{PREFIX}{}-{lab}-{host}", std::process::id()) };
        ip(&["netns", "add", &namespace.name])?;
        let namespace = Arc::new(namespace);
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does some work in this namespace: sockets that it opens and threads that it starts belong there for good.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the work panicked.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let namespace = File::open(Path::new(NAMES).join(&self.name))
            .with_context(|| format!("the namespace {} is gone", self.name))?;
        // A thread is in one namespace; this one ends with the work, so nobody needs to come back.
        std::thread::scope(|scope| {
            let working = scope.spawn(|| -> Result<T> {
                setns(&namespace, CloneFlags::CLONE_NEWNET)
                    .with_context(|| format!("cannot enter {}", self.name))?;
                Ok(work())
            });
            working.join().map_err(|_| anyhow!("what was done in {} panicked", self.name))?
        })
    }

    /// A program that will run in this namespace, with the `/sys` of it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "del", &self.name]) {
            eprintln!("{error:#}");
        }
    }
}

/// A folder for files of this process's labs. It goes with what is returned; where the process is killed, before the
/// next lab is built: so nobody has to clean up by hand, and takes away what others use.
pub(crate) fn folder(what: &str) -> Result<TempDir> {
    let prefix = format!("{PREFIX}{}-{FOLDER}{what}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir().context("cannot make a folder")
}

/// Removes what labs left behind whose process was killed, programs in them first.
///
/// # Errors
/// The names cannot be read.
pub(crate) fn sweep() -> Result<()> {
    let is_gone = |owner: u32| !Path::new("/proc").join(owner.to_string()).exists();
    for folder in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = folder.file_name();
        if name.to_str().and_then(owner_of_folder).is_some_and(is_gone) {
            let _ = fs::remove_dir_all(folder.path());
        }
    }
    let names = match fs::read_dir(NAMES) {
        Ok(names) => names,
        // Nobody has made a namespace yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {NAMES}")),
    };
    for name in names.flatten().filter_map(|it| it.file_name().into_string().ok()) {
        let Some(owner) = owner(&name) else { continue };
        if !is_gone(owner) {
            continue;
        }
        // Another process may be sweeping as well: what fails here has been done by it.
        let inside = ip(&["netns", "pids", &name]).unwrap_or_default();
        for pid in inside.lines().filter_map(|it| it.trim().parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = ip(&["netns", "del", &name]);
    }
    Ok(())
}

/// The process that made a namespace of this name; `None`: it is not of a lab.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// The same of a [folder]; those with captures of a test that failed are kept for people.
fn owner_of_folder(name: &str) -> Option<u32> {
    let (owner, what) = name.strip_prefix(PREFIX)?.split_once('-')?;
    what.starts_with(FOLDER).then(|| owner.parse().ok())?
}

/// Runs `ip` and gives what it printed.
pub(crate) fn ip(arguments: &[&str]) -> Result<String> {
    output(Command::new("ip").args(arguments))
}

/// Runs a program to its end and gives what it printed; an exit code other than 0 is an error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|it| it.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_labs_have_an_owner() {
        assert_eq!(owner("shunt-lab-17-0-client"), Some(17));
        assert_eq!(owner("shunt-lab-x-0-client"), None);
        assert_eq!(owner("blue"), None);
        assert_eq!(owner_of_folder("shunt-lab-17-files-shunt-x7"), Some(17));
        assert_eq!(owner_of_folder("shunt-lab-6-in-4-x7"), None, "captures of a story");
        assert_eq!(owner_of_folder("shunt-lab-files-x7"), None);
    }
}
