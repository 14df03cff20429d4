//! The blocks of a page that are run as they are printed: ` ```sh,run `, in their order, in one shell and one folder.
//! A block ` ```toml,config,file=NAME ` is the file of that name from there on.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::tools;

/// How long a page may take. Its rule is compiled, in the worst case with all that it depends on.
const SECONDS: u32 = 900;

/// What pages use and a machine may lack. `.ci/run` installs them.
const PROGRAMS: [&str; 3] = ["curl", "openssl", "python3"];

/// A program that a script uses and that is not installed.
pub(super) fn lacking(script: &str) -> Option<&'static str> {
    let uses = |program: &str| {
        script.split(|it: char| !(it.is_alphanumeric() || it == '-')).any(|word| word == program)
    };
    PROGRAMS.into_iter().find(|program| uses(program) && !tools::installed(program))
}

/// The script of a page; `None`: nothing on it is run.
pub(super) fn script(page: &str) -> Option<String> {
    let mut script = String::new();
    let mut runs = false;
    let mut listening: Vec<&str> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if kind == "sh,run" {
            runs = true;
            for line in block {
                script.push_str(line);
                script.push('\n');
                // People type slower than a daemon starts.
                if line.starts_with("shunt run ") && line.ends_with('&') {
                    listening.iter().for_each(|listen| script.push_str(&ready(listen)));
                }
            }
        } else if let Some((_, name)) = kind.split_once(",file=") {
            listening.extend(block.iter().copied().filter_map(listens));
            script.push_str(&format!(
                "cat > '{name}' <<'END OF THE FILE'\n{}\nEND OF THE FILE\n",
                block.join("\n")
            ));
        }
    }
    runs.then(|| format!("{BEGIN}{script}"))
}

/// What was started is ended with the page.
const BEGIN: &str = "set -eux\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n";

/// Waits until the last program that was started accepts connections.
fn ready(listen: &str) -> String {
    let device = listen.replacen(':', "/", 1);
    format!("until (exec 3<>/dev/tcp/{device}) 2>/dev/null; do kill -0 $!; sleep 0.05; done\n")
}

/// Where a configuration listens.
fn listens(line: &str) -> Option<&str> {
    line.strip_prefix("listen = \"")?.strip_suffix('"')
}

/// Runs it; gives what it said if it fails. As root in a network namespace of its own, where every port is free.
pub(super) fn run(script: &str, shunt: &Path) -> Result<Vec<String>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut paths = vec![shunt.parent().unwrap_or(shunt).to_path_buf()];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let isolated = nix::unistd::geteuid().is_root() && tools::installed("unshare") && tools::installed("ip");
    let mut command = Command::new("timeout");
    command.arg(SECONDS.to_string());
    if isolated {
        command.args(["unshare", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    }
    command.args(["bash", "-c", script]).current_dir(folder.path()).stdin(Stdio::null());
    command.env("PATH", std::env::join_paths(paths).context("a path cannot be said")?);
    command.env("CARGO_TARGET_DIR", tools::target_folder(shunt).join("guests"));
    if isolated {
        // Nothing can be fetched from in there, and cargo is not to try.
        fetch(shunt)?;
        command.env("CARGO_NET_OFFLINE", "true");
    }
    // In a file: what was started keeps a pipe open.
    let log = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    command.stdout(log.reopen()?).stderr(log.reopen()?);
    let status = command.status().context("cannot start timeout")?;
    if status.success() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(log.path()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(30)..].iter().map(|line| (*line).to_owned());
    Ok(std::iter::once(format!("as printed, it ends with {status}")).chain(last).collect())
}

/// Fetches what a new pack depends on.
fn fetch(shunt: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut new = Command::new(shunt);
    tools::run(new.args(["rule", "new", "fetched"]).current_dir(folder.path()).stdout(Stdio::null()))?;
    let manifest = folder.path().join("fetched/Cargo.toml");
    tools::run(tools::cargo().args(["fetch", "--quiet", "--manifest-path"]).arg(manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_run_become_one_script() {
        let page = "a\n```sh\nno\n```\n```toml,config,file=c\nlisten = \"127.0.0.1:80\"\n```\nb\n\
                    ```sh,run\necho 1\nshunt run --config c &\n```\n```sh,run\necho 2\n```\n";
        let script = script(page).unwrap();
        assert!(script.starts_with(BEGIN) && !script.contains("no\n"), "{script}");
        let order = ["cat > 'c'", "echo 1", "shunt run", "until (exec 3<>/dev/tcp/127.0.0.1/80)", "echo 2"];
        let places = order.map(|text| script.find(text).unwrap());
        assert!(places.is_sorted(), "{script}");
        assert_eq!(super::script("```sh\nno\n```\n"), None);
    }

    #[test]
    fn a_page_says_what_it_lacks() {
        assert_eq!(lacking("echo curly openssl-like"), None);
        let here = PROGRAMS.into_iter().filter(|program| tools::installed(program)).count();
        let lacks = PROGRAMS.iter().filter(|program| lacking(&format!("{program} -x")).is_some()).count();
        assert_eq!(here + lacks, PROGRAMS.len());
    }
}
