//! `cargo xtask`: the one door through which people and CI build, test, show and measure Shunt.

mod bench;
mod book;
mod bpf;
mod compare;
mod demo;
mod fuzz;
#[cfg(test)]
mod house;
mod interrupt;
mod lab;
mod lint;
mod packs;
mod progress;
mod publish;
mod terminal;
mod test;
mod tools;

use std::process::ExitCode;

use terminal::Terminal;

const USAGE: &str = "\
cargo xtask <command>

  demo [--once]   see Shunt at work: a rule chooses, and is replaced while requests run;
                  --once ends with exit code 0 or 1 instead of serving on
  lab MODE [--across] [--no-offloads] [--once]
                  packets through Shunt between network namespaces, in one of its packet modes, to play with (root);
                  --across: members of `nat` and `snat` are of IPv4 where clients are of IPv6, and the other way round;
                  --no-offloads: the hosts complete checksums and cut segments themselves, as where network cards are between;
                  --once sends the traffic once and ends with exit code 0 or 1
  test [NAME]     every test, or those whose names contain NAME
  test slow       tests that wait for more than a minute, which `test` leaves out (root)
  test members    tests with servers, browsers, suites and compilers of others, as far as they are
                  installed; says what it skipped, and why; `test` leaves them out
  fuzz [--seconds N]
                  every fuzz target for 10 or N seconds, its corpus first
  lint            format, lints and documentation, of the host and of the rules
  publish         whether the SDK could be published as it is: cargo's dry run, which needs crates.io
  bench [NAME]    what a rule call costs, measured by criterion
  compare [-- …]  Shunt beside the proxies that are installed, see tests/bench/README.md
  docs [--write]  check the book, and build it where mdbook is there;
                  --write makes its generated parts again
  bpf [--check]   build the XDP program that is committed in host/bpf; --check builds it
                  where its tool chain is there, and compares
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let terminal = Terminal::new();
    let outcome = match arguments.as_slice() {
        ["demo"] => demo::run(&terminal, demo::End::WhenInterrupted),
        ["demo", "--once"] => demo::run(&terminal, demo::End::Once),
        ["lab", words @ ..] if let Some(asked) = lab::asked(words) => lab::run(&terminal, &asked),
        ["test"] => return test::run(&terminal, test::Asked::All),
        ["test", name] if !name.starts_with('-') => return test::run(&terminal, test::Asked::named(name)),
        ["fuzz"] => fuzz::run(&terminal, fuzz::SECONDS),
        ["fuzz", "--seconds", seconds] if let Ok(seconds) = seconds.parse() => fuzz::run(&terminal, seconds),
        ["lint"] => lint::run(&terminal),
        ["publish"] => publish::run(&terminal),
        ["bench"] => bench::run(&terminal, None),
        ["bench", name] if !name.starts_with('-') => bench::run(&terminal, Some(name)),
        ["compare"] => compare::run(&terminal, &[]),
        ["compare", "--", rest @ ..] => compare::run(&terminal, rest),
        ["docs"] => book::run(&terminal, book::Generated::Check),
        ["docs", "--write"] => book::run(&terminal, book::Generated::Write),
        ["bpf"] => bpf::run(&terminal, bpf::Built::Commit),
        ["bpf", "--check"] => bpf::run(&terminal, bpf::Built::Compare),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("cargo xtask: cannot understand `{}`\n\n{USAGE}", other.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.failure(&error);
            ExitCode::FAILURE
        }
    }
}
