//! The way into the record, which never waits.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use longrein_proto::base::MonoTime;
use longrein_proto::crypto::Credential;

use super::Event;
use super::frame;
use super::limits::{WAITING_BYTES_MAX, WAITING_MAX};
use super::log::Log;
use super::writer::Writer;
use crate::clock;

/// A record that is being written. When this is dropped, what waits is written and the segment sealed.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    entries: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

/// What both sides see.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Entries that found no place, and are not told yet.
    pub(super) dropped: AtomicU64,
    /// Bytes of entries that wait.
    pub(super) waiting_bytes: AtomicUsize,
    pub(super) ending: AtomicBool,
}

impl Recorder {
    /// Records in this folder, which is made when it is not there, and in no more than about this many bytes. Whatever is
    /// wrong with the folder is logged, and tried again: a vehicle is driven without a record rather than not at all.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        directory: PathBuf,
        bytes_max: u64,
        credential: Arc<dyn Credential>,
    ) -> io::Result<Recorder> {
        let clock = Box::new(|| (clock::now(), clock::unix_ms()));
        Recorder::of(Log::new(directory, bytes_max, credential, clock))
    }

    pub(super) fn of(log: Log) -> io::Result<Recorder> {
        let shared = Arc::new(Shared::default());
        let (entries, waiting) = sync_channel(WAITING_MAX);
        let writer = Writer::new(waiting, Arc::clone(&shared), log);
        let thread = std::thread::Builder::new()
            .name("record".to_string())
            .spawn(move || writer.run())?;
        Ok(Recorder {
            shared,
            entries: Some(entries),
            thread: Some(thread),
        })
    }

    /// Has this written soon. It is dropped and counted when it is too long or too much waits.
    pub fn record(&self, at: MonoTime, event: &Event) {
        if !frame::body(at, event).is_some_and(|body| self.put(body)) {
            self.note_dropped(1);
        }
    }

    /// Counts entries that whoever records has left out.
    pub fn note_dropped(&self, entries: u64) {
        self.shared.dropped.fetch_add(entries, Ordering::Relaxed);
    }

    fn put(&self, body: Vec<u8>) -> bool {
        let (waiting, length) = (&self.shared.waiting_bytes, body.len());
        let before = waiting.fetch_add(length, Ordering::Relaxed);
        let fits = before + length <= WAITING_BYTES_MAX;
        let sent = fits
            && self
                .entries
                .as_ref()
                .is_some_and(|entries| entries.try_send(body).is_ok());
        if !sent {
            waiting.fetch_sub(length, Ordering::Relaxed);
        }
        sent
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        self.entries = None;
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread was printed by itself.
            let _ = thread.join();
        }
    }
}
