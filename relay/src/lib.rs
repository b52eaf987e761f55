//! The longrein relay: knows who is here and forwards what it cannot read.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::cast_possible_truncation
    )
)]

pub mod config;
mod counts;
mod flags;
mod http;
pub mod hub;
mod ledger;
pub mod program;
mod renewal;
pub mod store;
pub mod token_verb;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use longrein_io::exit::Exit;
use longrein_io::service_manager::ServiceManager;
use longrein_io::{credentials, log};

use crate::config::Config;
use crate::flags::{Flags, Verb};
use crate::program::{RelayError, load_identity};

/// Does what the command line says; the exit code is as `--help` documents it.
pub fn main() -> ExitCode {
    match act(&Flags::parse()) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            eprintln!("longrein-relay: {error}");
            error.exit().into()
        }
    }
}

/// The command line, for its manual pages and completions.
pub fn command() -> clap::Command {
    Flags::command()
}

fn act(flags: &Flags) -> Result<(), RelayError> {
    let config: Config = flags.config()?;
    match &flags.verb {
        Some(Verb::Enroll(enroll)) => return Ok(enroll.enrol(&config.identity.directory)?),
        Some(Verb::Backup(backup)) => return Ok(backup.back_up(&config.hub.directory)?),
        Some(Verb::Restore(restore)) => return Ok(restore.restore(&config.hub.directory)?),
        Some(Verb::Token(token)) => return flags::print(&token.act(&config)?),
        None => {}
    }
    if flags.print_config {
        return flags::print(&config.to_text());
    }
    config.check()?;
    if flags.check_config {
        load_identity(&config)?;
        http::check_files(&config.http)?;
        eprintln!("longrein-relay: the configuration is good");
        return Ok(());
    }
    log::start(config.log.level);
    credentials::take_over(&config.identity.directory)?;
    let manager = ServiceManager::from_environment();
    program::run(&config, &|| flags.config(), manager)
}
