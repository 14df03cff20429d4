//! `cargo xtask demo`: Shunt at work, as one would try it by hand.
//!
//! Everything in it is real: the origins speak HTTP over loopback, the rule is an example pack, and
//! the second version is that pack with one line changed, built and loaded as its author would.

mod client;
mod daemon;
mod origin;
mod versions;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use crate::{packs, tools};
use client::{Client, Crowd, Request, Tally};
use daemon::Daemon;
use origin::Origin;

/// What happens after the story.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is over.
    Once,
    /// It serves on.
    WhenInterrupted,
}

/// The virtual and the rule in it, as the commands name it.
const RULE: &str = "shop/steer";

/// Requests, and which pool each version of the rule chooses for it.
const STORY: [(Request, [&str; 2]); 3] = [
    (Request { path: "/", header: None }, ["blue", "blue"]),
    (Request { path: "/api/cart", header: None }, ["blue", "green"]),
    (Request { path: "/api/cart", header: Some(("X-Canary", "1")) }, ["green", "green"]),
];

/// The line of the story that the crowd asks for: the versions differ in it.
const CHANGING: usize = 1;

const CROWD: usize = 4;

/// How long the crowd asks before the load and after it.
const WHILE: Duration = Duration::from_millis(1_500);

pub(crate) fn run(terminal: &Terminal, end: End) -> Result<()> {
    let interrupt = Interrupt::catch()?;
    tools::prepare(terminal)?;
    let folder = tempfile::Builder::new().prefix("shunt-demo-").tempdir().context("cannot make a folder")?;

    terminal.stage("Building Shunt (the first time takes some minutes)");
    let shunt = tools::build_shunt_shown(terminal, tools::Profile::Demo)?;
    terminal.done(tools::from_here(&shunt).display());

    terminal.stage("Building the rule, a WebAssembly component written in Rust");
    let rules = tools::target_folder(&shunt).join("demo-rules");
    let first = versions::first(&rules)?;
    let component = packs::build_shown(terminal, &shunt, &first)?;
    terminal.done(format_args!("{} ({})", tools::from_here(&component).display(), size(&component)?));
    println!();
    versions::source()?.lines().for_each(|line| terminal.line(terminal.faint(line)));

    terminal.stage("Starting two pools of HTTP servers on loopback");
    let blue = [Origin::start("blue")?, Origin::start("blue")?];
    let green = [Origin::start("green")?];
    let listen = free_address()?;
    let config = folder.path().join("shunt.toml");
    let text = configuration(folder.path(), &first, listen, &blue, &green);
    std::fs::write(&config, &text).context("cannot write the configuration")?;
    terminal.done(format_args!("configuration: {}", config.display()));
    println!();
    text.lines().for_each(|line| terminal.line(terminal.toml(line)));

    terminal.stage("Starting Shunt");
    let mut daemon = Daemon::start(&shunt, &config, folder.path(), listen, &interrupt)?;
    terminal.done(format_args!("listens on {listen}"));

    terminal.stage("The rule chooses the pool");
    show_choices(terminal, listen, 0)?;

    terminal.stage("A second version of the rule: one line changed");
    let second = versions::second(&rules)?;
    terminal.line(terminal.bad(format_args!("- {}", versions::OLD)));
    terminal.line(terminal.good(format_args!("+ {}", versions::NEW)));
    packs::build_shown(terminal, &shunt, &second)?;
    terminal.done("built");

    terminal
        .stage(format_args!("Loading it while {CROWD} clients keep asking for {}", STORY[CHANGING].0.path));
    load_under_traffic(terminal, &daemon, &second, listen, &interrupt)?;
    daemon.check()?;

    terminal.stage("The new version chooses");
    show_choices(terminal, listen, 1)?;

    if end == End::WhenInterrupted {
        let program = tools::from_here(&shunt);
        let client = format!("{} --socket {}/admin.sock", program.display(), folder.path().display());
        terminal.stage("Try next, in another terminal");
        terminal.line(terminal.accent(format_args!("curl -i http://{listen}/api/cart")));
        terminal.line(terminal.accent(format_args!("{client} status")));
        terminal.line(terminal.accent(format_args!("{client} rule rollback {RULE}")));
        println!("\n  Shunt serves on; {} ends it.", terminal.strong("Ctrl-C"));
        while interrupt.sleep(Duration::from_millis(500)).is_ok() {
            daemon.check()?;
        }
    }
    terminal.stage("Ending everything");
    drop(daemon);
    folder.close().context("cannot remove the folder")?;
    terminal.done("nothing is left behind");
    Ok(())
}

/// Sends the requests of the story; an error if one is not answered by the pool that the version of
/// the rule should choose.
fn show_choices(terminal: &Terminal, listen: SocketAddr, version: usize) -> Result<()> {
    let mut client = Client::connect(listen).context("cannot connect to Shunt")?;
    for (request, pools) in STORY {
        let answer = client.ask(request).with_context(|| format!("no answer to GET {}", request.path))?;
        ensure!(answer.status == 200, "GET {} was answered with status {}", request.path, answer.status);
        let header = request.header.map(|(name, value)| format!("{name}: {value}")).unwrap_or_default();
        let pool = paint_pool(terminal, &answer.origin);
        terminal.line(format_args!(
            "GET {:<12}{} {} {pool}",
            request.path,
            terminal.faint(format_args!("{header:<14}")),
            terminal.faint("→")
        ));
        ensure!(
            answer.origin == pools[version],
            "the rule should have chosen {} and not {}",
            pools[version],
            answer.origin
        );
    }
    Ok(())
}

fn load_under_traffic(
    terminal: &Terminal,
    daemon: &Daemon,
    pack: &Path,
    listen: SocketAddr,
    interrupt: &Interrupt,
) -> Result<()> {
    let (request, [old, new]) = STORY[CHANGING];
    let crowd = Crowd::send(CROWD, listen, request).context("cannot start the clients")?;
    interrupt.sleep(WHILE)?;
    let begin = Instant::now();
    crowd.changing();
    let path = pack.to_string_lossy();
    daemon.command(&["rule", "load", RULE, &path])?;
    crowd.changed();
    let took = begin.elapsed();
    interrupt.sleep(WHILE)?;
    let tally = crowd.tally();

    let count = |answers: &[(String, u64)]| -> String {
        let parts = answers
            .iter()
            .map(|(origin, count)| format!("{} {}", grouped(*count), paint_pool(terminal, origin)));
        parts.collect::<Vec<_>>().join(", ")
    };
    terminal.line(terminal.faint(format_args!("shunt rule load {RULE} {path}")));
    terminal.done(format_args!("compiled, checked and swapped in {} ms", took.as_millis()));
    terminal.line(format_args!("  before: {}", count(&tally.before)));
    terminal.line(format_args!("  after:  {}", count(&tally.after)));
    let failed = format!("{} failed", tally.failed);
    let failed = if tally.failed == 0 { terminal.good(failed) } else { terminal.bad(failed) };
    terminal.line(format_args!(
        "  {} requests, {failed}, the slowest took {:.1} ms",
        grouped(tally.requests),
        tally.slowest.as_secs_f64() * 1e3
    ));
    if tally.failed > 0 {
        bail!("requests failed: {}", tally.failures.join("; "));
    }
    ensure!(Tally::only(&tally.before, old), "before the load every answer should have come from {old}");
    ensure!(Tally::only(&tally.after, new), "after the load every answer should have come from {new}");
    Ok(())
}

fn configuration(
    folder: &Path,
    pack: &Path,
    listen: SocketAddr,
    blue: &[Origin],
    green: &[Origin],
) -> String {
    let members = |origins: &[Origin]| {
        let members = origins.iter().map(|origin| format!("{{ address = \"{}\" }}", origin.address));
        members.collect::<Vec<_>>().join(", ")
    };
    format!(
        r#"[admin]
socket = "{folder}/admin.sock"

[[virtual]]
name = "shop"
listen = "{listen}"
protocol = "http"
pool = "blue"

[[virtual.rule]]                       # asked for every request
name = "steer"
pack = "{pack}"
slots = {slots}

[[pool]]
name = "blue"
monitor = {{ http = "/health", interval = "1s" }}
members = [{blue}]

[[pool]]
name = "green"
monitor = {{ http = "/health", interval = "1s" }}
members = [{green}]
"#,
        folder = folder.display(),
        pack = pack.display(),
        slots = versions::SLOTS,
        blue = members(blue),
        green = members(green),
    )
}

/// Port 8080 if it is free, which reads best, or any other.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 8080))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("cannot listen on loopback")?;
    Ok(listener.local_addr()?)
}

fn size(path: &Path) -> Result<String> {
    let bytes = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    Ok(format!("{} KiB", bytes.div_ceil(1024)))
}

/// 1234567 as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn paint_pool(terminal: &Terminal, pool: &str) -> String {
    let code = if pool == "green" { "1;32" } else { "1;34" };
    terminal.paint(code, pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_origin_and_the_client_understand_each_other() {
        let origin = Origin::start("blue").unwrap();
        let mut client = Client::connect(origin.address).unwrap();
        for (request, _) in STORY {
            let answer = client.ask(request).unwrap();
            assert_eq!((answer.status, answer.origin.as_str()), (200, "blue"));
        }
        drop(client);

        let crowd = Crowd::send(2, origin.address, STORY[0].0).unwrap();
        crowd.changing();
        crowd.changed();
        let tally = crowd.tally();
        assert_eq!((tally.failed, &tally.failures), (0, &vec![]));
    }
}
