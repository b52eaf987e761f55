//! Attributes of nodes and rooms.

use longrein_proto::base::{Name, NodeName};
use longrein_proto::wire::hub::{
    Answer, Bytes, Change, Document, LockClaim, Owner, Request, Section,
};
use tokio::sync::watch;

use super::{Hub, HubError, LockGuard};

/// Changes of a document, made all or none by [`Hub::set`].
///
/// ```
/// use longrein::hub::{Owner, Section, Write};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let truck = Owner::Node("agent/truck-17".parse()?);
/// let write = Write::new(truck, Section::Attributes)
///     .if_revision(4)
///     .set("label.site".parse()?, b"north".as_slice())
///     .unset("driver".parse()?);
/// # drop(write);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    owner: Owner,
    section: Section,
    if_revision: Option<u64>,
    changes: Vec<Change>,
    lock: Option<LockClaim>,
    lease: Option<NodeName>,
}

impl Write {
    /// No changes yet.
    pub fn new(owner: Owner, section: Section) -> Write {
        Write {
            owner,
            section,
            if_revision: None,
            changes: Vec::new(),
            lock: None,
            lease: None,
        }
    }

    /// Only if the document has this revision; 0: only if it was never written.
    #[must_use]
    pub fn if_revision(mut self, revision: u64) -> Write {
        self.if_revision = Some(revision);
        self
    }

    /// Gives an item this value.
    #[must_use]
    pub fn set(self, key: Name, value: impl Into<Bytes>) -> Write {
        self.change(key, None, Some(value.into()))
    }

    /// The same, only if the item has this revision; 0: only if it is not there.
    #[must_use]
    pub fn set_if(self, key: Name, revision: u64, value: impl Into<Bytes>) -> Write {
        self.change(key, Some(revision), Some(value.into()))
    }

    /// Removes an item.
    #[must_use]
    pub fn unset(self, key: Name) -> Write {
        self.change(key, None, None)
    }

    /// Only while this lock is held, which has to be of the same owner.
    #[must_use]
    pub fn locked_by(mut self, guard: &LockGuard) -> Write {
        self.lock = Some(guard.claim());
        self
    }

    /// Only while this node holds a lease of this vehicle.
    #[must_use]
    pub fn leased(mut self, vehicle: NodeName) -> Write {
        self.lease = Some(vehicle);
        self
    }

    fn change(mut self, key: Name, if_revision: Option<u64>, value: Option<Bytes>) -> Write {
        self.changes.push(Change {
            key,
            if_revision,
            value,
        });
        self
    }
}

impl Hub {
    /// What a document says; of revision 0 when it was never written.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn document(&self, owner: &Owner, section: Section) -> Result<Document, HubError> {
        let owner = owner.clone();
        let Answer::Document(document) = self.ask(Request::Document { owner, section }).await?
        else {
            return Err(HubError::WrongAnswer);
        };
        Ok(document)
    }

    /// Changes a document; its revision from now on.
    ///
    /// After [`HubError::TimedOut`] a write with [`Write::if_revision`] can be made again: one that was done already conflicts.
    ///
    /// # Errors
    /// [`super::HubRefusal::Conflict`] with the revision that it has, [`super::HubRefusal::NotHolder`],
    /// [`super::HubRefusal::NoLease`], and see [`Hub`].
    pub async fn set(&self, write: Write) -> Result<u64, HubError> {
        let request = Request::Set {
            owner: write.owner,
            section: write.section,
            if_revision: write.if_revision,
            changes: write.changes,
            lock: write.lock,
            lease: write.lease,
        };
        let Answer::Done { revision } = self.ask(request).await? else {
            return Err(HubError::WrongAnswer);
        };
        Ok(revision)
    }

    /// Hears from now on how a document changes, first how it stands now.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn watch_document(
        &self,
        owner: &Owner,
        section: Section,
    ) -> Result<DocumentWatch, HubError> {
        let (tell, document) = watch::channel(None);
        let place = (owner.clone(), section);
        let number = self
            .desk(move |board, _, _| board.watch_document(place, tell))
            .await?;
        // From here on it is ended by the handle's drop.
        let watch = DocumentWatch {
            hub: self.clone(),
            number,
            document,
        };
        let request = Request::WatchDocument {
            watch: number,
            owner: owner.clone(),
            section,
        };
        self.done(request).await?;
        Ok(watch)
    }
}

/// A document as it changes, until the handle is dropped. A slow reader sees the newest one, and not each in between.
#[derive(Debug)]
pub struct DocumentWatch {
    hub: Hub,
    number: u32,
    document: watch::Receiver<Option<Document>>,
}

impl DocumentWatch {
    /// The whole document, once it is known or has changed; none when the connection has ended, or the hub did not take the watch again
    /// after it was away. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Document> {
        loop {
            self.document.changed().await.ok()?;
            let document = self.document.borrow_and_update().clone();
            if document.is_some() {
                return document;
            }
        }
    }
}

impl Drop for DocumentWatch {
    fn drop(&mut self) {
        let watch = self.number;
        // When the drive loop is behind, it finds the abandoned watch by itself.
        drop(
            self.hub
                .tell_desk(move |board, _, caller| board.unwatch(caller, watch)),
        );
    }
}
