//! What a program's exit code means.

use std::process::ExitCode;

/// How a program ended, for scripts and systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// What was asked is done.
    Done = 0,
    /// It failed; the message says why.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The vehicle, a relay or the fleet refused.
    Refused = 3,
    /// It took too long, or a certificate is no longer valid.
    Expired = 4,
    /// No relay, or not the vehicle, could be reached.
    Unreachable = 5,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
