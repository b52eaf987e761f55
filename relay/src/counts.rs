//! What the relay counted since its program began.

use longrein_io::drive::{DriveCounts, Driver};
use longrein_io::listen::{ListenCounts, Listener};
use longrein_proto::role::{Relay, RelayCounters};
use tokio::sync::{mpsc, oneshot};

/// All counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) relay: RelayCounters,
    pub(crate) drive: DriveCounts,
    /// By the listener's name.
    pub(crate) listeners: Vec<(String, ListenCounts)>,
}

/// Asks for the counts, from other threads.
pub(crate) type CountsAsker = mpsc::Sender<oneshot::Sender<Counts>>;

impl Counts {
    /// The counts now.
    pub(crate) fn read(driver: &Driver<Relay>, listeners: &[(String, Listener)]) -> Counts {
        let counts = |(name, listener): &(String, Listener)| (name.clone(), listener.counts());
        Counts {
            relay: driver.with(|relay, _| relay.counters()),
            drive: driver.counts(),
            listeners: listeners.iter().map(counts).collect(),
        }
    }

    /// Has other threads told, as long as the relay is driven.
    pub(crate) fn tell_others(
        driver: &Driver<Relay>,
        listeners: &[(String, Listener)],
    ) -> CountsAsker {
        let (asker, mut asked) = mpsc::channel::<oneshot::Sender<Counts>>(ASKED_MAX);
        let (own, listeners) = (driver.clone(), listeners.to_vec());
        driver.spawn(async move {
            while let Some(answer) = asked.recv().await {
                // Whoever asked may have given up.
                drop(answer.send(Counts::read(&own, &listeners)));
            }
        });
        asker
    }
}

/// Questions that wait: more than one who watches asks at once.
const ASKED_MAX: usize = 8;
