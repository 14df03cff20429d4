//! The command line. The daemon and its client are one program; everything that a command asks of a
//! running daemon goes through the admin socket.
//!
//! Results go to stdout and refusals to stderr, both in the format that `-o` names. The exit codes
//! are in `failure`.

mod args;
mod check;
mod client;
mod doctor;
mod explain;
mod failure;
mod flag;
mod flow;
mod format;
mod log;
mod member;
mod pack;
mod packet_status;
mod persistence;
mod reload;
mod rule;
mod rule_author;
mod run;
mod screen;
mod set;
mod signals;
mod status;
mod table;
mod tables;
mod usage;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Arguments, Command, FlowCommand, Format, RuleCommand};
use client::Client;
use failure::{Exit, Failure};
use screen::Screen;

/// Does what the arguments of the process say.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and the version are results.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            let as_json = usage::asks_for_json(std::env::args_os());
            if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !as_json {
                error.exit();
            }
            let failure = usage::failure(&error);
            Screen::new(if as_json { Format::Json } else { Format::Text }).refuse(&failure);
            return failure.exit.into();
        }
    };
    let screen = Screen::new(arguments.output);
    let done = dispatch(arguments, &screen).and_then(|()| screen.written());
    match done {
        Ok(()) => {
            shunt_runtime::log::flush();
            ExitCode::SUCCESS
        }
        Err(failure) => {
            screen.refuse(&failure);
            failure.exit.into()
        }
    }
}

fn dispatch(arguments: Arguments, screen: &Screen) -> Result<(), Failure> {
    let client = &Client::new(arguments.client_socket());
    let Arguments { socket, command, .. } = arguments;
    if let (Some(name), true) = (command.asks_nobody(), socket.is_some()) {
        let message = format!("`shunt {name}` does not use the daemon, so it has no `--socket`");
        return Err(Failure::new(Exit::Usage, "usage", message).help("remove `--socket`"));
    }
    match command {
        Command::Run { config } => run::run(config, socket, screen),
        Command::Check { config } => check::check(&config, screen),
        Command::Status => status::status(client, screen),
        Command::Reload(allowed) => reload::reload(allowed, client, screen),
        Command::Pool(command) => member::pool(command, client, screen),
        Command::Member(command) => member::set(command, client, screen),
        Command::Flow(command) => match command {
            FlowCommand::List(filter) => flow::list(&filter, client, screen),
            FlowCommand::Show { id } => flow::show(id, client, screen),
            FlowCommand::Delete { id } => flow::delete(id, client, screen),
        },
        Command::Persistence(command) => persistence::run(command, client, screen),
        Command::Table(command) => tables::run(command, client, screen),
        Command::Flag(command) => flag::run(command, client, screen),
        Command::Set(command) => set::run(command, client, screen),
        Command::Explain(args) => explain::explain(&args, client, screen),
        Command::Doctor { config } => doctor::doctor(&config, socket, screen),
        Command::Pack(command) => pack::run(command, screen),
        Command::Rule(command) => match command {
            RuleCommand::List => rule::list(client, screen),
            RuleCommand::Trace(args) => explain::trace(&args, client, screen),
            RuleCommand::Show { rule } => rule::show(&rule, client, screen),
            RuleCommand::Load { rule, pack, reference, allowed } => match (pack, reference) {
                (_, Some(reference)) => rule::load_reference(&rule, &reference, allowed, client, screen),
                (pack, None) => rule::load(&rule, &pack.unwrap_or_default(), allowed, client, screen),
            },
            RuleCommand::Rollback { rule, to } => rule::rollback(&rule, to, client, screen),
            RuleCommand::Unload { rule } => rule::unload(&rule, client, screen),
            RuleCommand::Log { rule, level } => rule::log(&rule, level, client, screen),
            RuleCommand::New { folder, sdk } => rule_author::new(&folder, sdk.as_deref(), screen),
            RuleCommand::Build { folder } => rule_author::build(&folder, screen),
            RuleCommand::Test { folder } => rule_author::test(&folder, screen),
        },
    }
}
