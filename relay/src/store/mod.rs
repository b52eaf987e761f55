//! What the hub keeps over restarts: records with revisions and journals with cursors, in SQLite.
//!
//! `docs/hub-store.md` says what is promised. A store writes from one thread and is read from another, by the [`Keeper`]; the hub's
//! thread waits for neither.

mod backup;
mod changes;
mod error;
mod file;
mod keeper;
mod limits;
mod pages;
mod reader;
mod schema;
mod sqlite;
#[cfg(test)]
mod testing;
mod writer;

pub use backup::{BackupError, back_up, restore};
pub use error::{OpenError, StoreError};
pub use keeper::{Busy, Keeper, KeeperCounts, KeeperError, Outcome, PageRead, Ticket};
pub use sqlite::Sqlite;

use std::sync::Arc;

use longrein_proto::hub::{JournalHead, Loaded, Page, Query, StoreOp};
use serde::{Deserialize, Serialize};

/// Where the hub's records and journals are kept. Records are keys with revisions, journals are streams with cursors: a back end that
/// several hubs share has both, and refuses all but the first of those who write the same revision.
pub trait Store: Send {
    /// What logs call it: a file or an address.
    fn place(&self) -> String;

    /// All but the messages, once, before anything else. Its time does not grow with the number of messages.
    ///
    /// # Errors
    /// When it cannot be read, or not be written.
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Stores these batches in this order, all or none of them, and returns when they last. What each of them did is in its place.
    ///
    /// # Errors
    /// Then nothing of them is stored, and the store goes on as before.
    fn commit(&mut self, batches: &[Vec<StoreOp>]) -> Result<Vec<Committed>, StoreError>;

    /// Writes something that changes nothing, to see whether it can be written again.
    ///
    /// # Errors
    /// When it cannot.
    fn probe(&mut self) -> Result<(), StoreError>;

    /// A way to read that waits for no commit.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn reader(&self) -> Result<Box<dyn StoreReader>, StoreError>;

    /// Ends it in good order. When it is not called, nothing that was committed is lost.
    ///
    /// # Errors
    /// When the order is not as good.
    fn close(self: Box<Self>) -> Result<(), StoreError>;
}

/// Reads messages beside a [`Store`] that is being written.
pub trait StoreReader: Send {
    /// A page of a journal as it stands in one moment; an empty one of a journal that is not there.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn read(&mut self, query: &Query) -> Result<Page, StoreError>;
}

/// What a batch did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// How the journals stand, after this batch, that it shortened and did not drop; by name.
    pub shortened: Vec<(Arc<str>, JournalHead)>,
}

/// When a commit lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// When the disk has it: a cut of the power costs nothing that was acknowledged.
    #[default]
    Full,
    /// When the kernel has it: a cut of the power may cost the newest of what was acknowledged, the end of the program nothing.
    Normal,
}
