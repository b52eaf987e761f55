//! What goes between the vehicle's own programs, at the control thread, and the hub, with which the network thread speaks.
//!
//! Neither thread waits for the other. What comes from the hub is text for clients here, and nothing else: no function, no stop and
//! no watchdog hears of it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use longrein_proto::base::limits::DOCUMENT_ITEMS_MAX;
use longrein_proto::base::{Name, NodeName};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The control thread's end.
#[derive(Debug)]
pub struct Post {
    shelf: Shelf,
    asks: Sender<Asked>,
}

/// The network thread's end.
#[derive(Debug)]
pub struct Office {
    /// Where words for clients are put.
    pub shelf: Shelf,
    /// What clients ask.
    pub asks: Receiver<Asked>,
}

/// Where the network thread puts words for clients, and the control thread takes them.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Arc<Mutex<Words>>);

/// Words for clients.
#[derive(Debug, Default)]
pub struct Words {
    /// How the vehicle shall be, when that is news.
    pub desired: Option<Desired>,
    /// For one client each, by its number.
    pub own: VecDeque<(u64, String)>,
}

/// How the vehicle shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Of the document.
    pub revision: u64,
    /// Its items as one JSON object.
    pub items: String,
    /// Names of items that changed, or are gone, since the last time.
    pub changed: BTreeSet<Name>,
}

/// What a client asks of the hub.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its number.
    pub client: u64,
    /// Named by the answer.
    pub id: Option<u64>,
    /// What.
    pub what: HubAsk,
}

/// What a client asks of the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubAsk {
    /// Reports an item of the vehicle, or takes it back.
    Report {
        /// Its name.
        key: Name,
        /// What it is, as JSON.
        value: Option<String>,
    },
    /// Takes letters for the vehicle from now on.
    Letters,
    /// Has gone, and takes no letters any more.
    Gone,
    /// Did what a letter says, or did not.
    Outcome {
        /// Its number.
        letter: u64,
        /// Why it did not.
        declined: Option<Name>,
    },
    /// Sends a letter.
    Send {
        /// To whom.
        to: Vec<NodeName>,
        /// What it is about.
        flow: Name,
        /// How long it is worth anything.
        ttl: Duration,
        /// Whether it goes through mailboxes.
        is_kept: bool,
        /// What it says, as JSON.
        payload: String,
    },
}

/// Both ends.
pub fn post() -> (Post, Office) {
    let shelf = Shelf::default();
    let (sender, asks) = channel(ASKS_WAITING_MAX);
    let post = Post {
        shelf: shelf.clone(),
        asks: sender,
    };
    (post, Office { shelf, asks })
}

impl Post {
    /// Passes on what a client asks; false when too much waits.
    pub fn ask(&self, asked: Asked) -> bool {
        self.asks.try_send(asked).is_ok()
    }

    /// What there is for clients, unless the other thread is at the shelf at this moment.
    // [SAFE-28]
    pub fn take(&self) -> Option<Words> {
        match self.shelf.0.try_lock() {
            Ok(mut words) if words.desired.is_some() || !words.own.is_empty() => {
                Some(std::mem::take(&mut *words))
            }
            Ok(_) | Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => None,
        }
    }
}

impl Shelf {
    /// Puts how the vehicle shall be; what was there goes, but for the names of what changed.
    pub fn put_desired(&self, mut desired: Desired) {
        if let Ok(mut words) = self.0.lock() {
            if let Some(before) = words.desired.take() {
                note_changed(&mut desired.changed, &before.changed);
            }
            words.desired = Some(desired);
        }
    }

    /// Puts a word for one client; false when too many wait, because the control thread is stuck.
    pub fn put(&self, client: u64, word: String) -> bool {
        let Ok(mut words) = self.0.lock() else {
            return false;
        };
        let has_room = words.own.len() < WORDS_WAITING_MAX;
        if has_room {
            words.own.push_back((client, word));
        }
        has_room
    }
}

impl Desired {
    /// No message is longer, as long as no more items have changed than a document has.
    pub fn bytes_max(&self) -> usize {
        self.items.len() + MESSAGE_FRONT_MAX
    }

    /// The message for a client that did not hear of these changes.
    pub fn to_json(&self, changed: &BTreeSet<Name>) -> String {
        let mut names = String::new();
        for name in changed.iter().take(CHANGED_MAX) {
            let comma = if names.is_empty() { "" } else { "," };
            // A string takes all that is written.
            let _ = write!(names, "{comma}\"{name}\"");
        }
        format!(
            r#"{{"desired":{{"revision":{},"items":{},"changed":[{names}]}}}}"#,
            self.revision, self.items
        )
    }
}

/// Notes names of items that changed, as many as two documents have: more no honest hub says.
pub(super) fn note_changed<'a>(all: &mut BTreeSet<Name>, more: impl IntoIterator<Item = &'a Name>) {
    all.extend(more.into_iter().cloned());
    while all.len() > CHANGED_MAX {
        all.pop_last();
    }
}

/// Names of items that changed.
const CHANGED_MAX: usize = 2 * DOCUMENT_ITEMS_MAX;
/// What clients ask that waits for the network thread: more is refused as busy.
const ASKS_WAITING_MAX: usize = 64;
/// Words for clients that wait for the control thread: answers to all that may be asked, and letters.
const WORDS_WAITING_MAX: usize = 256;

/// Bytes of a message beside the items: names of all items of two documents, and what stands around them.
const MESSAGE_FRONT_MAX: usize = CHANGED_MAX * (Name::BYTES_MAX + 3) + 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn desired(revision: u64, changed: &str) -> Desired {
        Desired {
            revision,
            items: "{}".to_string(),
            changed: BTreeSet::from([changed.parse().unwrap()]),
        }
    }

    #[test]
    fn who_was_slow_reads_the_newest_state_and_all_names_that_changed() {
        let (post, office) = post();
        office.shelf.put_desired(desired(1, "a"));
        office.shelf.put_desired(desired(2, "b"));
        let words = post.take().unwrap();
        let json = words.desired.unwrap();
        let json = json.to_json(&json.changed);
        assert_eq!(
            json,
            r#"{"desired":{"revision":2,"items":{},"changed":["a","b"]}}"#
        );
        assert!(post.take().is_none());
    }

    /// SAFE-28
    #[test]
    fn the_control_thread_does_not_wait_for_the_hub() {
        let (post, office) = post();
        office.shelf.put(1, "word".to_string());
        let busy = office.shelf.0.lock().unwrap();
        assert!(post.take().is_none());
        drop(busy);
        assert_eq!(post.take().unwrap().own.len(), 1);
        for number in 0..1_000 {
            office.shelf.put(number, String::new());
        }
        assert_eq!(post.take().unwrap().own.len(), WORDS_WAITING_MAX);
        let asked = || Asked {
            client: 1,
            id: None,
            what: HubAsk::Letters,
        };
        let taken = (0..1_000).filter(|_| post.ask(asked())).count();
        assert_eq!(taken, ASKS_WAITING_MAX);
    }
}
