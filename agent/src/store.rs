//! Writes the agent's record on a thread of its own, as a disk may take long.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::slots::Slots;

/// The thread; when this is dropped it writes what waits and ends.
#[derive(Debug)]
pub struct Store {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is given.
#[derive(Debug, Default)]
struct Desk {
    tray: Mutex<Tray>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Tray {
    /// The newest record and its ticket; it holds everything of those before it.
    waiting: Option<(u64, Vec<u8>)>,
    ending: bool,
}

impl Store {
    /// Writes to these slots; `written` is told the ticket of each record that is on disk, which answers all tickets before it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(slots: Slots, written: impl FnMut(u64) + Send + 'static) -> io::Result<Store> {
        let desk = Arc::new(Desk::default());
        let writer = Writer {
            desk: Arc::clone(&desk),
            slots,
            written: Box::new(written),
            failing: false,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_string())
            .spawn(move || writer.run())?;
        Ok(Store {
            desk,
            thread: Some(thread),
        })
    }

    /// Has this record written soon, in place of one that still waits.
    pub fn put(&self, ticket: u64, record: Vec<u8>) {
        self.desk.tray().waiting = Some((ticket, record));
        self.desk.changed.notify_one();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.desk.tray().ending = true;
        self.desk.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by itself.
            let _ = thread.join();
        }
    }
}

impl Desk {
    fn tray(&self) -> MutexGuard<'_, Tray> {
        // Whoever panicked left the tray whole: each change of it is one assignment.
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next record; none at the end.
    fn take(&self) -> Option<(u64, Vec<u8>)> {
        let idle = |tray: &mut Tray| tray.waiting.is_none() && !tray.ending;
        let mut tray = self
            .changed
            .wait_while(self.tray(), idle)
            .unwrap_or_else(PoisonError::into_inner);
        tray.waiting.take()
    }

    /// Puts back what could not be written, unless there is something newer, and waits a while. False at the end.
    fn put_back(&self, failed: (u64, Vec<u8>)) -> bool {
        let mut tray = self.tray();
        tray.waiting.get_or_insert(failed);
        let (tray, _) = self
            .changed
            .wait_timeout_while(tray, RETRY, |tray| !tray.ending)
            .unwrap_or_else(PoisonError::into_inner);
        !tray.ending
    }
}

struct Writer {
    desk: Arc<Desk>,
    slots: Slots,
    written: Box<dyn FnMut(u64) + Send>,
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        while let Some((ticket, record)) = self.desk.take() {
            match self.slots.write(&record) {
                Ok(()) => {
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("record can be written again");
                    }
                    (self.written)(ticket);
                }
                Err(error) => {
                    // Nothing that waits for the disk is granted or applied meanwhile; stops hold in any case.
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::error!(why = %error, "record cannot be written: no lease is granted until it can");
                    }
                    if !self.desk.put_back((ticket, record)) {
                        return;
                    }
                }
            }
        }
    }
}

/// Between attempts to write to a disk that is full or broken.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::mpsc::channel;

    use super::*;
    use crate::slots::newest;

    fn path(test: &str) -> PathBuf {
        std::env::temp_dir().join(format!("longrein-store-{test}-{}", std::process::id()))
    }

    fn found(path: &Path) -> Vec<u8> {
        let bytes = std::fs::read(path).unwrap();
        newest(&bytes).unwrap().record.to_vec()
    }

    #[test]
    fn the_newest_record_is_on_disk_when_its_ticket_is_told() {
        let path = path("newest");
        let (tell, told) = channel();
        let store = Store::start(Slots::create(&path, b"").unwrap(), move |ticket| {
            tell.send(ticket).unwrap()
        })
        .unwrap();
        for ticket in 1..=500_u64 {
            store.put(ticket, ticket.to_be_bytes().to_vec());
        }
        let mut last = 0;
        while last < 500 {
            let ticket = told.recv_timeout(Duration::from_secs(60)).unwrap();
            assert!(ticket > last);
            last = ticket;
        }
        assert_eq!(found(&path), 500_u64.to_be_bytes());
        drop(store);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_waits_at_the_end_is_written() {
        let path = path("end");
        let store = Store::start(Slots::create(&path, b"").unwrap(), |_| {}).unwrap();
        store.put(1, b"last".to_vec());
        drop(store);
        assert_eq!(found(&path), b"last");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_disk_that_fails_is_tried_again_and_nothing_is_told_before() {
        let folder = path("later");
        let (tell, told) = channel();
        std::fs::create_dir_all(&folder).unwrap();
        let slots = Slots::create(&folder.join("record"), b"").unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let store = Store::start(slots, move |ticket| tell.send(ticket).unwrap()).unwrap();
        store.put(1, b"one".to_vec());
        store.put(2, b"two".to_vec());
        assert!(told.try_recv().is_err());
        std::fs::create_dir_all(&folder).unwrap();
        while told.recv_timeout(Duration::from_secs(60)).unwrap() != 2 {}
        assert_eq!(found(&folder.join("record")), b"two");
        drop(store);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
