//! The one wake-up of a drive loop: the earliest deadline of its role and of all its connections.

use crate::clock;
use crate::connection::Connection;
use crate::timer::Timer;
use longrein_proto::base::MonoTime;
use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io;
use std::rc::Weak;
use std::time::{Duration, Instant};

/// Wakes for deadlines.
///
/// A connection is listed with the earliest deadline it had; when that comes, it says what is really due. Most deadlines only
/// move later, so that most packets change nothing here.
pub(crate) struct Alarm {
    timer: Timer,
    listed: RefCell<BinaryHeap<Reverse<Entry>>>,
    began: Instant,
}

impl Alarm {
    /// # Errors
    /// When the process has no file descriptor left.
    pub(crate) fn new() -> io::Result<Alarm> {
        Ok(Alarm {
            timer: Timer::new()?,
            listed: RefCell::default(),
            began: Instant::now(),
        })
    }

    /// Wakes at `due` at the latest.
    pub(crate) fn arm(&self, due: MonoTime) {
        self.timer.arm(Some(due));
    }

    /// A little later than `at`, together with others: for what QUIC does of its own accord on a connection that is up, such as
    /// acknowledgements that nothing here waits for. Where thousands are idle, most wake-ups would be for one of these each.
    pub(crate) fn rounded(&self, at: Instant) -> Instant {
        let since_step = at.saturating_duration_since(self.began).as_nanos() % STEP.as_nanos();
        at + STEP.saturating_sub(Duration::from_nanos(
            u64::try_from(since_step).unwrap_or_default(),
        ))
    }

    /// Lists a connection for `at`, and wakes then.
    pub(crate) fn list(&self, at: Instant, connection: Weak<Connection>) {
        self.listed
            .borrow_mut()
            .push(Reverse(Entry { at, connection }));
        self.arm(on_role_clock(at));
    }

    /// Waits until something may be due.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub(crate) async fn expired(&self) -> io::Result<()> {
        self.timer.expired().await
    }

    /// Lets the connections act whose deadline has come, and wakes for the next.
    pub(crate) fn ring(&self) {
        let now = Instant::now();
        // A connection that is due again at once waits for the next round, as do those that are too many for one.
        let rounds = self.listed.borrow().len();
        for _ in 0..rounds.min(ROUND_MAX) {
            let Some(Entry { at, connection }) = self.take_due(now) else {
                break;
            };
            // A connection that is gone needs nothing more.
            if let Some(connection) = connection.upgrade() {
                connection.on_due(at, now);
            }
        }
        let next = self.listed.borrow().peek().map(|Reverse(entry)| entry.at);
        if let Some(at) = next {
            self.arm(on_role_clock(at));
        }
    }

    fn take_due(&self, now: Instant) -> Option<Entry> {
        let mut listed = self.listed.borrow_mut();
        if listed.peek()?.0.at > now {
            return None;
        }
        listed.pop().map(|Reverse(entry)| entry)
    }
}

/// QUIC's rules measure on a clock that stands still while the machine sleeps; the timer runs on the role's.
fn on_role_clock(at: Instant) -> MonoTime {
    clock::now() + at.saturating_duration_since(Instant::now())
}

struct Entry {
    at: Instant,
    connection: Weak<Connection>,
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        self.at.cmp(&other.at)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// How much later at most: a sixth of the time that QUIC takes for an acknowledgement.
const STEP: Duration = Duration::from_millis(4);
/// Connections that act in one round: a quarter of a millisecond.
const ROUND_MAX: usize = 24;
