//! One path's network: delay, loss, cuts, and what a hostile hand does to packets.

use std::time::Duration;

use longrein_proto::base::NodeKind;

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
    /// Nothing gets from the node to the relay.
    pub cut_up: bool,
    /// Nothing gets from the relay to the node.
    pub cut_down: bool,
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
            cut_up: false,
            cut_down: false,
        }
    }

    /// Cuts both directions, or mends them.
    pub fn set_cut(&mut self, cut: bool) {
        (self.cut_up, self.cut_down) = (cut, cut);
    }
}

/// What a hostile relay does with the envelopes that it forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// Nothing yet.
    Nothing,
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
    /// Lets envelopes pass, but answers and repeats handshakes with steps of its own making, and floods the agent with
    /// others of the same session.
    Handshake,
    /// Lets envelopes pass, but refuses every route.
    Refuse,
    /// Hoards beats for nodes of this kind and lets them go one by one, 300 ms apart, so that dead ones seem to live.
    Hoard(NodeKind),
}
