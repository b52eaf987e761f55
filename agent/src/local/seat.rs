//! The place of a function's device, between the adapter that feeds it and the server of the local API.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longrein_proto::base::{MonoTime, Name};
use longrein_proto::control::Output;
use rustix::net::{Shutdown, shutdown};

use super::feed::Feed;
use super::socket;
use crate::adapter::word::Word;

/// One place, free or taken. Only the control thread looks at it, so nobody ever waits for its lock.
#[derive(Clone, Debug, Default)]
pub struct Seat(Arc<Mutex<Option<Sitting>>>);

/// The client that is the function's device.
#[derive(Debug)]
struct Sitting {
    client: u64,
    socket: Arc<OwnedFd>,
    function: Name,
    feed: Feed,
}

/// Why an opaque command does not reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// Nobody sits there, any more.
    Vacant,
    /// A word is outstanding.
    Busy,
}

impl Seat {
    /// Gives the place to a client; false while another one has it.
    // [SAFE-133]
    pub fn claim(&self, client: u64, socket: Arc<OwnedFd>, function: &Name) -> bool {
        let mut place = self.lock();
        match place.as_ref() {
            Some(sitting) => sitting.client == client,
            None => {
                *place = Some(Sitting {
                    client,
                    socket,
                    function: function.clone(),
                    feed: Feed::default(),
                });
                true
            }
        }
    }

    /// The client leaves; false when the place is not its own.
    pub fn leave(&self, client: u64) -> bool {
        let mut place = self.lock();
        let is_own = place.as_ref().is_some_and(|s| s.client == client);
        if is_own {
            *place = None;
        }
        is_own
    }

    /// Whether somebody has the place.
    pub fn is_taken(&self) -> bool {
        self.lock().is_some()
    }

    /// The client acknowledges a word; false when the place is not its own.
    pub fn on_ack(&self, client: u64, seq: u64) -> bool {
        match self.lock().as_mut().filter(|s| s.client == client) {
            Some(sitting) => {
                sitting.feed.on_ack(seq);
                true
            }
            None => false,
        }
    }

    /// Whether the device is there. A client that has not answered for long loses its place and its connection.
    pub fn is_up(&self, now: MonoTime) -> bool {
        let mut place = self.lock();
        let Some(sitting) = place.as_ref() else {
            return false;
        };
        if sitting.feed.is_unresponsive(now) {
            tracing::warn!(function = %sitting.function, "local device does not answer and loses its place");
            hang_up(&mut place);
            return false;
        }
        sitting.feed.is_up(now)
    }

    /// Whether a word may be written.
    pub fn is_free(&self) -> bool {
        self.lock().as_ref().is_some_and(|s| s.feed.is_free())
    }

    /// Tells the newest word, now or when the outstanding one is acknowledged.
    pub fn tell(&self, now: MonoTime, output: &Output) {
        if let Some(sitting) = self.lock().as_mut() {
            sitting.feed.on_output(output);
        }
        self.write(now);
    }

    /// Writes the word that waits, when it may be.
    pub fn write(&self, now: MonoTime) {
        let mut place = self.lock();
        let Some(sitting) = place.as_mut() else {
            return;
        };
        let Some((seq, output)) = sitting.feed.next_word(now) else {
            return;
        };
        let word = Word::new(Some(seq), now, &output).of(&sitting.function);
        if !socket::send(&sitting.socket, &word.to_json()) {
            hang_up(&mut place);
        }
    }

    /// Writes an opaque command.
    ///
    /// # Errors
    /// Why the client does not get it.
    pub fn give(
        &self,
        now: MonoTime,
        output: &Output,
        payload: &[u8],
        deadline: MonoTime,
    ) -> Result<(), Undelivered> {
        let mut place = self.lock();
        let sitting = place.as_mut().ok_or(Undelivered::Vacant)?;
        if !sitting.feed.is_free() {
            return Err(Undelivered::Busy);
        }
        let seq = sitting.feed.opaque_word(now);
        let word = Word::with_opaque(seq, now, output, payload, deadline).of(&sitting.function);
        if socket::send(&sitting.socket, &word.to_json()) {
            Ok(())
        } else {
            hang_up(&mut place);
            Err(Undelivered::Vacant)
        }
    }

    /// Says the word that waits, whatever is outstanding, and ends the connection.
    // [SAFE-71]
    pub fn close(&self, now: MonoTime) {
        let mut place = self.lock();
        if let Some(sitting) = place.as_mut()
            && let Some((seq, output)) = sitting.feed.last_word()
        {
            let word = Word::new(Some(seq), now, &output).of(&sitting.function);
            socket::send(&sitting.socket, &word.to_json());
        }
        hang_up(&mut place);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sitting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frees the place, and lets the client read end of file; the server sees it in its next turn.
fn hang_up(place: &mut Option<Sitting>) {
    if let Some(sitting) = place.take() {
        // Fails only when the client is gone already.
        let _ = shutdown(&sitting.socket, Shutdown::Both);
    }
}
