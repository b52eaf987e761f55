//! The thread that writes the record.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread::park_timeout;

use longrein_proto::base::MonoTime;

use super::Event;
use super::frame;
use super::limits::{CHECKPOINT_INTERVAL, GATHER, REMARK_INTERVAL, RETRY};
use super::log::Log;
use super::queue::Shared;
use crate::clock;

/// Takes entries off the queue, and writes them in batches.
pub(super) struct Writer {
    entries: Receiver<Vec<u8>>,
    shared: Arc<Shared>,
    log: Log,
    /// Taken off the queue, and not written.
    waiting: VecDeque<Vec<u8>>,
    /// When to sign and sync.
    due: Option<MonoTime>,
    failing: bool,
    ended: bool,
    remarked: Option<MonoTime>,
}

impl Writer {
    pub(super) fn new(entries: Receiver<Vec<u8>>, shared: Arc<Shared>, log: Log) -> Writer {
        Writer {
            entries,
            shared,
            log,
            waiting: VecDeque::new(),
            due: None,
            failing: false,
            ended: false,
            remarked: None,
        }
    }

    pub(super) fn run(mut self) {
        while !self.ended {
            if self.failing {
                // Whoever ends the recorder wakes this.
                park_timeout(RETRY);
            } else {
                self.wait();
            }
            if self.shared.ending.load(Ordering::Acquire) && self.failing {
                self.ended = true;
            }
            if self.waiting.is_empty() || !self.failing {
                self.gather();
            }
            self.write();
        }
        if !self.failing {
            self.gather();
            self.write();
        }
        if self.log.seal().is_err() {
            tracing::warn!("record ends without a seal");
        }
    }

    /// Until there is something to do. What comes meanwhile is gathered without waking anybody.
    fn wait(&mut self) {
        let entry = match self.due {
            Some(due) => self.entries.recv_timeout(due.since(clock::now())),
            None => self
                .entries
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        match entry {
            Ok(body) => {
                self.take(body);
                if !self.shared.ending.load(Ordering::Acquire) {
                    park_timeout(GATHER);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.ended = true,
        }
    }

    /// Everything that is in the queue, and how much found no place in it.
    fn gather(&mut self) {
        loop {
            match self.entries.try_recv() {
                Ok(body) => self.take(body),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.ended = true;
                    break;
                }
            }
        }
        let entries = self.shared.dropped.swap(0, Ordering::Relaxed);
        if entries > 0 {
            self.remark(entries);
            let event = Event::Dropped { entries };
            self.waiting.extend(frame::body(clock::now(), &event));
        }
    }

    fn take(&mut self, body: Vec<u8>) {
        let bytes = &self.shared.waiting_bytes;
        bytes.fetch_sub(body.len(), Ordering::Relaxed);
        self.waiting.push_back(body);
    }

    fn write(&mut self) {
        let now = clock::now();
        let tried = !self.waiting.is_empty();
        let mut written = self.log.append(&mut self.waiting);
        if written.is_ok() && self.due.is_some_and(|due| due <= now) {
            written = self.log.checkpoint();
            self.due = None;
        }
        match written {
            Ok(()) => {
                if tried && std::mem::take(&mut self.failing) {
                    tracing::info!("record can be written again");
                }
                if self.due.is_none() && self.log.is_unsigned() {
                    self.due = Some(now + CHECKPOINT_INTERVAL);
                }
            }
            Err(why) => {
                self.due = None;
                if !std::mem::replace(&mut self.failing, true) {
                    let directory = self.log.directory().display();
                    tracing::error!(%directory, %why, "record cannot be written: what does not fit its queue is dropped until it can");
                }
            }
        }
    }

    fn remark(&mut self, entries: u64) {
        let now = clock::now();
        if self
            .remarked
            .is_none_or(|last| now.since(last) >= REMARK_INTERVAL)
        {
            self.remarked = Some(now);
            tracing::warn!(entries, "record drops entries, and says so");
        }
    }
}
