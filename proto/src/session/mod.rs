//! A session: two nodes end to end. Numbers, replay windows, order, receipts, the far clock and compression.
//!
//! Nothing here knows legs or paths: a session seals an [`Outbound`] once, and whoever carries it may copy it at will.

mod clock;
mod compress;
mod dictionary;
mod fragment;
mod in_order;
mod incoming;
mod judge;
mod outgoing;
mod receiver;
mod rejection;
mod report;
#[cfg(test)]
mod samples;
mod sender;
#[expect(
    clippy::module_inception,
    reason = "the file is named after its main type"
)]
mod session;
#[cfg(test)]
mod tests;
mod window;

pub use clock::{Age, FarClock, SampleUse};
pub use compress::{Compressor, Decompressor, Garbled};
pub use dictionary::{Dictionaries, DictionariesError, Dictionary, DictionaryError};
pub use receiver::{Delivery, FlowStats};
pub use rejection::Rejection;
pub use sender::{Outbound, Receipt, Resolution, SendError};
pub use session::{Counters, Session};
pub use window::{Replay, ReplayWindow};
