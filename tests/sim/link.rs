//! One path's network: delay, loss, cuts, and what a hostile hand does to packets.

use std::time::Duration;

/// How packets of one path travel.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// From the node to the relay.
    pub delay_up: Duration,
    /// From the relay to the node.
    pub delay_down: Duration,
    /// Added at random to each packet, so that it also reorders.
    pub jitter: Duration,
    /// Probability that a packet is lost, each way.
    pub loss: f64,
    /// Probability that a packet arrives twice.
    pub duplicates: f64,
    /// Cut in both directions.
    pub cut: bool,
}

impl Link {
    /// 10 ms each way and nothing wrong.
    pub const fn good() -> Link {
        Link {
            delay_up: Duration::from_millis(10),
            delay_down: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0.0,
            duplicates: 0.0,
            cut: false,
        }
    }
}

/// What a hostile relay does with the envelopes that it forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// Flips a bit of every ciphertext.
    Corrupt,
    /// Sends envelopes of its own with higher numbers under the same session.
    Forge,
    /// Sends every envelope again, many times, now and later.
    Replay,
    /// Shuffles envelopes within 200 ms.
    Reorder,
    /// Holds every envelope for 5 s, beyond every time to live of a command.
    Delay,
    /// Acknowledges on the leg and forwards nothing.
    Swallow,
}
