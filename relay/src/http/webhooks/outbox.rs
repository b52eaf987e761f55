//! What a webhook has in the hub's store: events that wait, those that are dead, and how far everything is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longrein_io::clock;
use longrein_proto::base::Name;
use longrein_proto::hub::{JournalHead, Query, ReadFrom, StoreOp, Table};
use longrein_proto::wire::hub::MessageId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::kept::{Kept, new_id};
use super::window::Tries;
use crate::hub::{Annex, AnnexError, AnnexLoaded, JOURNALS};

/// One webhook's part of the store.
pub(in crate::http) struct Outbox {
    name: Name,
    annex: Annex,
    /// Journals of what waits and of what is dead.
    waiting: Arc<str>,
    dead: Arc<str>,
    state: Mutex<State>,
    /// Who appends has this, so that numbers follow each other.
    appending: tokio::sync::Mutex<()>,
    /// Who buries, gives back or switches has this.
    deciding: tokio::sync::Mutex<()>,
    /// Something waits, or is to go on.
    pub(super) news: Notify,
    /// Something waits no more.
    pub(super) room: Notify,
}

struct State {
    /// The number of the next event that comes.
    next: u64,
    /// The lowest one that may wait.
    low: u64,
    /// Events that wait, and their bytes.
    count: u64,
    bytes: u64,
    dead: JournalHead,
    /// Numbers of those among the dead that were given back.
    given_back: BTreeSet<u64>,
    /// By source.
    marks: BTreeMap<String, String>,
    tries: BTreeMap<u64, Tries>,
    off: Option<Off>,
    revisions: BTreeMap<String, u64>,
}

/// That nothing is posted any more: the receiver said that it is gone.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::http) struct Off {
    /// Since when, in milliseconds since 1970.
    pub(in crate::http) at_ms: u64,
    /// Where it was posted to: another address is tried.
    url: String,
}

/// A dead event.
pub(in crate::http) struct DeadLetter {
    pub(in crate::http) number: u64,
    pub(in crate::http) id: MessageId,
    pub(in crate::http) kept: Kept,
}

/// A record that is written, and what counts once it is stored.
struct Written {
    op: StoreOp,
    key: String,
    revision: u64,
}

impl Outbox {
    /// What was stored of it before.
    pub(super) fn new(name: Name, url: &str, annex: Annex, loaded: &AnnexLoaded) -> Outbox {
        let journal = |kind: &str| Arc::<str>::from(format!("{JOURNALS}{name}/{kind}"));
        let (waiting, dead) = (journal("waiting"), journal("dead"));
        let empty = JournalHead {
            first: 1,
            next: 1,
            ..JournalHead::default()
        };
        let head = |name: &Arc<str>| loaded.journals.get(name).copied().unwrap_or(empty);
        let own = own_records(&name, loaded);
        let mut marks = BTreeMap::new();
        for (key, (_, value)) in &own {
            if let Some(source) = key.strip_prefix(MARK)
                && let Ok(mark) = std::str::from_utf8(value)
            {
                marks.insert(source.to_string(), mark.to_string());
            }
        }
        let off: Option<Off> = read(&own, OFF).unwrap_or_default();
        let state = State {
            next: head(&waiting).next,
            low: head(&waiting).first,
            count: head(&waiting).count,
            bytes: head(&waiting).bytes,
            dead: head(&dead),
            given_back: read(&own, GIVEN_BACK).unwrap_or_default(),
            marks,
            tries: read(&own, TRIES).unwrap_or_default(),
            off: off.filter(|off| off.url == url),
            revisions: own
                .iter()
                .map(|(key, (at, _))| (key.to_string(), *at))
                .collect(),
        };
        Outbox {
            name,
            annex,
            waiting,
            dead,
            state: Mutex::new(state),
            appending: tokio::sync::Mutex::default(),
            deciding: tokio::sync::Mutex::default(),
            news: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Events that wait, and those that are dead.
    pub(super) fn counts(&self) -> (u64, u64) {
        let state = self.state();
        let given_back = u64::try_from(state.given_back.len()).unwrap_or(u64::MAX);
        (state.count, state.dead.count.saturating_sub(given_back))
    }

    pub(super) fn is_full(&self) -> bool {
        let state = self.state();
        state.count >= WAITING_MAX || state.bytes >= WAITING_BYTES_MAX
    }

    pub(in crate::http) fn off(&self) -> Option<Off> {
        self.state().off.clone()
    }

    /// How far a source was read.
    pub(super) fn mark(&self, source: &str) -> Option<String> {
        self.state().marks.get(source).cloned()
    }

    /// Where delivering begins, with what was tried before.
    pub(super) fn begin(&self) -> (u64, BTreeMap<u64, Tries>) {
        let state = self.state();
        (state.low, state.tries.clone())
    }

    /// The number behind the newest event.
    pub(super) fn end(&self) -> u64 {
        self.state().next
    }

    /// Stores new events, and how far their sources were read with them.
    ///
    /// # Errors
    /// Then none of it is stored.
    pub(super) async fn append(
        &self,
        events: Vec<Kept>,
        marks: BTreeMap<String, String>,
    ) -> Result<(), AnnexError> {
        let events = events.into_iter().map(|kept| (new_id(), kept)).collect();
        let written = |(source, mark): (&String, &String)| {
            self.write(&format!("{MARK}{source}"), mark.as_bytes())
        };
        let written = marks.iter().map(written).collect();
        self.add(events, written).await?;
        self.state().marks.extend(marks);
        Ok(())
    }

    async fn add(
        &self,
        events: Vec<(MessageId, Kept)>,
        written: Vec<Written>,
    ) -> Result<(), AnnexError> {
        let _alone = self.appending.lock().await;
        let (at_ms, mut next) = (clock::unix_ms(), self.end());
        let (mut count, mut bytes) = (0, 0);
        let mut ops = Vec::new();
        for (id, kept) in events {
            let entry = kept.entry(next, id, at_ms);
            count += 1;
            bytes += length(kept.body.get().as_bytes());
            next += 1;
            let journal = Arc::clone(&self.waiting);
            ops.push(StoreOp::Append { journal, entry });
        }
        self.commit(ops, written).await?;
        {
            let mut state = self.state();
            state.next = next;
            state.count += count;
            state.bytes += bytes;
        }
        self.news.notify_one();
        Ok(())
    }

    /// A page of what waits from this number on.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) async fn page(
        &self,
        from: u64,
    ) -> Result<Vec<(u64, MessageId, Option<Kept>)>, AnnexError> {
        self.read(&self.waiting, ReadFrom::Number(from), false, PAGE)
            .await
    }

    /// This event waits no more.
    pub(super) fn on_done(&self, kept: &Kept) {
        {
            let mut state = self.state();
            state.count = state.count.saturating_sub(1);
            let bytes = length(kept.body.get().as_bytes());
            state.bytes = state.bytes.saturating_sub(bytes);
            if state.count == 0 {
                state.bytes = 0;
            }
        }
        self.room.notify_one();
    }

    /// What is below this number is done with, and these were tried in vain.
    ///
    /// # Errors
    /// Then it counts as waiting at the next start.
    pub(super) async fn settle(
        &self,
        low: u64,
        tries: BTreeMap<u64, Tries>,
    ) -> Result<(), AnnexError> {
        let journal = Arc::clone(&self.waiting);
        let ops = vec![StoreOp::Discard {
            journal,
            below: low,
        }];
        let is_news = self.state().tries != tries;
        let written = is_news.then(|| self.write(TRIES, &to_json(&tries)));
        self.commit(ops, written.into_iter().collect()).await?;
        let mut state = self.state();
        state.low = low;
        state.tries = tries;
        Ok(())
    }

    /// Keeps an event that is dead, and forgets the oldest ones when there are too many.
    ///
    /// # Errors
    /// Then it is not kept.
    pub(super) async fn bury(&self, id: MessageId, kept: &Kept) -> Result<(), AnnexError> {
        let _alone = self.deciding.lock().await;
        let number = self.state().dead.next;
        let entry = kept.entry(number, id, clock::unix_ms());
        let bytes = length(&entry.bytes);
        let journal = Arc::clone(&self.dead);
        let ops = vec![
            StoreOp::Append {
                journal: Arc::clone(&journal),
                entry,
            },
            StoreOp::Retain {
                journal,
                count_max: DEAD_MAX,
                bytes_max: DEAD_BYTES_MAX,
                not_before_ms: 0,
            },
        ];
        let heads = self.commit(ops, Vec::new()).await?;
        let mut state = self.state();
        state.dead.next = number + 1;
        state.dead.count += 1;
        state.dead.bytes += bytes;
        if let Some((_, head)) = heads.into_iter().find(|(name, _)| *name == self.dead) {
            state.dead = head;
            state.given_back.retain(|number| *number >= head.first);
        }
        Ok(())
    }

    /// Dead events, the newest first, older than this number.
    ///
    /// # Errors
    /// They cannot be read.
    pub(in crate::http) async fn dead_letters(
        &self,
        below: Option<u64>,
        count: usize,
    ) -> Result<Vec<DeadLetter>, AnnexError> {
        let mut below = below.unwrap_or(u64::MAX);
        let mut letters = Vec::new();
        while letters.len() < count && below > 1 {
            let from = ReadFrom::Number(below - 1);
            let page = self.read(&self.dead, from, true, PAGE).await?;
            let Some((oldest, ..)) = page.last() else {
                break;
            };
            below = *oldest;
            let state = self.state();
            let there = page.into_iter();
            let there = there.filter(|(number, ..)| !state.given_back.contains(number));
            letters.extend(there.filter_map(|(number, id, kept)| {
                let kept = kept?;
                Some(DeadLetter { number, id, kept })
            }));
        }
        letters.truncate(count);
        Ok(letters)
    }

    /// Has a dead event wait again; false when there is none with this name. Not to be given up: what is stored would not be known.
    ///
    /// # Errors
    /// It is not stored.
    pub(in crate::http) async fn give_back(&self, id: MessageId) -> Result<bool, AnnexError> {
        let _alone = self.deciding.lock().await;
        let mut below = None;
        loop {
            let page = self.dead_letters(below, PAGE).await?;
            let Some(oldest) = page.last().map(|letter| letter.number) else {
                return Ok(false);
            };
            below = Some(oldest);
            let Some(found) = page.into_iter().find(|letter| letter.id == id) else {
                continue;
            };
            let mut kept = found.kept;
            kept.end = None;
            let mut given_back = self.state().given_back.clone();
            given_back.insert(found.number);
            let written = self.write(GIVEN_BACK, &to_json(&given_back));
            self.add(vec![(id, kept)], vec![written]).await?;
            self.state().given_back = given_back;
            return Ok(true);
        }
    }

    /// Nothing is posted any more, or it is again. Not to be given up either.
    ///
    /// # Errors
    /// It is not stored.
    pub(in crate::http) async fn switch(&self, off_url: Option<&str>) -> Result<(), AnnexError> {
        let _alone = self.deciding.lock().await;
        let off = off_url.map(|url| Off {
            at_ms: clock::unix_ms(),
            url: url.to_string(),
        });
        let written = self.write(OFF, &to_json(&off));
        self.commit(Vec::new(), vec![written]).await?;
        self.state().off = off;
        self.news.notify_one();
        Ok(())
    }

    async fn read(
        &self,
        journal: &Arc<str>,
        from: ReadFrom,
        backwards: bool,
        count_max: usize,
    ) -> Result<Vec<(u64, MessageId, Option<Kept>)>, AnnexError> {
        let query = Query {
            journal: Arc::clone(journal),
            from,
            backwards,
            count_max,
            bytes_max: PAGE_BYTES,
        };
        let page = self.annex.read(query).await?;
        let entries = page.entries.iter();
        Ok(entries
            .map(|entry| (entry.number, entry.id, Kept::read(entry)))
            .collect())
    }

    fn write(&self, key: &str, value: &[u8]) -> Written {
        let revision = self.state().revisions.get(key).map_or(1, |at| at + 1);
        Written {
            op: StoreOp::Put {
                table: Table::Webhooks,
                key: format!("{}/{key}", self.name),
                revision,
                value: value.into(),
            },
            key: key.to_string(),
            revision,
        }
    }

    async fn commit(
        &self,
        mut ops: Vec<StoreOp>,
        written: Vec<Written>,
    ) -> Result<Vec<(Arc<str>, JournalHead)>, AnnexError> {
        let mut revisions = Vec::new();
        for written in written {
            ops.push(written.op);
            revisions.push((written.key, written.revision));
        }
        let committed = self.annex.commit(ops).await?;
        self.state().revisions.extend(revisions);
        Ok(committed.shortened)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be removed of webhooks that are not configured any more.
pub(super) fn leftovers(loaded: &AnnexLoaded, names: &BTreeSet<String>) -> Vec<StoreOp> {
    let is_left = |name: Option<&str>| name.is_none_or(|name| !names.contains(name));
    let journals = loaded.journals.keys().filter(|journal| {
        let name = journal.strip_prefix(JOURNALS);
        is_left(name.and_then(|name| name.split('/').next()))
    });
    let journals = journals.map(|journal| StoreOp::Drop {
        journal: Arc::clone(journal),
    });
    let records = loaded.records.keys();
    let records = records.filter(|key| is_left(key.split('/').next()));
    let records = records.map(|key| StoreOp::Remove {
        table: Table::Webhooks,
        key: key.clone(),
    });
    journals.chain(records).collect()
}

type Records<'a> = BTreeMap<&'a str, (u64, &'a Arc<[u8]>)>;

fn own_records<'a>(name: &Name, loaded: &'a AnnexLoaded) -> Records<'a> {
    let prefix = format!("{name}/");
    let own = loaded.records.iter();
    let own = own.filter_map(|(key, (revision, value))| {
        let key = key.strip_prefix(&prefix)?;
        Some((key, (*revision, value)))
    });
    own.collect()
}

fn read<T: DeserializeOwned>(records: &Records<'_>, key: &str) -> Option<T> {
    let (_, value) = records.get(key)?;
    serde_json::from_slice(value).ok()
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Keys of records, behind the webhook's name.
const MARK: &str = "mark/";
const OFF: &str = "off";
const TRIES: &str = "tries";
const GIVEN_BACK: &str = "given-back";
/// Events that wait for one webhook: what comes then waits in its topic or mailbox.
const WAITING_MAX: u64 = 10_000;
/// Bytes of them.
const WAITING_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Dead events of one webhook.
const DEAD_MAX: u64 = 1_000;
/// Bytes of them.
const DEAD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Events that are read at once.
const PAGE: usize = 64;
/// Bytes of them, but always one.
const PAGE_BYTES: usize = 1024 * 1024;
