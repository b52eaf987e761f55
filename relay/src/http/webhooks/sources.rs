//! What a webhook reads, each source by a stream of its own, as server-sent events are made: what one of them lacks stops no other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use longrein_io::clock;
use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::Entropy;
use longrein_proto::wire::hub::Selector;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::backoff;
use super::hook::Hook;
use super::kept::Kept;
use super::recorder::Told;
use super::section::Event;
use crate::http::api::events::{Ending, Positions, Sink, Stream, Unread, Wanted};
use crate::hub::Desk;

/// A source of a webhook's events.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) hook: Arc<Hook>,
    /// As events have it, and marks.
    pub(super) name: Arc<str>,
    pub(super) told: mpsc::Sender<Told>,
    pub(super) seen: Seen,
}

/// Revisions of documents that were told and may not be stored yet.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<BTreeMap<Arc<str>, u64>>>);

impl Seen {
    /// The revision up to which a document was told.
    pub(super) fn of(&self, name: &Arc<str>, stored: impl FnOnce() -> Option<String>) -> u64 {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = || stored().and_then(|mark| mark.parse().ok()).unwrap_or(0);
        *seen.entry(Arc::clone(name)).or_insert_with(stored)
    }

    pub(super) fn set(&self, name: &Arc<str>, revision: u64) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(Arc::clone(name), revision);
    }
}

/// All of a webhook's sources that are streams.
pub(super) fn streams(hook: &Hook) -> BTreeMap<String, Wanted> {
    let section = &hook.section;
    // They are checked with the configuration.
    let (topics, rooms) = (
        section.topics().unwrap_or_default(),
        section.rooms().unwrap_or_default(),
    );
    let of = section.selector().unwrap_or_default();
    let mut streams = BTreeMap::new();
    for (room, topic) in topics {
        let wanted = Wanted {
            topics: vec![(room.clone(), topic.clone())],
            positions: Positions::none(1),
            from: section.from,
            ..Wanted::default()
        };
        streams.insert(format!("topic/{room}/{topic}"), wanted);
    }
    for room in rooms {
        let wanted = Wanted {
            members: vec![room.clone()],
            ..Wanted::default()
        };
        streams.insert(format!("members/{room}"), wanted);
    }
    for (event, wanted) in [
        (
            Event::Mailbox,
            Wanted {
                positions: Positions::none(1),
                from: section.from,
                ..Wanted::default()
            },
        ),
        (
            Event::Message,
            Wanted {
                messages: true,
                ..Wanted::default()
            },
        ),
        (
            Event::Presence,
            Wanted {
                presence: Some(Selector { kind: None, ..of }),
                ..Wanted::default()
            },
        ),
    ] {
        if section.has(event) {
            streams.insert(format!("{event:?}").to_lowercase(), wanted);
        }
    }
    streams
}

impl Source {
    /// Reads as long as the program runs and the webhook is on.
    pub(super) async fn run(self, desk: Desk, wanted: Wanted) {
        let mut failed = 0;
        loop {
            self.hook.until_on().await;
            match self.stream(&desk, &wanted).await {
                Ok(()) => failed = 0,
                Err(why) => self.tell_failure(failed, &why),
            }
            failed = (failed + 1).min(FAILURES_MAX);
            sleep(backoff::wait(failed, SystemEntropy::new().next_u64())).await;
        }
    }

    /// The first failure after it went well is a warning.
    pub(super) fn tell_failure(&self, failed: u32, why: &str) {
        let (webhook, source) = (&self.hook.name, &self.name);
        if failed == 0 {
            tracing::warn!(%webhook, %source, why, "webhook's source is not read, and tried again");
        } else {
            tracing::debug!(%webhook, %source, why, "webhook's source is not read");
        }
    }

    async fn stream(&self, desk: &Desk, wanted: &Wanted) -> Result<(), String> {
        let mark = self.hook.outbox.mark(&self.name);
        let read = mark.and_then(|mark| Positions::read(&mark, 1).ok());
        let mut wanted = wanted.clone();
        if let Some(read) = read {
            wanted.positions = read;
        }
        let opened = Stream::open(desk, &self.hook.caller(), wanted).await;
        let mut stream = opened.map_err(|problem| format!("{problem:?}"))?;
        let ended = tokio::select! {
            ended = stream.tell_all(self) => ended,
            () = self.hook.until_off() => return Ok(()),
        };
        match ended {
            Ok(never) => match never {},
            Err(Ending::Failed) => Err("the hub does not do what it did before".to_string()),
            Err(Ending::Unread(_) | Ending::Overrun) => Ok(()),
        }
    }

    /// Tells an event, and how far the source is read with it.
    pub(super) async fn tell(
        &self,
        kind: &str,
        mark: Option<(String, String)>,
        mail: Option<u64>,
        data: &(impl Serialize + Sync),
    ) -> Result<(), Unread> {
        let kept = Kept::new(&self.name, kind, mail, clock::unix_ms(), data);
        if kept.is_none() {
            self.hook.counts.add_skipped();
            tracing::warn!(webhook = %self.hook.name, source = %self.name, kind, "event is too long, and skipped");
        }
        self.send(Told { kept, mark }).await
    }

    async fn send(&self, told: Told) -> Result<(), Unread> {
        self.told.send(told).await.map_err(|_| Unread::Gone)
    }
}

impl Sink for Source {
    async fn write(
        &self,
        kind: &str,
        id: Option<&str>,
        data: &(impl Serialize + Sync),
    ) -> Result<(), Unread> {
        let mark = id.map(|id| (self.name.to_string(), id.to_string()));
        if kind == "ready" {
            // Of no news to a receiver.
            return self.send(Told { kept: None, mark }).await;
        }
        let position = id.filter(|_| kind == "mailbox");
        let position = position.and_then(|id| Positions::read(id, 1).ok());
        let mail = position.and_then(|read| read.of(0)).map(|at| at.number);
        self.tell(kind, mark, mail, data).await?;
        // Whoever is no member any more becomes one again, when it may.
        if kind == "removed" {
            return Err(Unread::Gone);
        }
        Ok(())
    }
}

/// Waits grow to a minute.
pub(super) const FAILURES_MAX: u32 = 7;
