//! What a vehicle tells its watchers, through a bounded queue each.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use longrein_proto::base::{Name, NodeName};
use longrein_proto::role::{SessionLoss, VehicleStatus};
use longrein_proto::session::{Age, Resolution};
use longrein_proto::wire::{Description, News, Telemetry};
use tokio::sync::Notify;

use crate::{LeaseLoss, Vehicle};

/// What a vehicle tells, or what is known about the way to it.
#[derive(Clone, Debug)]
pub enum VehicleEvent {
    /// A session stands. After an agent's restart its functions may be others.
    Up {
        /// What it is and does.
        description: Description,
    },
    /// What this controller may do with it has changed.
    Described {
        /// What it is and does, and lets this controller do.
        description: Description,
    },
    /// The session is lost, and leases and unresolved messages with it; another is being opened.
    Down {
        /// Why.
        why: SessionLoss,
    },
    /// Whether it is connected to a relay.
    Presence {
        /// The relay that says so.
        relay: NodeName,
        /// Whether it is there.
        present: bool,
    },
    /// A relay ends soon.
    Draining {
        /// The relay.
        relay: NodeName,
    },
    /// Its newest state.
    Status(VehicleStatus),
    /// Telemetry of a function.
    Telemetry {
        /// The function.
        function: Name,
        /// What it says.
        telemetry: Telemetry,
        /// How old it is; none before the first clock sample.
        age: Option<Age>,
    },
    /// What became of a reliable command.
    Receipt {
        /// The function.
        function: Name,
        /// The command's number.
        number: u64,
        /// What became of it.
        outcome: Resolution,
    },
    /// What becomes of the offer of a lease; a lease that is taken away is [`VehicleEvent::LeaseLost`].
    News {
        /// The function.
        function: Name,
        /// What the vehicle says.
        news: News,
    },
    /// A lease of this connection is over.
    LeaseLost {
        /// The function.
        function: Name,
        /// Why.
        loss: LeaseLoss,
    },
}

impl VehicleEvent {
    /// Whether a newer one of its kind makes up for it.
    fn is_replaceable(&self) -> bool {
        matches!(
            self,
            VehicleEvent::Telemetry { .. } | VehicleEvent::Status(_)
        )
    }
}

/// A vehicle's events, in order, from the moment on when they were asked for.
///
/// At most [`Events::WAITING_MAX`] wait for a slow reader. Then the oldest telemetry or status gives way, and only when there
/// is none the oldest event; [`Events::missed`] counts them.
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
    // Keeps the session while somebody watches.
    _vehicle: Vehicle,
}

impl Events {
    /// The next event; none when the connection has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<VehicleEvent> {
        loop {
            // Closed is read first: what was put in before the end is still handed out.
            let closed = self.queue.closed.load(Ordering::Acquire);
            if let Some(event) = self.queue.pop() {
                return Some(event);
            }
            if closed {
                return None;
            }
            self.queue.news.notified().await;
        }
    }

    /// How many events gave way because they were read too slowly.
    pub fn missed(&self) -> u64 {
        self.queue.missed.load(Ordering::Relaxed)
    }

    /// Events that wait for a reader: several seconds of everything that one vehicle tells.
    pub const WAITING_MAX: usize = 256;
}

/// The end of the queue that the drive loop fills; the reader sees the end when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Feed(Arc<Queue>);

impl Feed {
    pub(crate) fn events(&self, vehicle: Vehicle) -> Events {
        Events {
            queue: Arc::clone(&self.0),
            _vehicle: vehicle,
        }
    }

    pub(crate) fn push(&self, event: VehicleEvent) {
        self.0.push(event);
    }

    pub(crate) fn is_unread(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.news.notify_one();
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<VecDeque<VehicleEvent>>,
    news: Notify,
    closed: AtomicBool,
    missed: AtomicU64,
}

impl Queue {
    fn push(&self, event: VehicleEvent) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= Events::WAITING_MAX {
            let oldest = waiting.iter().position(VehicleEvent::is_replaceable);
            waiting.remove(oldest.unwrap_or(0));
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back(event);
        drop(waiting);
        self.news.notify_one();
    }

    fn pop(&self) -> Option<VehicleEvent> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telemetry(number: u8) -> VehicleEvent {
        VehicleEvent::Telemetry {
            function: "drive".parse().unwrap(),
            telemetry: Telemetry::Opaque(vec![number]),
            age: None,
        }
    }

    #[test]
    fn a_slow_reader_misses_the_oldest_telemetry_and_nothing_else() {
        let queue = Queue::default();
        queue.push(VehicleEvent::Down {
            why: SessionLoss::Replaced,
        });
        for number in 0..=u8::MAX {
            queue.push(telemetry(number));
        }
        assert_eq!(queue.missed.load(Ordering::Relaxed), 1);
        assert!(matches!(queue.pop(), Some(VehicleEvent::Down { .. })));
        let Some(VehicleEvent::Telemetry { telemetry, .. }) = queue.pop() else {
            panic!("telemetry is next");
        };
        assert_eq!(telemetry, Telemetry::Opaque(vec![1]));
    }

    #[test]
    fn the_queue_never_holds_more_than_its_bound() {
        let queue = Queue::default();
        for _ in 0..1_000 {
            queue.push(VehicleEvent::Down {
                why: SessionLoss::Replaced,
            });
        }
        let waiting = queue.waiting.lock().unwrap().len();
        assert_eq!(waiting, Events::WAITING_MAX);
        assert_eq!(queue.missed.load(Ordering::Relaxed), 1_000 - 256);
    }
}
