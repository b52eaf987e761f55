//! The command line of `longrein-agent`.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use longrein_io::config::{COMMON_VARIABLES, ConfigError, Loader, Variable};
use longrein_io::enrol::{EnrolArguments, EnrolError};
use longrein_io::log::Level;
use longrein_proto::base::NodeKind;

use crate::config::Config;
use crate::error::AgentError;

/// Keeps the vehicle's links to the relays, and is its authority over who drives it.
///
/// Flags win over environment variables (LONGREIN_IDENTITY_DIRECTORY, LONGREIN_STATE_DIRECTORY, LONGREIN_LOG_LEVEL), those
/// over the file.
#[derive(Debug, Parser)]
#[command(name = "longrein-agent", version, after_help = EXIT_CODES)]
pub(crate) struct Flags {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Folder with authority.pem, node.pem and node.key
    #[arg(long, value_name = "DIR")]
    identity: Option<PathBuf>,

    /// Folder for what must be known after a restart
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// How much to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<Level>,

    /// Check the configuration and the identity, then end
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
    Doctor(DoctorArgs),
}

/// Make this machine an agent of a fleet, with a token of its authority, then end
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

/// Look at all that the agent needs here, and say what to do where something is missing, then end
///
/// Looks at clock, identity, certificate, folders, kernel, systemd unit, links and relays: of each link to each relay whether
/// packets come back, how many are lost, and whether both believe each other's certificate. It changes nothing, and does not
/// disturb an agent that runs. Run it as the agent's user or as root, with the same --config, --identity and --state.
#[derive(Debug, Args)]
#[command(after_help = DOCTOR_EXIT_CODES)]
pub(crate) struct DoctorArgs {
    /// Print one JSON object a line for each finding: its level (ok, warn, fail), what was looked at, what was found, what to do
    #[arg(long)]
    pub(crate) json: bool,
}

impl EnrollArgs {
    /// Enrols this machine; its identity goes to `directory`.
    pub(crate) fn enrol(&self, directory: &Path) -> Result<(), EnrolError> {
        let node = self
            .arguments
            .enrolment(directory)?
            .enrol(NodeKind::Agent)?;
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
        let text =
            |path: &Option<PathBuf>| path.as_deref().map(Path::display).map(|p| p.to_string());
        Loader::new(self.config.as_deref())?
            .variables(&COMMON_VARIABLES)?
            .variables(&VARIABLES)?
            .flag("identity.directory", text(&self.identity))
            .flag("state_directory", text(&self.state))
            .flag("log.level", self.log_level.map(Level::as_str))
            .finish()
    }
}

/// Prints data; a reader that went away has seen enough.
pub(crate) fn print(text: &str) -> Result<(), AgentError> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(AgentError::System(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

const VARIABLES: [Variable; 1] = [Variable::text(
    "LONGREIN_STATE_DIRECTORY",
    "state_directory",
)];

const ENROLL_EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 the command line or the token is wrong, or there is an identity \
already; 3 the authority or the relay refuses; 4 the token has expired; 5 no relay, or not the authority, is reached.";

const DOCTOR_EXIT_CODES: &str = "Exit codes: 0 nothing fails; 1 something does; 2 the command line or the configuration is wrong.";

const EXIT_CODES: &str = "Exit codes: 0 ended on SIGTERM or SIGINT, or done; 1 failed, for example as the record of fencing \
tokens is damaged; 2 the command line, the configuration or the identity is wrong; 4 the certificate is not valid now.";

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
        let line = "longrein-agent --identity /run/keys --state /run/state --log-level warn";
        let config = Flags::parse_from(line.split(' ')).config().unwrap();
        assert_eq!(config.identity.directory, PathBuf::from("/run/keys"));
        assert_eq!(config.state_directory, PathBuf::from("/run/state"));
        assert_eq!(config.log.level, Level::Warn);
    }
}
