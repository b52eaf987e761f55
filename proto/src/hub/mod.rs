//! The hub: rooms, presence, attributes, mailboxes and history.
//!
//! Nothing here knows legs or stores: a role brings frames and carries them, and its program stores what it is told to.

// The hub that is made of them comes next.
#[allow(dead_code)]
mod documents;
#[allow(dead_code)]
mod locks;
mod stored;

pub use stored::{Entry, JournalHead, Loaded, Page, Query, ReadFrom, StoreOp, Table};
