//! One client of the local API.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use longrein_proto::base::{MonoTime, Name};
use longrein_proto::leg::Budget;
use rustix::net::{UCred, sockopt::socket_peercred};

use super::answer::{self, Trouble};
use super::post::{Desired, note_changed};
use super::socket;

/// A connection, and what it may still send.
#[derive(Debug)]
pub struct Client {
    /// Its number, for the log.
    pub id: u64,
    /// The place of its door.
    pub door: usize,
    /// The connection; a seat that the client has holds it too.
    pub socket: Arc<OwnedFd>,
    /// Whether it is to go.
    pub ended: bool,
    /// Whether it asked something of the hub.
    pub asked_hub: bool,
    messages: Budget,
    bytes: Budget,
    wrong: u32,
    /// What it may be told of the hub.
    hub_bytes: Budget,
    hub_words: VecDeque<String>,
    /// How the vehicle shall be is news, and in these items.
    desired: Option<BTreeSet<Name>>,
}

impl Client {
    /// A client that has just come in.
    pub fn new(id: u64, door: usize, socket: OwnedFd, now: MonoTime) -> Client {
        Client {
            id,
            door,
            socket: Arc::new(socket),
            ended: false,
            asked_hub: false,
            messages: Budget::new(now, MESSAGES_PER_S, MESSAGES_BURST),
            bytes: Budget::new(now, BYTES_PER_S, BYTES_BURST),
            wrong: 0,
            hub_bytes: Budget::new(now, HUB_BYTES_PER_S, HUB_BYTES_BURST),
            hub_words: VecDeque::new(),
            desired: None,
        }
    }

    /// Process, user and group at the other end, as they were when it connected.
    pub fn peer(&self) -> Option<UCred> {
        socket_peercred(&self.socket).ok()
    }

    /// Whether it may send this too.
    // [SAFE-135]
    pub fn may_send(&mut self, now: MonoTime, bytes: usize) -> bool {
        self.messages.try_spend(now, 1) && self.bytes.try_spend(now, bytes)
    }

    /// Sends a message; a client that does not take it has not read for long, and goes (SAFE-135).
    pub fn send(&mut self, message: &str) {
        if !self.ended && !socket::send(&self.socket, message) {
            tracing::debug!(client = self.id, "local client does not read");
            self.ended = true;
        }
    }

    /// How the vehicle shall be is news to it.
    pub fn note_desired<'a>(&mut self, changed: impl IntoIterator<Item = &'a Name>) {
        note_changed(self.desired.get_or_insert_default(), changed);
    }

    /// A word of the hub's, or of what was asked of it; of too many the newest are dropped.
    pub fn note_hub_word(&mut self, word: String) {
        if self.hub_words.len() < HUB_WORDS_MAX {
            self.hub_words.push_back(word);
        }
    }

    /// Tells what came of the hub, as much as there is room for: whatever the hub says, the client is connected, and hears what it
    /// needs as a device.
    // [SAFE-138]
    pub fn tell_of_hub(&mut self, now: MonoTime, desired: Option<&Desired>) {
        while let Some(word) = self.hub_words.front() {
            let has_room = self.hub_bytes.try_spend(now, word.len());
            if !has_room || !socket::send(&self.socket, word) {
                return;
            }
            self.hub_words.pop_front();
        }
        if let (Some(changed), Some(desired)) = (&self.desired, desired)
            && self.hub_bytes.try_spend(now, desired.bytes_max())
            && socket::send(&self.socket, &desired.to_json(changed))
        {
            self.desired = None;
        }
    }

    /// Tells what went wrong. A client that does wrong again and again goes.
    pub fn complain(&mut self, id: Option<u64>, trouble: &Trouble) {
        self.send(&answer::error(id, trouble));
        self.wrong += 1;
        if self.wrong >= WRONG_MAX {
            self.ended = true;
        }
    }

    /// What it said was right.
    pub fn praise(&mut self) {
        self.wrong = 0;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        socket::end(&self.socket);
    }
}

/// Messages a second: acknowledgements of two functions at 50 Hz, and telemetry at hundreds a second.
const MESSAGES_PER_S: u64 = 1_000;
/// Messages at once.
const MESSAGES_BURST: u64 = 250;
/// Bytes a second: several times what links can carry.
const BYTES_PER_S: u64 = 1_048_576;
/// Bytes at once: one longest message and a half.
const BYTES_BURST: u64 = 196_608;
/// Bytes a second of what comes of the hub: far below what a client reads that acknowledges words in time.
const HUB_BYTES_PER_S: u64 = 65_536;
/// Bytes of it at once: the longest document, and below what a socket holds.
const HUB_BYTES_BURST: u64 = 160_000;
/// Words of the hub that wait for a client.
const HUB_WORDS_MAX: usize = 512;
/// Wrong messages in a row after which the connection ends.
const WRONG_MAX: u32 = 16;
