//! Why the hub does not do something.

use longrein_io::exit::Exit;
use longrein_io::remote::RemoteError;
use longrein_proto::wire::hub::HubRefusal;

/// Why the hub does not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HubError {
    /// The hub refuses; nothing of it has happened. Of `Busy` and `TooOften` it was asked several times.
    #[error("the hub refuses: {0}")]
    Refused(#[from] HubRefusal),
    /// No relay that is reached is a hub; nothing of it has happened.
    #[error("no hub is reached: is one of the relays set to be one, and is it up?")]
    NotReached,
    /// The hub did not answer in time: it may have happened or not. Messages may be sent again with the same id.
    #[error("the hub did not answer: what was asked may have been done or not")]
    TimedOut,
    /// This program asks for more at once than it may: wait for answers.
    #[error("too many requests to the hub are not answered yet")]
    TooMany,
    /// A handle for this is there already in this connection: a room, the mailbox or the letters are read in one place.
    #[error("this connection reads it already")]
    InUse,
    /// The hub answered something else than was asked for: its version does not fit.
    #[error("the hub answers something else than was asked for")]
    WrongAnswer,
    /// The connection is closed, or far behind.
    #[error(transparent)]
    Connection(#[from] RemoteError),
}

impl HubError {
    /// The exit code of a program that gives up.
    pub fn exit(&self) -> Exit {
        match self {
            HubError::Refused(HubRefusal::Expired) => Exit::Expired,
            HubError::Refused(_) => Exit::Refused,
            HubError::NotReached | HubError::TimedOut => Exit::Unreachable,
            HubError::TooMany
            | HubError::InUse
            | HubError::WrongAnswer
            | HubError::Connection(_) => Exit::Failed,
        }
    }
}
