//! The command line of `longrein-relay`.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use longrein_io::config::{COMMON_VARIABLES, ConfigError, Loader};
use longrein_io::enrol::{EnrolArguments, EnrolError};
use longrein_io::log::Level;
use longrein_proto::base::{NameError, NodeKind};

use crate::config::{Config, ListenSection};
use crate::program::RelayError;
use crate::store::{BackupError, back_up, restore};
use crate::token_verb::TokenArgs;

/// Forwards between the agents and the controllers of a fleet, and cannot read what it forwards.
///
/// Flags win over environment variables (LONGREIN_IDENTITY_DIRECTORY, LONGREIN_LOG_LEVEL), those over the file.
#[derive(Debug, Parser)]
#[command(name = "longrein-relay", version, after_help = EXIT_CODES)]
pub(crate) struct Flags {
    /// Configuration file (TOML); without one the defaults hold
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// Folder with authority.pem, node.pem and node.key
    #[arg(long, value_name = "DIR")]
    identity: Option<PathBuf>,

    /// Address and UDP port to listen on, instead of those of the file; may be given several times
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<SocketAddr>,

    /// How much to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<Level>,

    /// Check the configuration, the identity and what [http] names, then end
    #[arg(long)]
    pub(crate) check_config: bool,

    /// Print the configuration that results from file, environment and flags, then end
    #[arg(long, conflicts_with = "check_config")]
    pub(crate) print_config: bool,

    /// What to do instead of running.
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// What to do instead of running.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Enroll(EnrollArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Token(TokenArgs),
}

/// Make this machine a relay of a fleet, with a token of its authority, then end
///
/// Makes a key that never leaves this machine, has the authority certify it, and keeps both in the folder of the identity. Who is
/// interrupted may do it again with the same token.
#[derive(Debug, Args)]
#[command(after_help = ENROLL_EXIT_CODES)]
pub(crate) struct EnrollArgs {
    /// Token, relays and the rest.
    #[command(flatten)]
    arguments: EnrolArguments,
}

/// Copy the hub's store to a new file, while the relay runs or not, then end
///
/// The copy is the store as it stands in one moment, in one file that only its owner may read.
#[derive(Debug, Args)]
#[command(after_help = BACKUP_EXIT_CODES)]
pub(crate) struct BackupArgs {
    /// File to make; nothing may be there yet
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
}

/// Put a copy in the place of the hub's store, while the relay does not run, then end
///
/// The copy is read and checked first. The store that was there is kept beside it, with `.before` behind its name. Cursors that nodes have
/// mean nothing in the restored store: they begin again with the oldest message that is kept.
#[derive(Debug, Args)]
#[command(after_help = RESTORE_EXIT_CODES)]
pub(crate) struct RestoreArgs {
    /// File that `backup` made
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
}

impl BackupArgs {
    /// Copies the store in this folder.
    pub(crate) fn back_up(&self, directory: &Path) -> Result<(), BackupError> {
        back_up(directory, &self.to)?;
        let bytes = self.to.metadata().map_or(0, |data| data.len());
        eprintln!("{} bytes are in {}", bytes, self.to.display());
        Ok(())
    }
}

impl RestoreArgs {
    /// Puts the copy in the place of the store in this folder.
    pub(crate) fn restore(&self, directory: &Path) -> Result<(), BackupError> {
        restore(directory, &self.from)?;
        eprintln!("the hub's store in {} is restored", directory.display());
        Ok(())
    }
}

impl EnrollArgs {
    /// Enrols this machine; its identity goes to `directory`.
    pub(crate) fn enrol(&self, directory: &Path) -> Result<(), EnrolError> {
        let node = self
            .arguments
            .enrolment(directory)?
            .enrol(NodeKind::Relay)?;
        eprintln!(
            "this machine is {node}; its identity is in {}",
            directory.display()
        );
        Ok(())
    }
}

impl Flags {
    /// The configuration of file, environment and flags.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let identity = self
            .identity
            .as_ref()
            .map(|path| path.display().to_string());
        let mut config: Config = Loader::new(self.config.as_deref())?
            .variables(&COMMON_VARIABLES)?
            .flag("identity.directory", identity)
            .flag("log.level", self.log_level.map(Level::as_str))
            .finish()?;
        if !self.listen.is_empty() {
            config.listen = sections(&self.listen).map_err(|error| ConfigError::Wrong {
                place: "--listen".to_string(),
                what: error.to_string(),
            })?;
        }
        Ok(config)
    }
}

/// Prints data; a reader that went away has seen enough.
pub(crate) fn print(text: &str) -> Result<(), RelayError> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(RelayError::System(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sections(addresses: &[SocketAddr]) -> Result<Vec<ListenSection>, NameError> {
    let section = |(index, address): (usize, &SocketAddr)| {
        Ok(ListenSection {
            name: format!("listen-{}", index + 1).parse()?,
            address: *address,
            interface: None,
        })
    };
    addresses.iter().enumerate().map(section).collect()
}

const ENROLL_EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 the command line or the token is wrong, or there is an identity \
already; 3 the authority or the relay refuses; 4 the token has expired; 5 no relay, or not the authority, is reached.";

const BACKUP_EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, for example as there is no store, or something at PATH already; 2 the command \
line or the configuration is wrong.";

const RESTORE_EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, for example as the copy is damaged, and the store is as before; 2 the \
command line or the configuration is wrong; 3 a relay has the store open.";

const EXIT_CODES: &str = "Exit codes: 0 ended on SIGTERM or SIGINT, or done; 1 failed, for example as the port is in use; \
2 the command line, the configuration or the identity is wrong; 4 the certificate is not valid now.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_option_has_a_help_text() {
        let command = Flags::command();
        command.clone().debug_assert();
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{argument}");
        }
    }

    #[test]
    fn flags_win_over_the_defaults() {
        let line = "longrein-relay --identity /run/keys --listen 127.0.0.1:1 --listen [::1]:2 --log-level warn";
        let config = Flags::parse_from(line.split(' ')).config().unwrap();
        assert_eq!(config.identity.directory, PathBuf::from("/run/keys"));
        assert_eq!(config.log.level, Level::Warn);
        let listen: Vec<String> = config
            .listen
            .iter()
            .map(|section| format!("{} {}", section.name, section.address))
            .collect();
        assert_eq!(listen, ["listen-1 127.0.0.1:1", "listen-2 [::1]:2"]);
    }
}
