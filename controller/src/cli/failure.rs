//! How a verb fails: one line and an exit code.

use std::fmt;
use std::io;

use longrein_io::config::ConfigError;
use longrein_io::exit::Exit;
use longrein_io::remote::RemoteError;

use crate::fleet::FleetError;
use crate::hub::HubError;
use crate::input::InputError;
use crate::{ConnectError, OpenError, QueryError, RequestError, StopError};

/// How a verb fails: one line that says what to do, and an exit code.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    line: String,
}

impl Failure {
    /// A failure that says this.
    pub fn new(exit: Exit, line: impl fmt::Display) -> Failure {
        let line = line.to_string();
        Failure { exit, line }
    }

    /// A signal came before the verb was done.
    pub fn interrupted(signal: &str) -> Failure {
        Failure::new(Exit::Failed, format!("interrupted by {signal}"))
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

macro_rules! with_exit {
    ($($error:ty),+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::new(error.exit(), error)
            }
        })+
    };
}

with_exit!(
    ConfigError,
    ConnectError,
    HubError,
    OpenError,
    QueryError,
    RequestError,
    StopError
);

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Failure {
        Failure::new(Exit::Failed, error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::new(Exit::Failed, error)
    }
}

impl From<FleetError> for Failure {
    fn from(error: FleetError) -> Failure {
        let exit = match error {
            FleetError::NamedTwice(_) => Exit::Usage,
            FleetError::Exists(_)
            | FleetError::NoAuthority(_)
            | FleetError::BadAuthority { .. }
            | FleetError::SecondAuthority(_)
            | FleetError::TooLarge { .. }
            | FleetError::BadRegister(_)
            | FleetError::File(_)
            | FleetError::Io { .. }
            | FleetError::Certificate(_) => Exit::Failed,
        };
        Failure::new(exit, error)
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Failure {
        let exit = match error {
            InputError::Terminal(_) | InputError::Device { .. } => Exit::Failed,
            InputError::NoTerminal
            | InputError::NoGamepad
            | InputError::NoPermission
            | InputError::NotAGamepad { .. }
            | InputError::Script { .. }
            | InputError::NoLine { .. }
            | InputError::ScriptLine { .. } => Exit::Usage,
        };
        Failure::new(exit, error)
    }
}

#[cfg(test)]
mod tests {
    use longrein_proto::base::Refusal;

    use super::*;

    #[test]
    fn a_refusal_says_by_whom_and_has_its_exit_code() {
        let holder = "controller/bob".parse().unwrap();
        let failure = Failure::from(RequestError::Refused(Refusal::HeldBy(holder)));
        assert_eq!(
            failure.to_string(),
            "the vehicle refuses: held by controller/bob"
        );
        assert_eq!(failure.exit(), Exit::Refused);
    }

    #[test]
    fn what_a_fleets_files_lack_is_said_once() {
        let why = io::Error::other("the disk is full");
        let path = "harbour".into();
        let failure = Failure::from(FleetError::Io { path, why });
        assert_eq!(failure.to_string(), "harbour: the disk is full");
        assert_eq!(failure.exit(), Exit::Failed);
    }

    #[test]
    fn a_node_that_is_named_twice_is_a_mistake_of_the_command_line() {
        let relay = "relay/east".parse().unwrap();
        let failure = Failure::from(FleetError::NamedTwice(relay));
        assert_eq!(failure.exit(), Exit::Usage);
    }
}
