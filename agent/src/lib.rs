//! The longrein agent: the daemon on the vehicle.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::wildcard_enum_match_arm,
        clippy::cast_possible_truncation
    )
)]

pub mod adapter;
pub mod applied_log;
mod black_box;
pub mod config;
pub mod control_thread;
mod dispatch;
mod doctor;
mod error;
mod flags;
mod hub_desk;
mod hub_json;
mod ledger;
mod letters;
mod link_news;
pub mod local;
mod metering;
#[cfg(feature = "modem-manager")]
pub mod modem_manager;
pub mod modems;
pub mod mqtt;
mod network;
pub mod program;
pub mod readmission;
mod reload;
pub mod slots;
pub mod state;
mod status;
pub mod store;
#[cfg(test)]
mod testing;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use longrein_io::exit::Exit;
use longrein_io::service_manager::ServiceManager;
use longrein_io::{credentials, log};

use crate::config::Config;
pub use crate::error::AgentError;
use crate::flags::{Flags, Verb};
use crate::readmission::Readmission;

/// Does what the command line says; the exit code is as `--help` documents it.
pub fn main() -> ExitCode {
    match act(Flags::parse()) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            eprintln!("longrein-agent: {error}");
            error.exit().into()
        }
    }
}

/// The command line, for its manual pages and completions.
pub fn command() -> clap::Command {
    Flags::command()
}

fn act(flags: Flags) -> Result<(), AgentError> {
    let mut config = flags.config()?;
    if let Some(Verb::Enroll(enroll)) = &flags.verb {
        return Ok(enroll.enrol(&config.identity.directory)?);
    }
    if let Some(Verb::Doctor(doctor)) = &flags.verb {
        return doctor::examine(&config, doctor.json);
    }
    if flags.print_config {
        return flags::print(&config.to_text());
    }
    config.check()?;
    if flags.check_config {
        program::load_identity(&config)?;
        config.dictionaries()?;
        eprintln!("longrein-agent: the configuration is good");
        return Ok(());
    }
    log::start(config.log.level);
    credentials::take_over(&config.identity.directory)?;
    let mut manager = ServiceManager::from_environment();
    loop {
        match readmission::readmit(&config, &mut manager)? {
            Readmission::Ready => break,
            Readmission::Reload => match reread(&flags) {
                Ok(new) => config = new,
                Err(error) => {
                    tracing::error!(%error, "configuration is wrong, and everything stays as it is");
                }
            },
            Readmission::End => return Ok(()),
        }
    }
    program::start(&config, Box::new(move || flags.config()), manager)?.wait()
}

/// The configuration as it is now, with what it has to keep to.
fn reread(flags: &Flags) -> Result<Config, AgentError> {
    let config = flags.config()?;
    config.check()?;
    log::set_level(config.log.level);
    Ok(config)
}
