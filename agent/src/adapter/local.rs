//! A client of the local API as a device.

use std::time::Duration;

use longrein_proto::base::{MonoTime, Refusal};
use longrein_proto::control::{Applied, Output};
use longrein_proto::wire::{Body, Telemetry};
use rustix::event::PollFd;

use super::config::LocalConfig;
use super::{Adapter, Taken};
use crate::local::seat::{Seat, Undelivered};

/// Feeds whoever has claimed the function at a socket of the local API, as the `process` adapter feeds its child: at most one
/// word is outstanding, the newest waits (SAFE-63), and who does not acknowledge is lost (SAFE-64, SAFE-133).
///
/// What the client says comes through the server of the local API, which hands out the place.
#[derive(Debug)]
pub struct LocalAdapter {
    seat: Seat,
    feed_interval: Duration,
    up: bool,
    at: MonoTime,
}

impl LocalAdapter {
    /// With a place that nobody has.
    pub fn new(config: &LocalConfig, now: MonoTime) -> LocalAdapter {
        LocalAdapter {
            seat: Seat::default(),
            feed_interval: Duration::from_millis(config.feed_ms.into()),
            up: false,
            at: now,
        }
    }
}

impl Adapter for LocalAdapter {
    fn is_up(&self) -> bool {
        // Whoever left is gone at once; whoever came is there from the next poll on, so that every loss is seen.
        self.up && self.seat.is_taken()
    }

    fn is_free(&self) -> bool {
        self.seat.is_free()
    }

    fn on_command(
        &mut self,
        now: MonoTime,
        applied: &Applied,
        output: &Output,
    ) -> Result<Taken, Refusal> {
        match applied.body() {
            Body::Opaque(payload) if !payload.is_empty() => self
                .seat
                .give(now, output, payload, applied.deadline())
                .map(|()| Taken::Done)
                .map_err(|why| match why {
                    Undelivered::Vacant => Refusal::AdapterDown,
                    Undelivered::Busy => Refusal::TooOften,
                }),
            // A typed one is in the words that follow; an empty one (resume) is in their stage.
            Body::Drive(_) | Body::Opaque(_) if self.seat.is_taken() => Ok(Taken::Done),
            Body::Drive(_) | Body::Opaque(_) => Err(Refusal::AdapterDown),
        }
    }

    fn on_output(&mut self, now: MonoTime, output: &Output) {
        self.at = now;
        self.seat.tell(now, output);
    }

    fn poll(&mut self, now: MonoTime) -> Option<Telemetry> {
        self.up = self.seat.is_up(now);
        self.seat.write(now);
        None
    }

    /// The server of the local API looks after all its sockets.
    fn wake_on<'a>(&'a self, _fds: &mut Vec<PollFd<'a>>) {}

    fn feed_interval(&self) -> Duration {
        self.feed_interval
    }

    fn seat(&self) -> Option<Seat> {
        Some(self.seat.clone())
    }

    fn close(&mut self) {
        self.seat.close(self.at);
    }
}
