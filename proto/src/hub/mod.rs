//! The hub: rooms, presence, attributes, mailboxes and history.
//!
//! Nothing here knows legs or stores: a role brings frames and carries them, and its program stores what it is told to.

mod stored;

pub use stored::{Entry, JournalHead, Loaded, Page, Query, ReadFrom, StoreOp, Table};
