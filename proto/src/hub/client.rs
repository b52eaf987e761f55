//! A program that speaks with the hub.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::HubRights;
use super::carrier::Carrier;
use super::feed::Kept;
use super::intake::Intake;
use crate::base::limits::{ASKS_PER_S, FEED_LIVE_MAX};
use crate::base::{MonoTime, Name, NodeName};
use crate::leg::Budget;
use crate::wire::hub::{Line, MessageId};

/// A program that speaks with the hub.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) node: NodeName,
    pub(super) rights: HubRights,
    /// Whether it is no node at a leg, but speaks by the program of the hub.
    pub(super) is_local: bool,
    pub(super) carrier: Carrier,
    pub(super) intake: Intake,
    pub(super) readers: BTreeMap<Line, Reader>,
    /// Lines that may have something for it, in turn.
    pub(super) turns: VecDeque<Line>,
    /// Whether it is among those that have something.
    pub(super) is_queued: bool,
    /// Whether it is to begin anew, as too much waited for it.
    pub(super) is_over: bool,
    /// Rooms that it joined.
    pub(super) rooms: Vec<Name>,
    /// Own messages of which it hears what becomes of them.
    pub(super) tracked: usize,
    /// Names of the newest messages that it sent to nodes.
    pub(super) sent: VecDeque<(MessageId, u32)>,
    pub(super) asks: Budget,
    /// Whether a request of it waits for a lock, or did.
    pub(super) waits_for_locks: bool,
    /// When its carrier wants to be asked, as noted in the hub's list.
    pub(super) timeout: Option<MonoTime>,
}

/// A client's way through a line.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The number of the message that goes next.
    pub(super) next: u64,
    /// The piece of it that goes next.
    pub(super) piece: usize,
    /// From the store, as it lags.
    pub(super) page: VecDeque<Kept>,
    /// Whether a page is on its way.
    pub(super) is_asked: bool,
    /// What goes at once or never.
    pub(super) live: VecDeque<LiveMessage>,
    /// Whether the line is among the client's turns.
    pub(super) is_turned: bool,
}

/// A message that goes at once or never.
#[derive(Clone, Debug)]
pub(super) struct LiveMessage {
    /// Of `latest`: whose it is, so that a newer one takes its place.
    pub(super) newest_of: Option<NodeName>,
    pub(super) until: MonoTime,
    pub(super) number: u64,
    pub(super) message: Arc<[u8]>,
    pub(super) pieces: VecDeque<Arc<[u8]>>,
    /// Whether a piece of it went already.
    pub(super) is_begun: bool,
}

impl Client {
    pub(super) fn new(now: MonoTime, node: NodeName, rights: HubRights) -> Client {
        Client {
            node,
            rights,
            is_local: false,
            carrier: Carrier::default(),
            intake: Intake::default(),
            readers: BTreeMap::new(),
            turns: VecDeque::new(),
            is_queued: false,
            is_over: false,
            rooms: Vec::new(),
            tracked: 0,
            sent: VecDeque::new(),
            asks: Budget::new(now, ASKS_PER_S, ASKS_PER_S),
            waits_for_locks: false,
            timeout: None,
        }
    }

    /// A line may have something for it.
    pub(super) fn turn(&mut self, line: Line) {
        if let Some(reader) = self.readers.get_mut(&line)
            && !std::mem::replace(&mut reader.is_turned, true)
        {
            self.turns.push_back(line);
        }
    }

    /// It reads a line no more.
    pub(super) fn stop_reading(&mut self, line: Line) {
        self.readers.remove(&line);
        self.turns.retain(|other| *other != line);
    }
}

impl Reader {
    /// Begins with this number.
    pub(super) fn from(next: u64) -> Reader {
        Reader {
            next,
            ..Reader::default()
        }
    }

    /// A message that goes at once or never. A newer one of `latest` takes the place of one that has not begun to go; of too many
    /// the oldest gives way.
    pub(super) fn add_live(&mut self, message: LiveMessage) {
        if let Some(whose) = &message.newest_of {
            let is_older =
                |older: &LiveMessage| !older.is_begun && older.newest_of.as_ref() == Some(whose);
            self.live.retain(|older| !is_older(older));
        }
        if self.live.len() >= FEED_LIVE_MAX {
            self.live.pop_front();
        }
        self.live.push_back(message);
    }
}
