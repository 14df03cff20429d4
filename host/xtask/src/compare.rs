//! `cargo xtask compare`

use std::process::Command;

use anyhow::{Result, bail};

use crate::packs;
use crate::terminal::Terminal;
use crate::tools::{self, Profile};

/// Measures the release build of Shunt beside other proxies; `rest` goes to the harness.
pub(crate) fn run(terminal: &Terminal, rest: &[&str]) -> Result<()> {
    tools::prepare(terminal)?;
    for (program, package) in
        [("python3", "python3"), ("wrk", "wrk"), ("ab", "apache2-utils"), ("nginx", "nginx-light")]
    {
        if !tools::installed(program) {
            bail!(
                "{program} is missing; install it: `apt-get install {package}` (see tests/bench/README.md)"
            );
        }
    }
    let shunt = tools::build_shunt(Profile::Release)?;
    let reference = tools::root().join("rules-examples/api-canary");
    let pack = packs::build(&shunt, &reference)?;
    let folder = tools::root().join("tests/bench");
    let candidate = format!(
        "shunt[plain,rule,limit,tls,tls-rule,l4]={} {} {} {{port}} {{origin_a}} {{origin_b}} {{mode}} {{cert}} {{key}} {{work}}",
        folder.join("bench-shunt").display(),
        shunt.display(),
        pack.display(),
    );
    let mut harness = Command::new("python3");
    harness.arg(folder.join("l7.py")).args(["--candidate", &candidate]);
    if !rest.contains(&"--cases") {
        harness.args(["--cases", "h1,rule,tls,tls-new,conn"]);
    }
    tools::run(harness.args(rest))
}
