//! What only the network thread knows, for the local API.

use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use longrein_io::drive::Driver;
use longrein_proto::path::Health;
use longrein_proto::role::{Agent, PathView};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

/// Where the network thread puts up the newest view, and the control thread takes it down. Neither waits for the other.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Option<NetworkView>>>);

/// Leases and paths at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkView {
    /// When it was taken, in µs of the clock of deadlines.
    pub at_us: u64,
    /// Who holds the lease of each function, in the order of the channels.
    pub holders: Vec<Option<String>>,
    /// The paths to relays.
    pub paths: Vec<PathLine>,
}

/// One path to a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathLine {
    relay: String,
    link: String,
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_ms: Option<u64>,
}

impl Board {
    /// Puts up a view; the one before it goes.
    pub fn put(&self, view: NetworkView) {
        // Poisoned or held: the next view comes soon.
        if let Ok(mut place) = self.0.lock() {
            *place = Some(view);
        }
    }

    /// The newest view, unless it was taken down already or the other thread is at the board at this moment.
    // [SAFE-28]
    pub fn take(&self) -> Option<NetworkView> {
        match self.0.try_lock() {
            Ok(mut place) => place.take(),
            Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => None,
        }
    }

    /// Puts up how the role stands when that has changed, and every second.
    pub async fn keep(self, driver: Driver<Agent>) {
        let mut shown = NetworkView::default();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let view = driver.with(|agent, now| NetworkView {
                at_us: now.as_us(),
                holders: agent
                    .functions()
                    .map(|(_, _, holder)| holder.map(ToString::to_string))
                    .collect(),
                paths: agent.paths().iter().map(PathLine::new).collect(),
            });
            if !view.says_the_same_as(&shown) {
                shown = view.clone();
                self.put(view);
            }
        }
    }
}

impl NetworkView {
    /// Round trips change all the time: they alone are no news, but once a second.
    fn says_the_same_as(&self, shown: &NetworkView) -> bool {
        let key = |view: &NetworkView| {
            let paths = view.paths.iter();
            paths
                .map(|path| (path.relay.clone(), path.link.clone(), path.health))
                .collect::<Vec<_>>()
        };
        self.at_us.saturating_sub(shown.at_us) < SHOW_EVERY_US
            && self.holders == shown.holders
            && key(self) == key(shown)
    }
}

impl PathLine {
    fn new(path: &PathView) -> PathLine {
        let status = path.status.as_ref();
        let health = status.map(|status| health(status.health));
        PathLine {
            relay: path.relay.name.to_string(),
            link: path.link.to_string(),
            health: health.unwrap_or("Connecting"),
            rtt_ms: status
                .and_then(|status| status.rtt)
                .and_then(|rtt| u64::try_from(rtt.as_millis()).ok()),
        }
    }
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Unknown => "Unknown",
        Health::Live => "Live",
        Health::Suspect => "Suspect",
        Health::Down => "Down",
    }
}

/// How soon a client hears of a lease or a path that has changed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The view is renewed at least so often, so that a client sees that the network thread turns.
const SHOW_EVERY_US: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn view(at_us: u64, health: &'static str, rtt_ms: u64) -> NetworkView {
        NetworkView {
            at_us,
            holders: vec![None],
            paths: vec![PathLine {
                relay: "east".into(),
                link: "lte".into(),
                health,
                rtt_ms: Some(rtt_ms),
            }],
        }
    }

    /// SAFE-28
    #[test]
    fn whoever_takes_a_view_down_does_not_wait_for_whoever_puts_it_up() {
        let board = Board::default();
        board.put(view(1, "Live", 10));
        let busy = board.0.lock().unwrap();
        assert_eq!(board.take(), None);
        drop(busy);
        assert_eq!(board.take(), Some(view(1, "Live", 10)));
        assert_eq!(board.take(), None);
    }

    #[test]
    fn a_round_trip_alone_is_news_once_a_second() {
        let shown = view(0, "Live", 10);
        assert!(view(900_000, "Live", 11).says_the_same_as(&shown));
        assert!(!view(1_000_000, "Live", 11).says_the_same_as(&shown));
        assert!(!view(100_000, "Down", 10).says_the_same_as(&shown));
        let held = NetworkView {
            holders: vec![Some("controller/alice".into())],
            ..view(100_000, "Live", 10)
        };
        assert!(!held.says_the_same_as(&shown));
    }
}
