//! Why something could not be done. Each error knows the exit code of a program that gives up because of it.

use std::io;

use longrein_io::config::ConfigError;
use longrein_io::exit::Exit;
use longrein_io::keys::IdentityError;
use longrein_io::remote::RemoteError;
use longrein_proto::base::{Name, Refusal};
use longrein_proto::role::SendCommandError;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The identity's files cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Relays or links are wrong.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// No relay was reached in time, or every one refused.
    #[error("{line}")]
    NoRelay {
        /// What is wrong with each route, and what to do.
        line: String,
        /// What that means for a program.
        exit: Exit,
    },
    /// The system gives no thread, timer or socket.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
    /// The identity's key cannot be used for TLS.
    #[error("the identity's key cannot be used: {0}")]
    Key(String),
}

impl ConnectError {
    /// The exit code of a program that gives up.
    pub fn exit(&self) -> Exit {
        match self {
            ConnectError::Identity(error) => error.exit(),
            ConnectError::Settings(error) => error.exit(),
            ConnectError::NoRelay { exit, .. } => *exit,
            ConnectError::System(_) => Exit::Failed,
            ConnectError::Key(_) => Exit::Usage,
        }
    }
}

/// Why the vehicles are not known.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No relay answered in time.
    #[error("no relay answered: try again")]
    NoAnswer,
    /// The connection is closed, or far behind.
    #[error(transparent)]
    Connection(#[from] RemoteError),
}

impl QueryError {
    /// The exit code of a program that gives up.
    pub fn exit(&self) -> Exit {
        match self {
            QueryError::NoAnswer => Exit::Unreachable,
            QueryError::Connection(_) => Exit::Failed,
        }
    }
}

/// Why there is no session with a vehicle.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No relay knows it.
    #[error(
        "no relay knows a vehicle {vehicle}: see `longrein vehicles`, and whether its agent runs and uses the same relays"
    )]
    Absent {
        /// The vehicle.
        vehicle: Name,
    },
    /// It is there and does not answer.
    #[error(
        "vehicle {vehicle} is connected and does not answer: see its agent's log for a refused certificate or a wrong clock"
    )]
    NoAnswer {
        /// The vehicle.
        vehicle: Name,
    },
    /// The connection is closed, or far behind.
    #[error(transparent)]
    Connection(#[from] RemoteError),
}

impl OpenError {
    /// The exit code of a program that gives up.
    pub fn exit(&self) -> Exit {
        match self {
            OpenError::Absent { .. } | OpenError::NoAnswer { .. } => Exit::Unreachable,
            OpenError::Connection(_) => Exit::Failed,
        }
    }
}

/// Why a request to a vehicle is not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no session with the vehicle now: try again.
    #[error("the session with the vehicle is lost")]
    NoSession,
    /// The vehicle has no such function.
    #[error("the vehicle has no function {function}: it has {}", list(.known))]
    NoSuchFunction {
        /// What was asked for.
        function: Name,
        /// What it has.
        known: Vec<Name>,
    },
    /// The vehicle refuses.
    #[error("the vehicle refuses: {0}")]
    Refused(Refusal),
    /// The vehicle does not answer in time; it may still do what was asked.
    #[error("the vehicle does not answer")]
    NoAnswer,
    /// The connection is closed, or far behind.
    #[error(transparent)]
    Connection(#[from] RemoteError),
}

impl RequestError {
    /// The exit code of a program that gives up.
    pub fn exit(&self) -> Exit {
        match self {
            RequestError::NoSession | RequestError::NoAnswer => Exit::Unreachable,
            RequestError::NoSuchFunction { .. } => Exit::Usage,
            RequestError::Refused(_) => Exit::Refused,
            RequestError::Connection(_) => Exit::Failed,
        }
    }
}

/// Why a command is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The lease is over: see [`crate::Lease::lost`].
    #[error("the lease is lost")]
    LeaseLost,
    /// The protocol does not take it.
    #[error(transparent)]
    Command(#[from] SendCommandError),
    /// The connection is closed, or far behind.
    #[error(transparent)]
    Connection(#[from] RemoteError),
}

/// Why a vehicle is not known to be stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// It did not answer in time: it may be stopped or not.
    #[error("vehicle {vehicle} did not answer the stop: it may still be moving")]
    Unanswered {
        /// The vehicle.
        vehicle: Name,
    },
    /// The connection is closed, or far behind.
    #[error(transparent)]
    Connection(#[from] RemoteError),
}

impl StopError {
    /// The exit code of a program that gives up.
    pub fn exit(&self) -> Exit {
        match self {
            StopError::Unanswered { .. } => Exit::Unreachable,
            StopError::Connection(_) => Exit::Failed,
        }
    }
}

fn list(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    if names.is_empty() {
        "none".to_string()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_function_is_answered_with_those_that_are_known() {
        let known = ["drive", "mavlink"].map(|name| name.parse().unwrap());
        let error = RequestError::NoSuchFunction {
            function: "arm".parse().unwrap(),
            known: known.to_vec(),
        };
        assert_eq!(
            error.to_string(),
            "the vehicle has no function arm: it has drive, mavlink"
        );
        assert_eq!(error.exit(), Exit::Usage);
    }
}
