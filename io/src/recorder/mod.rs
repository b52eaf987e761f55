//! The black box of a node: a bounded, signed and hash-chained record of what happened, in segment files of one folder.
//!
//! `docs/record.md` shows the bytes and says what [`verify`] finds and what it cannot find. A [`Recorder`] takes
//! [`Event`]s without ever waiting, and writes them on a thread of its own.

mod chain;
mod event;
mod field;
mod frame;
mod header;
pub mod limits;
mod log;
mod queue;
mod report;
mod segments;
#[cfg(test)]
mod testing;
mod verify;
mod writer;

pub use event::{Event, Kind};
pub use field::{Commanded, Fingerprint, Hex, Told};
pub use queue::Recorder;
pub use report::{Cut, Fault, Flaw, Head, Report};
pub use verify::{RecordError, Recorded, verify};

#[cfg(test)]
mod tests;
