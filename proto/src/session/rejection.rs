//! Why an envelope is dropped.

/// Why an envelope is dropped. Nothing else has changed then, unless it is said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Rejection {
    /// It belongs to another session.
    #[error("other session")]
    OtherSession,
    /// Its number was seen before: a copy or a replay.
    #[error("replayed")]
    Replayed,
    /// Its number is older than the replay window.
    #[error("older than the replay window")]
    TooOld,
    /// There is no key of its phase.
    #[error("no key of this phase")]
    UnknownKey,
    /// Its seal is not genuine.
    #[error("forged")]
    Forged,
    /// Its number is beyond all bounds; or its seal is genuine, but what is inside cannot be read, or does not fit its
    /// flow: then its number counts as seen.
    #[error("malformed")]
    Malformed,
    /// Too many deliveries wait for [`super::Session::poll_delivery`], or it is early and too much is held back already. Its
    /// number does not count as seen.
    #[error("no room for it now")]
    Busy,
    /// The session has ended.
    #[error("session has ended")]
    Ended,
}
